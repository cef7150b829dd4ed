"""What a timeline shows, taken from a trace: lanes of states, exits, ticks, marks.

A lane is a list of spans without gaps: span i lasts from edge[i] to edge[i+1].
VM lanes hold RUN, READY, BLOCKED, ABSENT or UNKNOWN, pCPU lanes the number of
the VM.  Who runs follows viz/spans.py: from a sched_pick to the next one of the same
pCPU, or the VM's own end; what then follows is HOST.  Nothing is drawn here, and
nothing is estimated: where records were lost, or scheduling was not recorded, the
state is UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

from viz import recorded, requested
from viz.spans import lost_from, next_picks, pick_stops
from viz.trace import Records, Trace

ABSENT, READY, BLOCKED, RUN, UNKNOWN = 0, 1, 2, 3, 4
STATES = ("absent", "ready", "blocked", "run", "unknown")
# A pCPU before its first decision; after lost records; between a VM's end and the next decision.
NOBODY, LOST, HOST = 0xFFFF, 0xFFFE, 0xFFFD
KEEP = 255  # a point that leaves the state below RUN as it is
TICKS = ("due", "delivered", "dropped")


@dataclass
class Lane:
    """Spans: state[i] holds from edge[i] to edge[i+1], set by record at[i]."""

    edge: np.ndarray
    state: np.ndarray
    at: np.ndarray

    def __len__(self) -> int:
        return len(self.state)

    def time_in(self, state: int, when: np.ndarray) -> np.ndarray:
        """Time in ns spent in `state` before each time of `when`, exact."""
        if not len(self):
            return np.zeros(len(when))
        spent = np.where(self.state == state, np.diff(self.edge), 0)
        before = np.concatenate([[0], np.cumsum(spent)])
        return np.interp(when, self.edge, before)

    def within(self, start: int, end: int) -> Tuple[int, int]:
        """The spans (first, behind the last) that reach into start..end."""
        first = int(np.searchsorted(self.edge[1:], start, "right"))
        return first, max(first, int(np.searchsorted(self.edge[:-1], end, "left")))


@dataclass
class Points:
    """Things that happen at one time in one VM; `kind` and `count` by use."""

    ns: np.ndarray
    vm: np.ndarray
    kind: np.ndarray
    count: np.ndarray

    def within(self, start: int, end: int, last: int) -> "Points":
        """Those of start <= ns < end; a span up to the trace's `last` ns includes it."""
        keep = (self.ns >= start) & ((self.ns < end) | ((self.ns == last) & (end >= last)))
        return Points(self.ns[keep], self.vm[keep], self.kind[keep], self.count[keep])


@dataclass
class Mark:
    """A moment worth a line through a lane: a VM's creation or end, a panic."""

    ns: int
    vm: int
    kind: str
    text: str
    how: str = ""  # of an end: in a word or two


@dataclass
class Picks:
    """Every decision of the scheduler, in the order of the trace."""

    records: Records
    ns: np.ndarray
    vm: np.ndarray
    pcpu: np.ndarray
    why: List[str]


@dataclass
class Timeline:
    """All that a drawing needs; times in ns of virtual time."""

    trace: Trace
    start: int
    end: int
    names: Dict[int, str]
    requests: requested.Requests
    scheduler: str
    vms: Dict[int, Lane]
    pcpus: Dict[int, Lane]
    picks: Picks
    exits: Points
    reasons: List[str]
    ticks: Points
    marks: List[Mark] = field(default_factory=list)
    alive: List[Tuple[int, int, bool]] = field(default_factory=list)
    left_out: List[str] = field(default_factory=list)  # groups that the run did not record


def extract(trace: Trace) -> Timeline:
    """The timeline of a whole trace."""
    names = trace.vms()
    picks = _picks(trace)
    lost = lost_from(trace)
    reasons, exits = _exits(trace)
    line = Timeline(
        trace, trace.t0, trace.t1, names, requested.extract(trace, _scheduler(trace)),
        _scheduler(trace),
        _vm_lanes(trace, names, picks, lost),
        {cpu: _pcpu_lane(trace, picks, cpu, lost.get(cpu)) for cpu in _pcpu_numbers(trace)},
        picks, exits, reasons, _ticks(trace), _marks(trace), left_out=recorded.left_out(trace))
    line.alive = _alive(trace, line)
    return line


def _pcpu_numbers(trace: Trace) -> List[int]:
    return np.unique(trace.pcpu).tolist()


def _picks(trace: Trace) -> Picks:
    records = trace.select("sched_pick")
    return Picks(records, records.ns, records.vm, records.pcpu, records.word("why"))


def _pcpu_lane(trace: Trace, picks: Picks, cpu: int, lost: Optional[int]) -> Lane:
    mine = picks.pcpu == cpu
    at, state = picks.records.index[mine], picks.vm[mine].astype(np.uint16)
    stop = pick_stops(picks.records)[mine]
    ended = stop[stop != next_picks(picks.records)[mine]]
    at = np.concatenate([at, ended])
    state = np.append(state, np.full(len(ended), HOST, np.uint16))[np.argsort(at, kind="stable")]
    at = np.sort(at)
    if not len(at) or trace.ns[at[0]] > trace.t0:
        at, state = np.append(0, at), np.append(np.uint16(NOBODY), state)
    if lost is not None:
        at, state = np.append(at, lost), np.append(state, np.uint16(LOST))
    return _lane(trace, at, state)


def _lane(trace: Trace, at: np.ndarray, state: np.ndarray) -> Lane:
    """A lane to the trace's end of states set at records; ABSENT until the first."""
    if not len(trace):
        return Lane(np.zeros(1, np.int64), state[:0], at[:0])
    return Lane(np.append(trace.ns[at], trace.t1), state, at)


def _vm_lanes(trace: Trace, names: Dict[int, str], picks: Picks,
              lost: Dict[int, int]) -> Dict[int, Lane]:
    below = [(trace.select(event), state) for event, state in
             (("vm_create", READY), ("vm_end", ABSENT), ("sched_block", BLOCKED),
              ("sched_wake", READY))]
    if not len(picks.ns):  # who ran is not known, so neither is who waited
        below = [(r, state if state == ABSENT else UNKNOWN) for r, state in below]
    stop = pick_stops(picks.records)
    first_lost = min(lost.values()) if lost else None
    lanes = {}
    for vm in names:
        parts = [(r.index[r.vm == vm], 0, state) for r, state in below]
        mine = picks.vm == vm
        parts.append((picks.records.index[mine], 1, KEEP))
        ends = stop[mine]
        parts.append((ends[ends >= 0], -1, KEEP))
        lanes[vm] = _vm_lane(trace, parts, first_lost)
    return lanes


def _vm_lane(trace: Trace, parts: List[Tuple[np.ndarray, int, int]], lost: Optional[int]) -> Lane:
    """Join points (record, change of the number of CPUs, state below RUN) to spans."""
    at = np.concatenate([p[0] for p in parts]).astype(np.int64)
    change = np.concatenate([np.full(len(p[0]), p[1]) for p in parts])
    below = np.concatenate([np.full(len(p[0]), p[2], np.uint8) for p in parts])
    order = np.argsort(at, kind="stable")
    if lost is not None:
        order = order[at[order] < lost]
    at, running, below = at[order], np.cumsum(change[order]), below[order]
    known = np.maximum.accumulate(np.where(below != KEEP, np.arange(len(below)), -1))
    state = np.where(known >= 0, below[known], READY).astype(np.uint8)
    state[running > 0] = RUN
    at, state = _settle(at, state)
    if len(trace) and (not len(at) or trace.ns[at[0]] > trace.t0):
        at, state = np.append(0, at), np.append(np.uint8(ABSENT), state)
    if lost is not None:
        at, state = np.append(at, lost), np.append(state, np.uint8(UNKNOWN))
    return _lane(trace, at, state)


def _settle(at: np.ndarray, state: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Keep the last of several points at one record, and only real changes."""
    if not len(at):
        return at, state
    last = np.append(at[1:] != at[:-1], True)
    at, state = at[last], state[last]
    new = np.append(True, state[1:] != state[:-1])
    return at[new], state[new]


def _exits(trace: Trace) -> Tuple[List[str], Points]:
    """All exits; kind is a place in the list of reasons, the most frequent first."""
    records = trace.select("exit")
    values, kind, counts = np.unique(records["reason"], return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    words = [trace.schema.word("exit_reason", int(v)) for v in values[order]]
    return words, Points(records.ns, records.vm, place[kind], np.ones(len(records), np.int64))


def _ticks(trace: Trace) -> Points:
    """Timer ticks; kind is a place in TICKS, count the number of ticks."""
    chosen = [trace.select(f"timer_{kind}") for kind in TICKS]
    index = np.concatenate([r.index for r in chosen])
    kind = np.concatenate([np.full(len(r), k) for k, r in enumerate(chosen)])
    count = np.concatenate([r["ticks"].astype(np.int64) for r in chosen])
    order = np.argsort(index, kind="stable")
    index = index[order]
    return Points(trace.ns[index], trace.vm[index], kind[order], count[order])


def _marks(trace: Trace) -> List[Mark]:
    marks = []
    created, ended, panics = (trace.select(e) for e in ("vm_create", "vm_end", "panic"))
    for i, (ns, vm) in enumerate(zip(created.ns.tolist(), created.vm.tolist())):
        marks.append(Mark(ns, vm, "create", created.text(i)))
    for i, (ns, vm, how) in enumerate(zip(ended.ns.tolist(), ended.vm.tolist(),
                                          ended.word("how"))):
        short, why = how.lower().replace("_", " "), ended.text(i)
        told = all(word in why.lower() for word in short.split() if len(word) > 3)
        text = why if told else ": ".join(word for word in (short, why) if word)
        marks.append(Mark(ns, vm, "end", text, short))
    for i, ns in enumerate(panics.ns.tolist()):
        marks.append(Mark(ns, 0, "panic", panics.text(i)))
    return sorted(marks, key=lambda m: m.ns)


def _scheduler(trace: Trace) -> str:
    started = trace.select("sched_start")
    return started.text(0) if len(started) else ""


def _alive(trace: Trace, line: Timeline) -> List[Tuple[int, int, bool]]:
    """(ns, VM, whether it is there from now on), in time order."""
    changes = [(trace.t0, vm, True) for vm, lane in line.vms.items()
               if len(lane) and lane.state[0] != ABSENT]
    for vm, lane in line.vms.items():
        there = _last_known(lane.state) != ABSENT
        turn = np.flatnonzero(there[1:] != there[:-1]) + 1
        changes += [(int(lane.edge[i]), vm, bool(there[i])) for i in turn]
    return sorted(changes, key=lambda c: c[0])


def _last_known(state: np.ndarray) -> np.ndarray:
    """States with each UNKNOWN replaced by the one before it."""
    place = np.maximum.accumulate(np.where(state != UNKNOWN, np.arange(len(state)), 0))
    return state[place]
