"""Totals of a span of time, and the timeline cut into equal buckets for drawing.

Everything here is exact: time in a state is a difference of running sums, exits
and ticks are counts.  A bucket of a zoomed-out picture is just a short span, so
aggregation leaves nothing out.  timeline.js repeats the same sums in the browser;
viz/tests/test_browser_timeline.py compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from viz.timeline_data import BLOCKED, READY, RUN, TICKS, Points, Timeline


@dataclass
class Totals:
    """One VM in one span; times in ns, shares as fractions of all pCPUs' time."""

    vm: int
    name: str
    run: int
    ready: int
    blocked: int
    share: float
    asked: float
    exits: Dict[str, int]
    ticks: Dict[str, int]
    picks: Dict[str, int]

    @property
    def error(self) -> Optional[float]:
        """Allocation error, (actual - requested) / requested; None if nothing was asked for."""
        return (self.share - self.asked) / self.asked if self.asked else None


@dataclass
class Asked:
    """What the VMs may ask for over time: running sums of ns at `edge`, by VM."""

    edge: np.ndarray
    total: Dict[int, np.ndarray]

    def between(self, vm: int, start: int, end: int) -> float:
        low, high = np.interp([start, end], self.edge, self.total[vm])
        return float(high - low)


def pcpu_count(line: Timeline) -> int:
    """The pCPUs that take scheduling decisions, at least one."""
    return max(1, len(np.unique(line.picks.pcpu)))


def asked(line: Timeline) -> Asked:
    """Each VM's requested time: its weight's part of the pCPUs while it exists.

    A VM runs on one pCPU at a time, so its request never exceeds one.  A VM
    that blocks keeps its request: its share then falls short by its own choice.
    """
    edge, there = [line.start], set()
    total = {vm: [0.0] for vm in line.names}
    for ns, vm, alive in line.alive + [(line.end, 0, False)]:
        _extend(line, edge, total, there, ns)
        (there.add if alive else there.discard)(vm)
    return Asked(np.array(edge, np.float64), {vm: np.array(v) for vm, v in total.items()})


def _extend(line: Timeline, edge: List[int], total: Dict[int, List[float]], there: set,
            ns: int) -> None:
    weights = sum(line.weights[vm] for vm in there)
    cpus = pcpu_count(line)
    if ns == edge[-1]:
        return
    for vm, sums in total.items():
        rate = min(1.0, cpus * line.weights[vm] / weights) if vm in there else 0.0
        sums.append(sums[-1] + rate * (ns - edge[-1]))
    edge.append(ns)


def totals(line: Timeline, start: int, end: int) -> List[Totals]:
    """The totals of start <= t < end (the trace's last moment included), a row a VM."""
    requested = asked(line)
    exits = line.exits.within(start, end, line.end)
    ticks = line.ticks.within(start, end, line.end)
    inside = (line.picks.ns >= start) & ((line.picks.ns < end) | (
        (line.picks.ns == line.end) & (end >= line.end)))
    capacity = max(1, end - start) * pcpu_count(line)
    rows = []
    for vm, name in line.names.items():
        spent = [int(round(float(np.diff(line.vms[vm].time_in(state, np.array([start, end])))[0])))
                 for state in (RUN, READY, BLOCKED)]
        rows.append(Totals(
            vm, name, *spent, spent[0] / capacity, requested.between(vm, start, end) / capacity,
            _by_kind(exits, vm, line.reasons), _by_kind(ticks, vm, list(TICKS), zeros=True),
            _count_words(line, np.flatnonzero(inside & (line.picks.vm == vm)))))
    return rows


def idle_time(line: Timeline, start: int, end: int) -> int:
    """Time in ns that pCPUs spent with no VM to run."""
    when = np.array([start, end])
    return int(sum(np.diff(lane.time_in(0, when))[0] for lane in line.pcpus.values()))


def _by_kind(points: Points, vm: int, words: List[str], zeros: bool = False) -> Dict[str, int]:
    mine = points.vm == vm
    sums = np.bincount(points.kind[mine], points.count[mine], len(words))
    return {word: int(n) for word, n in zip(words, sums) if n or zeros}


def _count_words(line: Timeline, places: np.ndarray) -> Dict[str, int]:
    counts: Dict[str, int] = {}
    for i in places.tolist():
        counts[line.picks.why[i]] = counts.get(line.picks.why[i], 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def edges(start: int, end: int, buckets: int) -> np.ndarray:
    """The edges of equal buckets over start..end, float64 ns."""
    return np.linspace(start, end, buckets + 1)


def occupancy(lane, states: List[int], at: np.ndarray) -> np.ndarray:
    """Fraction of each bucket spent in each state: array [state, bucket]."""
    width = np.diff(at)
    return np.array([np.diff(lane.time_in(state, at)) / width for state in states])


def counts(points: Points, vm: int, kinds: int, at: np.ndarray) -> np.ndarray:
    """Sum of the points' counts in each bucket by kind: array [kind, bucket]."""
    buckets = len(at) - 1
    mine = np.flatnonzero(points.vm == vm)
    place = np.minimum(np.searchsorted(at, points.ns[mine], "right") - 1, buckets - 1)
    inside = (place >= 0) & (points.ns[mine] <= at[-1])
    flat = points.kind[mine][inside] * buckets + place[inside]
    sums = np.bincount(flat, points.count[mine][inside], kinds * buckets)
    return sums.reshape(kinds, buckets)
