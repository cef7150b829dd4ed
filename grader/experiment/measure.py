"""What is measured of a trace: allocation errors over windows, latencies, shares.

Only the scheduler's own records are read, by the times that its calls carry, so a
simulation's trace and a machine's are measured alike.  *Allocation error* is the
paper's: (received - requested) / requested, over a window of time.
"""
from __future__ import annotations

from typing import Dict, Mapping, Tuple

import numpy as np

from viz.trace import Records, Trace

ROUND = 300_000_000  # ns: whole periods of 10, 20 and 100 ms, and Credit's accountings
STEPS = 4  # windows begin so often within one window's length


def _times(records: Records, name: str = "at") -> np.ndarray:
    return records[name].astype(np.int64)


def received(trace: Trace, vm: int) -> Tuple[np.ndarray, np.ndarray]:
    """Times, rising, and the ns that the VM had run by each of them."""
    charges = trace.select("sched_charge")
    mine = charges.where(charges.vm == vm)
    ends, ran = _times(mine), _times(mine, "ran")
    order = np.argsort(ends, kind="stable")
    ends, ran = ends[order], ran[order]
    sums = np.cumsum(ran)
    times = np.stack([ends - ran, ends], axis=1).ravel()
    return times, np.stack([sums - ran, sums], axis=1).ravel()


def span(trace: Trace) -> Tuple[int, int]:
    """From the first decision to the last call."""
    first = int(_times(trace.select("sched_pick")).min())
    return first, max(int(_times(trace.select(event)).max())
                      for event in ("sched_pick", "sched_charge"))


def share(trace: Trace, vm: int) -> float:
    """The part of one CPU that the VM had, once it is under way and in whole rounds."""
    first, last = span(trace)
    begin = first + ROUND
    end = begin + (last - begin) // ROUND * ROUND
    times, sums = received(trace, vm)
    if end <= begin or not len(sums):
        return 0.0
    return float(np.diff(np.interp([begin, end], times, sums))[0]) / (end - begin)


def errors(trace: Trace, requested: Mapping[int, float], window: int) -> np.ndarray:
    """Allocation errors of all VMs in all windows of `window` ns."""
    first, last = span(trace)
    begins = np.arange(first, last - window + 1, max(1, window // STEPS))
    found = []
    for vm, part in requested.items():
        times, sums = received(trace, vm)
        got = np.interp(begins + window, times, sums) - np.interp(begins, times, sums)
        found.append((got / window - part) / part)
    return np.concatenate(found)


def latencies(trace: Trace, vm: int) -> np.ndarray:
    """From each wake of the VM to the decision that gives it the CPU, in ns."""
    calls, picks = trace.select("sched_call"), trace.select("sched_pick")
    woken = _times(calls.where((calls.vm == vm) & (calls["call"] == _wake(trace))))
    chosen = np.sort(_times(picks.where(picks.vm == vm)))
    place = np.searchsorted(chosen, woken)
    woken, place = woken[place < len(chosen)], place[place < len(chosen)]
    return chosen[place] - woken


def _wake(trace: Trace) -> int:
    words: Dict[int, str] = trace.schema.enums["sched_call"]
    return next(value for value, word in words.items() if word == "WAKE")
