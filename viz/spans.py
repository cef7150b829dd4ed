"""Stretches of time that follow from records: who ran, was in the guest, blocked, alive.

A VM runs from the sched_pick that chose it to the next one of the same pCPU
(handouts/formats.md, section 1.4), but no longer than it lives: what the CPU does
after a VM's end, until the next decision, is the host's work.  Where records were
lost all stretches end, since nobody knows how they went on.
"""

from __future__ import annotations

from typing import Dict, NamedTuple

import numpy as np

from viz.trace import Records, Trace


class Spans(NamedTuple):
    """Stretches of time, one item each: [start, end) in ns, whose and where."""

    start: np.ndarray
    end: np.ndarray
    vm: np.ndarray
    pcpu: np.ndarray


def lost_from(trace: Trace) -> Dict[int, int]:
    """pCPU -> first record after which its buffer was full, where it dropped any.

    What comes after that record is only a panic, in the room kept for it.
    """
    result: Dict[int, int] = {}
    panic = trace.schema.by_name.get("panic")
    for buffer in trace.header.buffers:
        if buffer.dropped:
            normal = (trace.pcpu == buffer.cpu) & (trace.event != (panic.number if panic else 0))
            index = np.flatnonzero(normal)
            result[buffer.cpu] = int(index[-1]) if len(index) else 0
    return result


def known_end(trace: Trace) -> int:
    """The time in ns up to which every CPU's records are there."""
    lost = lost_from(trace)
    return int(trace.ns[min(lost.values())]) if lost and len(trace) else trace.t1


def next_picks(picks: Records) -> np.ndarray:
    """For each pick the record of the next one of the same pCPU, -1 for the last."""
    result = np.full(len(picks), -1, np.int64)
    pcpu = picks.pcpu
    for cpu in np.unique(pcpu):
        own = np.flatnonzero(pcpu == cpu)
        result[own[:-1]] = picks.index[own[1:]]
    return result


def pick_stops(picks: Records) -> np.ndarray:
    """For each pick the record at which the VM chosen stops running: the next pick or its
    own end; -1 where neither is in the trace."""
    stops, ends = next_picks(picks), picks.trace.select("vm_end")
    vm = picks.vm
    for number in np.unique(ends.vm):
        own = np.flatnonzero(vm == number)
        mine = ends.index[ends.vm == number]
        place = np.searchsorted(mine, picks.index[own])
        end = np.append(mine, -1)[place]
        sooner = (end >= 0) & ((stops[own] < 0) | (end < stops[own]))
        stops[own[sooner]] = end[sooner]
    return stops


def _spans(picks: Records, stops: np.ndarray) -> Spans:
    trace, last = picks.trace, known_end(picks.trace)
    ns = trace.ns[stops] if len(trace) else stops
    end = np.minimum(np.where(stops >= 0, ns, last), last)
    return Spans(picks.ns, np.maximum(end, picks.ns), picks.vm, picks.pcpu)


def run_spans(trace: Trace) -> Spans:
    """Who ran when; VM 0 is idle."""
    picks = trace.select("sched_pick")
    return _spans(picks, pick_stops(picks))


def decided_spans(trace: Trace) -> Spans:
    """The time for which a decision holds: run_spans() and the host's work after a VM's end."""
    picks = trace.select("sched_pick")
    return _spans(picks, next_picks(picks))


def guest_spans(trace: Trace) -> Spans:
    """Time inside the guest: from each entry to the exit that follows it."""
    entry, leave = trace.select("entry"), trace.select("exit")
    index = np.concatenate([entry.index, leave.index])
    is_entry = np.arange(len(index)) < len(entry)
    order = np.lexsort((index, trace.pcpu[index]))
    index, is_entry = index[order], is_entry[order]
    pcpu, vm = trace.pcpu[index], trace.vm[index]
    pair = np.flatnonzero(is_entry[:-1] & ~is_entry[1:] & (pcpu[:-1] == pcpu[1:])
                          & (vm[:-1] == vm[1:]))
    return Spans(trace.ns[index[pair]], trace.ns[index[pair + 1]], vm[pair], pcpu[pair])


def blocked_spans(trace: Trace) -> Spans:
    """Time blocked: from sched_block to sched_wake (or the VM's end, or the trace's)."""
    return _between(trace, ("sched_block",), ("sched_wake", "vm_end"))


def alive_spans(trace: Trace) -> Spans:
    """From vm_create to vm_end (or the trace's end), each generation by itself."""
    return _between(trace, ("vm_create",), ("vm_end",))


def _between(trace: Trace, opens: tuple, closes: tuple) -> Spans:
    parts = [trace.select(name) for name in opens + closes]
    index = np.concatenate([part.index for part in parts])
    opening = np.concatenate([np.full(len(part), name in opens)
                              for part, name in zip(parts, opens + closes)])
    order = np.lexsort((index, trace.vcpu[index], trace.vm[index]))
    index, opening = index[order], opening[order].astype(bool)
    owner = trace.vm[index].astype(np.int64) * 256 + trace.vcpu[index]
    end = np.full(len(index), known_end(trace), np.int64)
    follows = owner[:-1] == owner[1:]
    end[:-1][follows] = trace.ns[index[1:]][follows]
    keep = np.flatnonzero(opening)
    return Spans(trace.ns[index[keep]], end[keep], trace.vm[index[keep]],
                 trace.pcpu[index[keep]])


def sum_spans(spans: Spans, vm: int) -> int:
    """Total length of a VM's spans in ns."""
    own = spans.vm == vm
    return int((spans.end[own] - spans.start[own]).sum())
