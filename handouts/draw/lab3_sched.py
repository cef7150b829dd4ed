"""Lab 3's figures, from runs on the machine: who had the CPU when, and how wrong the shares are.

Called as draw/lab3_sched.py lanes|error -o OUT.svg RUN_FOLDER..., one run a scheduler, with
the same guests.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List

import matplotlib
import numpy as np

matplotlib.use("svg")
from matplotlib import pyplot as plt  # noqa: E402

from grader import run as running  # noqa: E402
from grader.oracle.share import shares  # noqa: E402
from viz import trace as viz_trace  # noqa: E402
from viz.style import LIGHT  # noqa: E402

MS = 1e6
FROM, TO = 100, 300            # ms that the lanes show
START = 60 * 10**6             # where measuring begins
WINDOWS = [ms * 10**6 for ms in (5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 400, 600)]
TICKS = (5, 10, 20, 50, 100, 200, 500)
SOURCE = "observed: the scheduling decisions in the run's trace"


def load(folder: Path) -> Any:
    """A run's trace."""
    return viz_trace.load(str(folder / running.TRACE))


def name_of(trace: Any) -> str:
    """The scheduler that decided."""
    return trace.select("sched_start").text(0)


def lanes(folders: List[Path], out: Path) -> None:
    """One panel a scheduler, one lane a VM."""
    figure, panels = plt.subplots(len(folders), 1, figsize=(8, 1.7 * len(folders)), sharex=True)
    for axes, folder in zip(panels, folders):
        trace = load(folder)
        picks, names = trace.select("sched_pick"), trace.vms()
        ends = np.append(picks.ns[1:], trace.t1)
        for vm in sorted(names):
            mine = picks.vm == vm
            spans = [(begin / MS, (end - begin) / MS)
                     for begin, end in zip(picks.ns[mine], ends[mine])]
            axes.broken_barh(spans, (vm - 0.35, 0.7), facecolor=LIGHT.vm(vm),
                             edgecolor=LIGHT.vm(vm), lw=0.5)
        axes.set_title(name_of(trace), fontsize=9)
        axes.set(xlim=(FROM, TO), ylim=(max(names) + 0.6, 0.4))
        axes.set_yticks(sorted(names), [f"VM {vm}" for vm in sorted(names)])
    panels[-1].set_xlabel(f"virtual time, ms; {SOURCE}")
    figure.tight_layout()
    figure.savefig(out)


def errors(trace: Any, vm: int) -> Dict[int, float]:
    """Window length -> the 90th percentile of (received - requested) / requested over windows that
    begin 5 ms apart; requested is what the VM had in the long run."""
    end = int(trace.ns.max())
    asked = shares(trace, START, end)[vm]
    found = {}
    for window in WINDOWS:
        starts = range(START, end - window, 5 * 10**6)
        got = [abs(shares(trace, at, at + window).get(vm, 0) - asked) / asked for at in starts]
        found[window] = float(np.percentile(got, 90))
    return found


def error(folders: List[Path], out: Path) -> None:
    """Allocation error of VM 1 against the length of the window, one line a scheduler."""
    figure, axes = plt.subplots(figsize=(8, 3.4))
    for number, folder in enumerate(folders, 1):
        trace = load(folder)
        found = errors(trace, 1)
        axes.plot([window / MS for window in found], [100 * each for each in found.values()], "o-",
                  color=LIGHT.vm(number), label=name_of(trace), ms=4)
    axes.set(xscale="log", xlabel=f"length of the window, ms; {SOURCE}",
             ylabel="allocation error, %\n(nine of ten windows have less)", ylim=(0, None))
    axes.set_xticks(TICKS, [str(ms) for ms in TICKS])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(out)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", choices=("lanes", "error"))
    parser.add_argument("-o", dest="out", type=Path, required=True)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    {"lanes": lanes, "error": error}[options.figure](options.runs, options.out)


if __name__ == "__main__":
    main()
