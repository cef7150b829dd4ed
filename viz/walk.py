"""`python3 -m viz walk`: draws one page walk of a trace, or lists the walks it holds.

Which walk: --n its number in the list, --gva the address that it translates (or
another in the same page), --vm its VM; else the one with the most references that
did not fault. What it does not do: lay the picture out (walk_grid.py, walk_dot.py).
"""
from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from viz import recorded, walk_dot, walk_grid, walk_steps
from viz.stats import write_text
from viz.style import PROVENANCE
from viz.trace import WHERE, Trace, TraceError, announce, load
from viz.walk_data import Walk, Walks
from viz.walk_shadow import ShadowPicture
from viz.walk_words import fault_name

FORMATS = ("svg", "png", "pdf", "dot", "html")
HOW_TO_ASK = ("a guest asks for one through the test port (command 6, WALK); of ours churn, "
              "hello-pae, regions, ticker, walker and watched do; in a run with trace=walks every "
              "nested fault is walked as well")


class WalkError(TraceError):
    """The walk cannot be drawn; the message is one line."""


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Which walk of which trace."""
    parser.add_argument("trace", metavar="TRACE", help=WHERE)
    parser.add_argument("--vm", type=int, metavar="N", help="only walks of this VM (from 1)")
    parser.add_argument("--gva", type=_address, metavar="ADDRESS",
                        help="the walk of this guest-virtual address, or of another in its 4K page")
    parser.add_argument("--n", type=int, metavar="N", help="the walk with this number in --list")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_choice(parser)
    parser.add_argument("--list", action="store_true", help="list the walks of the trace")
    parser.add_argument("--explain", action="store_true",
                        help="say in words what each reference gives, instead of drawing")
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="the figure: .svg, .png, .pdf or .dot, or .html to step through "
                             "(walk.svg)")


def _address(word: str) -> int:
    try:
        value = int(word, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{word!r} is not an address such as 0x10e000")
    return value


def run(args: argparse.Namespace) -> int:
    """Draw or list; 0 when done. What cannot be done is a WalkError of one line."""
    trace = load(args.trace)
    announce(trace)
    if args.list:
        print("\n".join(listing(trace, args.vm, args.gva)))
        return 0
    if args.explain:
        walk = choose(Walks(trace), args.vm, args.gva, args.n)
        print(f"walk {walk.number}, VM {walk.vm}, gVA {walk.gva:#x}: {walk_steps.explain(walk)}")
        return 0
    out = args.output or "walk.svg"
    walk = draw(trace, out, args.vm, args.gva, args.n)
    print(f"{out}: walk {walk.number}, VM {walk.vm}, gVA {walk.gva:#x}, "
          f"{len(walk.refs)} references")
    return 0


def draw(trace: Trace, out_path: Any, vm: Optional[int] = None, gva: Optional[int] = None,
         n: Optional[int] = None) -> Walk:
    """Draw one walk into `out_path`, in the format of its ending; returns the walk drawn."""
    form = Path(out_path).suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise WalkError(f"{out_path}: the ending must be one of " + ", ".join(
            "." + name for name in FORMATS))
    walks = Walks(trace)
    walk = choose(walks, vm, gva, n)
    save(walk, about(trace, walk, len(walks)), form, out_path)
    return walk


def save(walk: Walk, words: Dict[str, str], form: str, out_path: Any) -> None:
    """Write the drawing of `walk`; `words` as about() gives them."""
    if form == "html":
        from viz import walk_page  # which draws through this module
        write_text(os.fspath(out_path), walk_page.page(walk, words))
    elif form == "dot":
        Path(out_path).write_text(dot(walk, words), encoding="utf-8")
    else:
        render(dot(walk, words), form, out_path)


def dot(walk: Walk, words: Dict[str, str], hidden: Mapping[str, str] = MappingProxyType({})) -> str:
    """The drawing of `walk` as DOT text for `neato -n2`; `hidden` as walk_dot.Picture has it."""
    picture = ShadowPicture if walk_grid.is_pair(walk) else walk_dot.Picture
    return picture(walk, words, hidden).draw()


def about(trace: Trace, walk: Walk, count: int) -> Dict[str, str]:
    """What the picture says beyond the walk itself."""
    name = os.path.basename(os.path.dirname(os.path.abspath(trace.path)))
    where = f"{name}/{os.path.basename(trace.path)}"
    return {"name": trace.vms().get(walk.vm, ""), "which": f"walk {walk.number} of {count}",
            "platform": trace.header.platform,
            "provenance": f"computed: {PROVENANCE['computed']}, the VMM's (lab {_lab(walk)}: "
                          f"yours); from {where}"}


def _lab(walk: Walk) -> int:
    """The lab whose task the walker is: with a shadow one of one dimension does, descend()."""
    return 4 if walk.kind == "SHADOW" else 5


def choose(walks: Walks, vm: Optional[int] = None, gva: Optional[int] = None,
           n: Optional[int] = None) -> Walk:
    """The walk asked for; without a number the longest one that did not fault."""
    if len(walks) == 0:
        raise WalkError(none_there(walks.trace))
    if n is not None:
        if not 1 <= n <= len(walks):
            raise WalkError(f"there is no walk {n}: the trace holds 1 to {len(walks)} (see --list)")
        return walks[n - 1]
    fits = matching(walks, vm, gva)
    if len(fits) == 0:
        owners = ", ".join(str(number) for number in np.unique(walks.vm))
        raise WalkError(f"none of the {len(walks)} walks is {_asked(vm, gva)}; --list shows them "
                        f"(there are walks of VM {owners})")
    return walks[longest(walks, fits)]


def longest(walks: Walks, among: Sequence[int]) -> int:
    """Of these the longest that did not fault, the first of equals."""
    faults = walks.faults()
    return max(among, key=lambda i: (faults[i] == "NONE", walks.counts[i], -i))


def none_there(trace: Trace) -> str:
    """Why a trace holds no walk, and how to get one."""
    if not recorded.has(trace, "walks"):
        return (f"no page walk in this trace: its run had the option trace={recorded.option(trace)}"
                ", which leaves them out; run it again with trace=walks or trace=all")
    lost = f"; {trace.dropped} records did not fit the trace buffer" if trace.dropped else ""
    return f"no page walk in this trace: {HOW_TO_ASK}{lost}"


def _asked(vm: Optional[int], gva: Optional[int]) -> str:
    words = [f"of VM {vm}"] if vm is not None else []
    words += [f"for gVA {gva:#x}"] if gva is not None else []
    return " ".join(words)


def matching(walks: Walks, vm: Optional[int], gva: Optional[int]) -> List[int]:
    """Positions of the walks of `vm`, for `gva` exactly or else for its 4K page."""
    mask = np.ones(len(walks), dtype=bool)
    if vm is not None:
        mask &= walks.vm == vm
    if gva is None:
        return [int(i) for i in np.flatnonzero(mask)]
    address = np.uint64(gva & (1 << 64) - 1)
    exact = mask & (walks.gva == address)
    page = mask & (walks.gva >> np.uint64(12) == address >> np.uint64(12))
    return [int(i) for i in np.flatnonzero(exact if exact.any() else page)]


def listing(trace: Trace, vm: Optional[int] = None, gva: Optional[int] = None) -> List[str]:
    """One line a walk: number, time, VM, gVA, references, how it ended."""
    walks = Walks(trace)
    if len(walks) == 0:
        raise WalkError(none_there(walks.trace))
    faults, causes = walks.faults(), walks.causes()
    names = {"NONE": "", "?": "the trace ends before the walk does"}
    lines = [f"{'n':>6} {'seconds':>14} {'VM':>3} {'gVA':>18} {'refs':>5}  fault"]
    for i in matching(walks, vm, gva):
        word = names.get(faults[i], fault_name(faults[i]))
        word += ", made on a fault" if causes[i] == "FAULT" else ""
        lines.append(f"{i + 1:>6} {walks.ns[i] / 1e9:>14.9f} {walks.vm[i]:>3} "
                     f"{int(walks.gva[i]):>#18x} {walks.counts[i]:>5}  {word}".rstrip())
    return lines


def render(text: str, form: str, out_path: Any) -> None:
    """Let Graphviz make the figure; the nodes' places are fixed, only lines are routed. What
    keeps the file from being written is an OSError, as of any other format."""
    command = ["neato", "-n2", f"-T{form}"]
    command += ["-Gdpi=144"] if form == "png" else []
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=120)
    except FileNotFoundError:
        raise WalkError("Graphviz is missing: install the package graphviz, or write a .dot file"
                        ) from None
    if done.returncode != 0:
        first = done.stderr.decode("utf-8", "replace").strip().split("\n")[0]
        raise WalkError(f"Graphviz failed: {first}")
    Path(out_path).write_bytes(done.stdout)
