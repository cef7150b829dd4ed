"""The figures of "one hypervisor, two vendors": the same guest on NPT and on EPT.

`walk` sets the references of one walk beside each other, entry by entry; `exits` counts the
exits of the run by reason. Both read two runs, AMD's first. Called as
draw/two_vendors.py walk|exits -o OUT.svg AMD_FOLDER INTEL_FOLDER.
"""
from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import List, Tuple

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt  # noqa: E402

from viz import trace as viz_trace  # noqa: E402
from viz import walk_words  # noqa: E402
from viz.style import LIGHT  # noqa: E402
from viz.walk_data import Walk, WalkRef, Walks  # noqa: E402

MADE_BY = "computed: read from the machine's own tables by the VMM's walker"
COUNTED = "observed: exits that the emulated processors reported"
COLUMNS = ("NPT: entry", "its bits", "EPT: entry", "its bits")
PLACES = (0.16, 0.31, 0.58, 0.73)


def shown(walk: Walk, ref: WalkRef) -> Tuple[str, str]:
    """An entry and the names of the bits that are set in it."""
    words = [name for name, state in walk_words.flags(walk, ref) if state != "clear"]
    return f"{ref.after:#x}", " ".join(words)


def row(axes: plt.Axes, y: int, amd: Tuple[Walk, WalkRef], intel: Tuple[Walk, WalkRef]) -> None:
    """One reference on both machines."""
    ref = amd[1]
    guest = ref.dim == "GUEST"
    colour = LIGHT.guest if guest else LIGHT.nested
    axes.axhline(y + 0.5, color=LIGHT.line, lw=0.9 if guest else 0.3)
    axes.text(0.035, y, str(ref.n), ha="right", va="center", color=colour, weight="bold")
    axes.text(0.05, y, f"{'g' if guest else 'n'}L{ref.level}[{ref.index:#x}]", va="center",
              color=colour)
    for place, text in zip(PLACES, (*shown(*amd), *shown(*intel))):
        axes.text(place, y, text, va="center", family="monospace")


def draw_walk(traces: List[viz_trace.Trace]) -> plt.Figure:
    """Two walks of one guest, reference by reference."""
    amd, intel = (Walks(trace)[0] for trace in traces)
    if [(r.dim, r.level, r.index) for r in amd.refs] != [(r.dim, r.level, r.index)
                                                        for r in intel.refs]:
        raise SystemExit("the two walks do not make the same references")
    figure, axes = plt.subplots(figsize=(8.6, 6.2))
    for y, refs in enumerate(zip(amd.refs, intel.refs)):
        row(axes, y, (amd, refs[0]), (intel, refs[1]))
    for place, title in zip(PLACES, COLUMNS):
        axes.text(place, -1, title, va="center", weight="bold")
    axes.set(xlim=(0, 1), ylim=(len(amd.refs) - 0.4, -1.6))
    axes.axis("off")
    axes.set_title(f"gVA {amd.gva:#x} of the guest watched; {MADE_BY}", fontsize=8, loc="left")
    return figure


def counts(trace: viz_trace.Trace) -> Counter:
    """How often each reason was the exit's."""
    return Counter(trace.select("exit").word("reason"))


def draw_exits(traces: List[viz_trace.Trace]) -> plt.Figure:
    """Exits by reason, a pair of bars each."""
    both = [counts(trace) for trace in traces]
    names = sorted(set().union(*both), key=lambda name: -max(each[name] for each in both))
    figure, axes = plt.subplots(figsize=(8.6, 2.6))
    for side, (each, label, colour) in enumerate(zip(both, ("SVM (qemu-svm)", "VMX (bochs-vmx)"),
                                                     (LIGHT.nested, LIGHT.guest))):
        places = [y + 0.38 * side for y in range(len(names))]
        axes.barh(places, [each[name] for name in names], height=0.36, color=colour, label=label)
        for y, name in zip(places, names):
            axes.text(each[name] + 0.4, y, str(each[name]), va="center", fontsize=7)
    axes.set_yticks([y + 0.19 for y in range(len(names))], names)
    axes.invert_yaxis()
    axes.legend(frameon=False, loc="lower right")
    axes.set_xlabel(f"exits of the guest watched in all its life; {COUNTED}", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Draw one of the two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("walk", "exits"))
    parser.add_argument("-o", dest="out", required=True)
    parser.add_argument("runs", nargs=2, type=Path)
    options = parser.parse_args()
    plt.rcParams["font.size"] = 8
    traces = [viz_trace.load(str(folder / "trace.bin")) for folder in options.runs]
    figure = (draw_walk if options.what == "walk" else draw_exits)(traces)
    figure.tight_layout()
    figure.savefig(options.out)


if __name__ == "__main__":
    main()
