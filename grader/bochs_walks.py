"""Runs in which Bochs tells every access to memory that single instructions make.

The guest `watched` (or `watched-pae`) stops before each of its touches; the debugger,
steered by a script, then has the accesses of two instructions logged: the touch, and one
that makes none (a jump is the other way round: what it leads to makes them).  While the
guest stands at its first stop the script writes into the machine's memory: so nested
pages of 2 MiB and 1 GiB are made, which the VMM itself does not make.  What the accesses
must be is the business of grader/oracle/touches.py.

Where the VM's memory and nested tables lie is learnt from a run without large pages:
runs are the same but for what differs in their bundles.
"""
from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from grader import bochs_files as files
from grader import collect, plan, run, symbols
from grader.bochs import END, Bochs
from grader.oracle.paging import AD, PS, P, U, W
from grader.oracle.touches import Touch, parse
from grader.platform import BUNDLE, EMULATOR_LOG, Machine, Platform
from viz.trace import Trace, load
from viz.walk_data import Walk, Walks

OPTION = "trace=walks,memory slice=1s time=1s"
POOL = 2 << 20
MB2, GB1 = 1 << 21, 1 << 30
FIRST = 16 << 20            # the VM's first slot, in which pool0 lies
POOL1, POOL2 = 64 << 20, GB1    # near where the other slots are
EPT_PAGE = 0x7 | 6 << 3 | PS | 3 << 8       # read, write, execute; write-back; accessed, dirty
NPT_PAGE = P | W | U | PS | AD
HOST_LIMIT_S = 300.0


class Poke(NamedTuple):
    """Eight bytes that the debugger writes at a host-physical address."""

    hpa: int
    value: int


@dataclass(frozen=True)
class Layout:
    """Where a VM's slots and the nested tables for its first GiB lie, host-physical."""

    slots: Tuple[int, ...]
    root: int
    root_entry: int         # its first entry, under which all of this lies
    level3: int
    level2: int


@dataclass(frozen=True)
class Watched:
    """A run: the walks that the guest asked for, what Bochs did at each, walks of faults."""

    trace: Trace
    walks: List[Walk]
    touches: List[Touch]
    faults: List[Walk]

    @cached_property
    def slots(self) -> List[Tuple[int, int]]:
        """The VM's memory in the host: ranges of host-physical addresses."""
        rows = self.trace.select("vm_slot")
        return [(low, low + size) for low, size in zip(rows["hpa"].tolist(), rows["size"].tolist())]


def make(platform: Bochs, folder: Path, seed: int, pages: int, layout: Optional[Layout] = None,
         doctored: Optional[Dict[int, Tuple[Optional[Poke], Optional[Poke]]]] = None,
         name: str = "watched", build: Path = plan.BUILD) -> Watched:
    """Run the guest of that name; with a layout also over large nested pages.

    doctored: at touch n the first value is written before it, the second after it.
    """
    pokes = large_pages(platform, layout) if layout else []
    text = script(pages * (4 if layout else 1), pokes, doctored or {})
    return _run(platform, folder, f"{name} {arguments(pages, layout)}", seed, text, build)


def make_broken(platform: Bochs, folder: Path, seed: int, layout: Layout, flags: int,
                build: Path = plan.BUILD) -> Watched:
    """A run that ends at its third touch, the first one in pool2, whose nested page then has
    other flags than it should: as the VMM makes no such entry, it ends the VM."""
    pokes = large_pages(platform, layout)
    bad = Poke(pokes[0].hpa, pokes[0].value & ~0xFFF | flags)
    ends = dict((name, at) for at, name in symbols.read(build / run.SYMBOLS))["vm_end"]
    text = script(3, pokes, {2: (bad, None)}, f"lb {ends:#x}")
    return _run(platform, folder, f"watched {arguments(1, layout)}", seed, text, build)


def _run(platform: Bochs, folder: Path, guest: str, seed: int, text: str,
         build: Path) -> Watched:
    planned = plan.make(plan.Request([guest], folder, platform.name, OPTION, seed=seed, build=build))
    machine = _prepare(platform, planned, text)
    try:
        Platform.run(platform, machine, lambda elapsed: None, HOST_LIMIT_S)
    finally:
        files.clean(folder)
    said = (folder / EMULATOR_LOG).read_text(errors="replace")
    if END.findall(said) != ["0"]:
        raise RuntimeError(f"{platform.name}: the watched run did not end well: {said[-800:]}")
    if not collect.extract_trace(folder / files.TRACE, 0, folder / run.TRACE):
        raise RuntimeError(f"{platform.name}: the watched run left no trace")
    trace = load(str(folder / run.TRACE))
    walks: Dict[str, List[Walk]] = {"REQUEST": [], "FAULT": []}
    for walk in Walks(trace):
        walks[walk.cause].append(walk)
    return Watched(trace, walks["REQUEST"], parse(said), walks["FAULT"])


def _prepare(platform: Bochs, planned: plan.Plan, text: str) -> Machine:
    folder = planned.request.out
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BUNDLE).write_bytes(planned.bundle)
    shutil.copyfile(planned.image, folder / planned.image.name)
    limit = files.prepare(folder, platform.model, planned.image.name)
    with open(folder / files.BOCHSRC, "a") as config:
        config.write("magic_break: enabled=1\n")
    (folder / files.SCRIPT).write_text(f"sb {limit}\n{text}")
    return Machine(folder, planned.image.name)


def script(count: int, pokes: Sequence[Poke],
           doctored: Dict[int, Tuple[Optional[Poke], Optional[Poke]]], last: str = "") -> str:
    """What the debugger does: the guest stops before its touches, at each, and after them
    (or, before the pokes are undone, the machine where the command `last` makes it stop)."""
    lines = ["c"] + [line for poke in pokes for line in _write(poke)]
    for n in range(count):
        before, after = doctored.get(n, (None, None))
        lines += ["c", *(_write(before) if before else ()), "trace-mem on", "s", "s",
                  "trace-mem off", *(_write(after) if after else ())]
    lines += [last] * bool(last) + ["c"] + [line for poke in pokes for line in _write(Poke(poke.hpa, 0))]
    return "\n".join(lines + ["c", f'writemem "{files.TRACE}" 0x10000000 {files.TRACE_BYTES}', "q",
                              ""])


def _write(poke: Poke) -> List[str]:
    """The debugger writes 4 bytes at most."""
    return [f"setpmem {poke.hpa:#x} 4 {poke.value & 0xFFFFFFFF:#x}",
            f"setpmem {poke.hpa + 4:#x} 4 {poke.value >> 32:#x}"]


def gpas(layout: Layout) -> Tuple[int, int]:
    """Where pool1 and pool2 are for the guest: as far into a large page as in the host."""
    return POOL1 + layout.slots[1] % MB2, POOL2 + layout.slots[2] % GB1


def arguments(pages: int, layout: Optional[Layout]) -> str:
    """The guest's, with slots for its pools; they are of equal sizes with and without layout."""
    one, two = gpas(layout) if layout else (POOL1, POOL2)
    pools = f" pool1={one:#x} pool2={two:#x}" if layout else ""
    return (f"mem={FIRST:#x},{POOL:#x}@{one:#x},{POOL:#x}@{two:#x} "
            f"-- pages={pages}{pools}")


def large_pages(platform: Bochs, layout: Layout) -> List[Poke]:
    """Entries that map pool1 by 2 MiB pages, pool2 by a page of 1 GiB."""
    flags = EPT_PAGE if platform.name.endswith("vmx") else NPT_PAGE
    one, two = gpas(layout)
    pokes = [Poke(layout.level3 + 8 * (two // GB1), layout.slots[2] // GB1 * GB1 | flags)]
    base = layout.slots[1] // MB2 * MB2
    for i in range((layout.slots[1] % MB2 + POOL + MB2 - 1) // MB2):
        pokes.append(Poke(layout.level2 + 8 * (one // MB2 + i), base + i * MB2 | flags))
    return pokes


def learn(platform: Bochs, folder: Path, build: Path = plan.BUILD) -> Layout:
    """The layout; it depends on the kernel and the sizes of the slots, not on the seed."""
    found = make(platform, folder, seed=1, pages=1, build=build)
    slots = found.trace.select("vm_slot")
    refs = [ref for ref in found.walks[0].refs if ref.dim == "NESTED" and ref.addr < GB1]
    table = {ref.level: ref.table for ref in refs}
    return Layout(tuple(slots["hpa"].tolist()), table[4], refs[0].before, table[3], table[2])
