"""The live VMM's points: short runs on the emulated machine, measured as simulations are.

Each run is a process of `python3 -m grader run`; two run at a time.  The cost of a
decision comes from the machine alone: its emulator counts instructions exactly, so that
figure needs no model (vmm/bench_sched.c).
"""
from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Sequence, Tuple

from grader import plan
from grader.experiment import measure, studies
from grader.experiment.studies import MS, Row
from viz import trace as viz_trace

SCHEDULERS = ("rr", "bvt", "sedf", "credit")
COST = re.compile(r"bench: (dearest )?(decision|account) vms=(\d+)")
HOG, BURNER = "ticker -- hz=100", "greedy -- spin=1000000"
WINDOWS_MS = (30, 100, 300, 1000)
CAPS = (10, 30, 60)


@dataclass(frozen=True)
class Live:
    """A run: a name, options of the machine, its guests, and how long."""

    name: str
    option: str
    guests: Tuple[str, ...]
    time: str


def weighted_runs(time: str) -> Dict[str, Live]:
    """By the label of studies.variants(); each guest always wants the CPU."""
    runs = {}
    for label, name, period in studies.variants():
        words = studies.weighted(name, period)
        guests = tuple(f"ticker {each} -- hz=100" for each in words)
        runs[label] = Live(f"weights-{name}-{period}", f"sched={name} trace=sched", guests, time)
    return runs


def share_runs(time: str) -> Dict[Tuple[str, int], Live]:
    """By scheduler and sedf's period: three guests that ask for CAPS, and no more."""
    caps = tuple(f"ticker cap={cap} -- hz=100" for cap in CAPS)
    slices = tuple(f"ticker slice={cap}ms period=100ms extratime=off -- hz=100" for cap in CAPS)
    return {("Credit", 0): Live("caps-credit", "sched=credit trace=sched", caps, time),
            ("SEDF", 100): Live("slices-sedf", "sched=sedf trace=sched", slices, time)}


def latency_runs(time: str) -> Dict[str, Live]:
    """By the label of studies.LATENCY: a guest that halts between its ticks, and two hogs."""
    return {label: Live(f"latency-{number}", f"sched={name} trace=sched",
                        (f"{HOG.replace(' --', f' {others} --')}", f"greedy {others} -- spin=1000000",
                         f"ticker {words} -- hz=200 halt=1"), time)
            for number, (label, (name, words, others)) in enumerate(studies.LATENCY.items())}


def cost_runs() -> Dict[str, Live]:
    """By scheduler."""
    return {name: Live(f"cost-{name}", f"sched={name} trace=none bench=sched", ("hello",), "20s")
            for name in SCHEDULERS}


def make(runs: Sequence[Live], out: Path, say: Callable[[str], None],
         build: Path = plan.BUILD) -> Dict[str, viz_trace.Trace]:
    """Make the runs; their traces by name.  RunError if one fails."""
    with ThreadPoolExecutor(2) as pool:
        traces = {}
        for each, trace in zip(runs, pool.map(lambda run: _make(run, out, build), runs)):
            say(f"machine: {each.name} ({each.option})")
            traces[each.name] = trace
    return traces


def _make(run: Live, out: Path, build: Path) -> viz_trace.Trace:
    place = out / "runs" / run.name
    command = [sys.executable, "-m", "grader", "run", "--quiet", "--option", run.option,
               "--time", run.time, "--out", str(place), "--build", str(build)]
    for guest in run.guests:
        command += ["--guest", guest]
    done = subprocess.run(command, cwd=plan.ROOT, text=True, capture_output=True, check=False)
    if done.returncode:
        raise plan.RunError(f"the run {run.name} failed: {done.stdout} {done.stderr}")
    (place / "memory.bin").unlink(missing_ok=True)  # large
    return viz_trace.load(str(place / "trace.bin"))


# --- Their rows ------------------------------------------------------------------------------

def error_rows(label: str, trace: viz_trace.Trace) -> List[Row]:
    """As studies.error_rows, of one run."""
    return studies.spread(label, trace, _windows(trace))


def cdf_rows(label: str, trace: viz_trace.Trace) -> List[Row]:
    """As studies.cdf_rows, of one run."""
    return studies.distribution(label, trace, _windows(trace))


def _windows(trace: viz_trace.Trace) -> List[int]:
    """Lengths, in ms, of which at least three fit in the run."""
    first, last = measure.span(trace)
    return [window for window in WINDOWS_MS if 3 * window * MS <= last - first]


def received_rows(label: str, period: int, trace: viz_trace.Trace) -> List[Row]:
    """As studies.received_rows: all are NWC and always want the CPU."""
    return [{"scheduler": label, "period_ms": period, "mode": "NWC", "behaviour": "always",
             "requested": cap, "received": 100 * measure.share(trace, vm)}
            for vm, cap in enumerate(CAPS, start=1)]


def latency_rows(label: str, trace: viz_trace.Trace) -> List[Row]:
    """As studies.latency_rows."""
    return studies.waits(label, measure.latencies(trace, 3))


def cost_rows(name: str, trace: viz_trace.Trace) -> List[Row]:
    """Instructions by the number of VMs: of the mean decision, the dearest one, an accounting."""
    notes = trace.select("note")
    found: Dict[int, Row] = {}
    for i in range(len(notes)):
        match = COST.fullmatch(notes.text(i))
        if match:
            vms = int(match[3])
            row = found.setdefault(vms, {"scheduler": name, "vms": vms, "decision": 0,
                                         "dearest decision": 0, "account": 0,
                                         "dearest account": 0})
            row[f"{match[1] or ''}{match[2]}"] = int(notes["value"][i])
    return list(found.values())
