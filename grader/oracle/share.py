"""Shares of the CPU, recomputed from the scheduler's records.

A VM has the CPU from the sched_pick that chooses it to the next one of that CPU.
What it does not do: subtract the VMM's own work for a guest; who was chosen pays.
"""
from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np


def run_times(trace: Any, start: int = 0, end: Optional[int] = None) -> Dict[int, int]:
    """Nanoseconds of CPU that each VM had between two virtual times; 0 is idle.

    `end` None means the time of the last record.
    """
    if len(trace.ns) == 0:
        return {}
    last = int(trace.ns.max()) if end is None else end
    picks = trace.select("sched_pick")
    pcpus = trace.pcpu[picks.index]
    totals: Dict[int, int] = {}
    for cpu in np.unique(pcpus):
        mine = pcpus == cpu
        begins = np.clip(picks.ns[mine].astype(np.int64), start, last)
        ends = np.append(begins[1:], last)
        vms = picks.vm[mine]
        for vm in np.unique(vms):
            ran = int((ends - begins)[vms == vm].sum())
            totals[int(vm)] = totals.get(int(vm), 0) + ran
    return totals


def shares(trace: Any, start: Optional[int] = None, end: Optional[int] = None) -> Dict[int, float]:
    """Each VM's part of one CPU, 0.0 to 1.0 (more on several CPUs), and idle's under 0.

    Without `start` time counts from the first sched_pick. ValueError if the span is empty.
    """
    picks = trace.select("sched_pick")
    if len(picks.index) == 0:
        raise ValueError("the trace holds no scheduling decision")
    first = int(picks.ns.min()) if start is None else start
    last = int(trace.ns.max()) if end is None else end
    if last <= first:
        raise ValueError(f"no time passes between {first} and {last} ns")
    return {vm: ran / (last - first) for vm, ran in run_times(trace, first, last).items()}
