"""Totals of a span of time, and the timeline cut into equal buckets for drawing.

Everything here is exact: time in a state is a difference of running sums, exits
and ticks are counts.  A bucket of a zoomed-out picture is just a short span, so
aggregation leaves nothing out.  timeline.js repeats the same sums in the browser;
viz/tests/test_browser_timeline.py compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Iterable, List, Optional, Set, Tuple, Union

import numpy as np

from viz.requested import Request, divide
from viz.timeline_data import (BLOCKED, HOST, LOST, NOBODY, READY, RUN, TICKS, Lane, Points,
                               Timeline)


LEAST = 0.3  # the height of a single tick
MOST_BLOCKED = 0.02  # of its life, for a VM that is taken to want all it asked for
LEAST_LIFE = 0.9  # of the longest life


@dataclass
class Totals:
    """One VM in one span; times in ns, shares as fractions of the time for which pCPUs have
    a decision, None where they have none."""

    vm: int
    name: str
    run: int
    ready: int
    blocked: int
    share: Optional[float]
    asked: Optional[float]
    exits: Dict[str, int]
    ticks: Dict[str, int]
    picks: Dict[str, int]

    @property
    def error(self) -> Optional[float]:
        """Allocation error, (actual - requested) / requested; None if nothing was asked for."""
        if self.share is None or not self.asked:
            return None
        return (self.share - self.asked) / self.asked


@dataclass
class Asked:
    """What the VMs may ask for over time: running sums of ns at `edge`, by VM."""

    edge: np.ndarray
    total: Dict[int, np.ndarray]

    def between(self, vm: int, start: int, end: int) -> float:
        low, high = np.interp([start, end], self.edge, self.total[vm])
        return float(high - low)


def decided(line: Timeline, when: np.ndarray) -> np.ndarray:
    """Time in ns, over all pCPUs, before each time of `when` for which a decision holds.

    Not before a pCPU's first decision, and not where its records were lost.
    """
    total = np.zeros(len(when))
    for lane in line.pcpus.values():
        total += np.asarray(when) - line.start
        for code in (NOBODY, LOST):
            total -= lane.time_in(code, when)
    return total


def asked(line: Timeline) -> Asked:
    """Each VM's requested time (viz/requested.py) while it exists.

    A VM runs on one pCPU at a time, so its request never exceeds one.  A VM
    that blocks keeps its request: its share then falls short by its own choice.
    """
    changes = _changes(line)
    edge = np.array([line.start] + [ns for ns, _, _ in changes], np.float64)
    there: Set[int] = set()
    wants = {vm: Request() for vm in line.names}
    total = {vm: np.zeros(len(edge)) for vm in line.names}
    for i, (length, work) in enumerate(zip(np.diff(edge), np.diff(decided(line, edge)))):
        for vm, got in divide(work, length, {vm: wants[vm] for vm in there & set(wants)}).items():
            total[vm][i + 1] = got
        _, vm, what = changes[i]
        if isinstance(what, Request):
            wants[vm] = what
        else:
            (there.add if what else there.discard)(vm)
    return Asked(edge, {vm: np.cumsum(parts) for vm, parts in total.items()})


def _changes(line: Timeline) -> List[Tuple[int, int, Union[bool, Request]]]:
    """When something changes: a VM comes (True) or goes, or asks for something else; VM 0:
    decisions begin or end."""
    changes: List[Tuple[int, int, Union[bool, Request]]] = [*line.alive, *line.requests,
                                                            (line.end, 0, False)]
    for lane in line.pcpus.values():
        changes += [(int(ns), 0, False) for ns in lane.edge[:-1][(lane.state == NOBODY)
                                                                 | (lane.state == LOST)]]
        changes += [(int(ns), 0, False) for ns in lane.edge[1:][lane.state == NOBODY]]
    return sorted(changes, key=lambda change: change[0])


def totals(line: Timeline, start: int, end: int) -> List[Totals]:
    """The totals of start <= t < end (the trace's last moment included), a row a VM."""
    requested, when = asked(line), np.array([start, end])
    exits = line.exits.within(start, end, line.end)
    ticks = line.ticks.within(start, end, line.end)
    inside = (line.picks.ns >= start) & ((line.picks.ns < end) | (
        (line.picks.ns == line.end) & (end >= line.end)))
    capacity = float(np.diff(decided(line, when))[0])
    rows = []
    for vm, name in line.names.items():
        run, ready, blocked = (_spent(line.vms[vm], state, when)
                               for state in (RUN, READY, BLOCKED))
        share = run / capacity if capacity else None
        wanted = requested.between(vm, start, end) / capacity if capacity else None
        rows.append(Totals(
            vm, name, run, ready, blocked, share, wanted, _by_kind(exits, vm, line.reasons),
            _by_kind(ticks, vm, list(TICKS), zeros=True),
            _count_words(line, np.flatnonzero(inside & (line.picks.vm == vm)))))
    return rows


def contested(rows: Iterable[Totals]) -> bool:
    """Whether an error says something of the scheduler: two VMs or more asked, and none of them
    gave up its share by blocking or by its end; what one leaves, the others have too much of."""
    asking = [row for row in rows if row.asked]
    lives = [row.run + row.ready + row.blocked for row in asking]
    return len(asking) > 1 and min(lives) >= LEAST_LIFE * max(lives) and all(
        row.blocked <= MOST_BLOCKED * life for row, life in zip(asking, lives))


def _spent(lane: Lane, state: int, when: np.ndarray) -> int:
    return int(round(float(np.diff(lane.time_in(state, when))[0])))


def pcpu_part(lane: Lane, state: int, start: int, end: int) -> Optional[float]:
    """The part of its decided time that a pCPU spent in `state` (a VM, 0: idle, or HOST)."""
    when = np.array([start, end])
    known = end - start - _spent(lane, NOBODY, when) - _spent(lane, LOST, when)
    return _spent(lane, state, when) / known if known else None


def host_time(line: Timeline, start: int, end: int) -> int:
    """Time in ns that the host spent after VMs' ends, until the next decision."""
    when = np.array([start, end])
    return sum(_spent(lane, HOST, when) for lane in line.pcpus.values())


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


def occupancy(lane: Lane, states: List[int], at: np.ndarray) -> np.ndarray:
    """Fraction of each bucket spent in each state: array [state, bucket]."""
    width = np.diff(at)
    return np.array([np.diff(lane.time_in(state, at)) / width for state in states])


def heights(counted: np.ndarray, most: int) -> np.ndarray:
    """Parts of a row's height for numbers of ticks: logarithmic, and even one is seen beside
    the thousands that a guest may ask for at once."""
    part = LEAST + (1 - LEAST) * np.log1p(counted) / np.log1p(max(1, most))
    return np.where(counted > 0, part, 0.0)


def counts(points: Points, vm: int, kinds: int, at: np.ndarray) -> np.ndarray:
    """Sum of the points' counts in each bucket by kind: array [kind, bucket]."""
    buckets = len(at) - 1
    mine = np.flatnonzero(points.vm == vm)
    place = np.minimum(np.searchsorted(at, points.ns[mine], "right") - 1, buckets - 1)
    inside = (place >= 0) & (points.ns[mine] <= at[-1])
    flat = points.kind[mine][inside] * buckets + place[inside]
    sums = np.bincount(flat, points.count[mine][inside], kinds * buckets)
    return sums.reshape(kinds, buckets)
