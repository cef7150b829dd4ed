"""Lab 2's figures, from runs: who gets the CPU, what each view of time shows, what each policy makes.

Called as draw/lab2_time.py greedy|matrix|policies -o OUT.svg RUN_FOLDER...  For `greedy` it
builds and runs a second, spoilt VMM in a scratch folder (SPOILT says how), since no guest
of this VMM ever gets at the real timer.
"""
from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, List, Tuple

import matplotlib
import numpy as np

matplotlib.use("svg")
from matplotlib import pyplot as plt  # noqa: E402

from grader import plan, run as running  # noqa: E402
from grader.grading import build  # noqa: E402
from grader.oracle import timekeeping  # noqa: E402
from viz import trace as viz_trace  # noqa: E402
from viz.style import LIGHT  # noqa: E402

MS = 1e6
# The end of a VM's turn: not when its slice is over, but when its own timer interrupts.
SPOILT = ("vmm/vmm.c", "min_u64(c.until, options.time)",
          "min_u64(!vm->timer.running ? c.until : vm->pic.chip[0].imr & 1 ? ~0ull : "
          "now + vm->timer.reload * NS_PER_SEC / PIT_HZ, options.time)")


def load(folder: Path) -> Any:
    """A run's trace."""
    return viz_trace.load(str(folder / running.TRACE))


def guests(folder: Path) -> List[str]:
    """A run's guests with their arguments, as on the command line."""
    vms = json.loads((folder / "run.json").read_text())["vms"]
    return [f"{vm['name']} {vm['args']}".strip() for vm in vms]


# --- Who gets the CPU ------------------------------------------------------------------

def spoilt_run(like: Path, scratch: Path) -> Path:
    """The same guests under a VMM that leaves the end of a turn to the guest's timer."""
    path, old, new = SPOILT
    text = (plan.ROOT / path).read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{path} is no longer what SPOILT changes")
    copy = scratch / "copy"
    build.prepare(plan.ROOT, copy)
    build.put(copy, {path: text.replace(old, new).encode()}, plan.ROOT)
    subprocess.run(["make", "-s", "kernel"], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(plan.BUILD / "guests", copy / "build" / "guests")
    result = running.make(plan.Request(tuple(guests(like)), scratch / "run", option="slice=5ms",
                                       time="100ms", seed=1, build=copy / "build"))
    if not result.made:
        raise SystemExit(result.sentence)
    return result.dir


def lanes(axes: plt.Axes, trace: Any, title: str) -> None:
    """One lane a VM: when it ran, and the ticks that it took."""
    picks = trace.select("sched_pick")
    ends = np.append(picks.ns[1:], trace.t1)
    names = trace.vms()
    for vm in sorted(names):
        mine = picks.vm == vm
        spans = [(begin / MS, (end - begin) / MS) for begin, end in zip(picks.ns[mine], ends[mine])]
        axes.broken_barh(spans, (vm - 0.3, 0.6), color=LIGHT.vm(vm), lw=0)
        took = trace.select("timer_delivered")
        took = took.ns[took.vm == vm] / MS
        axes.plot(took, np.full(len(took), vm - 0.42), "v", color=LIGHT.ink, ms=3)
    axes.set(title=title, xlim=(0, trace.t1 / MS), ylim=(max(names) + 0.6, 0.3))
    axes.set_yticks(sorted(names), [names[vm] for vm in sorted(names)])
    axes.title.set_fontsize(9)


def greedy(folders: List[Path], out: Path) -> None:
    """Two timelines: the guest's timer decides, and the VMM's own does."""
    with tempfile.TemporaryDirectory() as scratch:
        spoilt = load(spoilt_run(folders[0], Path(scratch)))
        figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.2), sharex=True)
        lanes(above, spoilt, "The guest's timer ends its turn: the VMM is asked back when the guest likes")
        lanes(below, load(folders[0]), "The VMM's own timer ends each turn: the guest has a fake")
        below.set_xlabel("virtual time, ms;  triangles: ticks that a guest took")
        figure.tight_layout()
        figure.savefig(out)


# --- What each view of time shows --------------------------------------------------------

def clocks(axes: plt.Axes, folder: Path) -> None:
    """The probe's TSC and timer against the host's clock, and its ticks."""
    trace = load(folder)
    life = timekeeping.life_of(trace, 1)
    at = np.arange(life.created, trace.t1, 100_000)
    args = guests(folder)[0]
    hidden = np.array([life.stolen_at(int(ns)) for ns in at])
    for name, colour, width in (("tsc", LIGHT.guest, 3.2), ("pit", LIGHT.nested, 1.2)):
        shown = at - life.created - hidden * (f"{name}=apparent" in args)
        axes.plot(at / MS, shown / MS, color=colour, lw=width, label=name.upper())
    ticks = trace.select("timer_delivered")
    ticks = ticks.where(ticks.vm == 1)
    axes.plot(ticks.ns / MS, ticks["at"] / MS, "o", color=LIGHT.ink, ms=3, label="tick taken")
    ratio = timekeeping.last(trace, 1, "tsc/pit")
    words = [word for word in args.split() if word.startswith(("tsc=", "pit="))]
    axes.set_title(f"{' '.join(words)}: TSC / PIT = {(ratio or 0) / 1e6:.3f}", fontsize=9)


def matrix(folders: List[Path], out: Path) -> None:
    """Four cells: TSC and timer, wall or apparent."""
    figure, axes = plt.subplots(2, 2, figsize=(8, 5.6), sharex=True, sharey=True)
    for each, folder in zip(axes.flat, folders):
        clocks(each, folder)
    axes[0][0].legend(fontsize=7, frameon=False)
    for each in axes[1]:
        each.set_xlabel("the host's clock, ms")
    for each in axes[:, 0]:
        each.set_ylabel("what the guest sees, ms")
    figure.tight_layout()
    figure.savefig(out)


# --- What each policy makes ----------------------------------------------------------------

def counts(trace: Any, event: str) -> Tuple[np.ndarray, np.ndarray]:
    """Times and running totals of a VM's timer records."""
    records = trace.select(event)
    mine = records.where(records.vm == 1)
    return np.asarray(mine.ns) / MS, np.cumsum(mine["ticks"].astype(np.int64))


def policies(folders: List[Path], out: Path) -> None:
    """Ticks due and delivered, one panel a policy."""
    figure, axes = plt.subplots(1, 4, figsize=(8.6, 2.9), sharex=True, sharey=True)
    for each, folder in zip(axes, folders):
        trace = load(folder)
        name = next(word for word in guests(folder)[0].split() if word.startswith("ticks="))
        for event, colour, width in (("timer_due", LIGHT.muted, 2.4),
                                     ("timer_delivered", LIGHT.guest, 1.4)):
            at, total = counts(trace, event)
            each.step(at, total, where="post", color=colour, lw=width, label=event[6:])
        each.set_title(name[6:], fontsize=9)
        each.set_xlabel("ms")
    axes[0].legend(fontsize=7, frameon=False)
    axes[0].set_ylabel("ticks")
    figure.tight_layout()
    figure.savefig(out)


def main() -> None:
    """Draw one of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("greedy", "matrix", "policies"))
    parser.add_argument("-o", dest="out", type=Path, required=True)
    parser.add_argument("folders", type=Path, nargs="*")
    given = parser.parse_intermixed_args()
    {"greedy": greedy, "matrix": matrix, "policies": policies}[given.which](given.folders, given.out)


if __name__ == "__main__":
    main()
