"""What the scheduler knows of each VM, as a strip of the still timeline.

Credits and priority, virtual time and warp, or what is left of a slice and the deadlines:
from the records sched_credit, sched_bvt and sched_sedf, each of which holds until the VM's
next one.  timeline_sched.js draws the same in the browser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np
from matplotlib import pyplot as plt

from viz.style import LIGHT as T
from viz.timeline_data import RUN, Timeline

LABELS = {"credit": "credits", "bvt": "evt - svt", "sedf": "slice left"}
BANDS: Dict[str, Tuple[str, ...]] = {  # by the number that a record holds; "": none
    "credit": (T.good, T.line, T.warn, T.bad), "bvt": ("", T.warn),
    "sedf": ("", T.line, T.good, T.warn)}
NAMES: Dict[str, Tuple[str, ...]] = {
    "credit": ("BOOST", "UNDER", "OVER", "parked"), "bvt": ("", "warped"),
    "sedf": ("", "by its slice", "extra time L0", "extra time L1")}
MOST_DEADLINES, MOST_RECORDS, BUCKETS = 60, 3000, 1000
H = 0.30  # inches


@dataclass
class Known:
    """One VM's records: when, the value drawn, the band's number, the deadlines."""

    ns: np.ndarray
    value: np.ndarray
    band: np.ndarray
    deadline: np.ndarray


@dataclass
class Strips:
    """All VMs' records, and the range of their values."""

    scheduler: str
    of: Dict[int, Known]
    low: float
    high: float


def extract(line: Timeline) -> Optional[Strips]:
    """None if the run's scheduler leaves no such records, or they were not recorded."""
    if line.scheduler not in LABELS:
        return None
    records = line.trace.select(f"sched_{line.scheduler}")
    if not len(records):
        return None
    field = {name: records[name].astype(np.int64) for name, _ in records.event.fields}
    none = np.zeros(len(records), np.int64)
    if line.scheduler == "credit":
        value, band = field["credit"], np.where(field["parked"] > 0, 3, field["pri"])
    elif line.scheduler == "bvt":
        value, band = field["evt"] - field["svt"], field["warped"]
    else:
        value, band = (field["slice"] - field["used"]).clip(0), field["as"]
    low, high = (-300, 300) if line.scheduler == "credit" else (min(0, value.min()),
                                                               max(1, value.max()))
    found, vms, ns = {}, records.vm, records.ns
    for vm in line.names:
        mine = vms == vm
        found[vm] = Known(ns[mine], value[mine], band[mine],
                          field.get("deadline", none)[mine])
    return Strips(line.scheduler, found, float(low), float(high))


def draw(ax: plt.Axes, line: Timeline, strips: Strips, vm: int, y: float) -> bool:
    """The strip of a VM at height y..y+H of the plot; False: only the extremes of buckets."""
    start, end = ax.get_xlim()
    ax.broken_barh([(start, end - start)], (y, H), facecolor=T.panel)
    known = _within(strips.of[vm], start, end)
    scale = (known.value.clip(strips.low, strips.high) - strips.low) / (strips.high - strips.low)
    at = y + 0.02 + (H - 0.04) * (1 - scale)
    if len(at) > MOST_RECORDS:
        bucket = ((known.ns.clip(start) - start) * BUCKETS // (end - start)).astype(np.int64)
        first = np.flatnonzero(np.diff(bucket, prepend=-1))
        ax.vlines(start + (bucket[first] + 0.5) * (end - start) / BUCKETS,
                  np.minimum.reduceat(at, first), np.maximum.reduceat(at, first) + 0.01,
                  color=T.vm(vm), linewidth=0.7)
        return False
    _bands(ax, line, strips, known, vm, y)
    ax.plot(np.append(known.ns, line.end), np.append(at, at[-1:]), drawstyle="steps-post",
            color=T.vm(vm), linewidth=1.0)
    deadlines = [t for t in np.unique(known.deadline).tolist() if max(1, start) <= t <= end]
    if len(deadlines) <= MOST_DEADLINES:
        ax.vlines(deadlines, y - 0.06, y + H, color=T.bad, linewidth=0.9)
    return True


def _within(known: Known, start: float, end: float) -> Known:
    """What is known in start..end: the record before it, too."""
    low = max(0, int(np.searchsorted(known.ns, start, "right")) - 1)
    keep = slice(low, int(np.searchsorted(known.ns, end, "right")))
    return Known(known.ns[keep], known.value[keep], known.band[keep], known.deadline[keep])


def _bands(ax: plt.Axes, line: Timeline, strips: Strips, known: Known, vm: int, y: float) -> None:
    """Until the next record; how a VM runs under sedf is told of the run, not of what follows."""
    ends = np.append(known.ns[1:], line.end)
    if strips.scheduler == "sedf":
        ends = np.minimum(ends, _run_ends(line, vm, known.ns))
    for number, color in enumerate(BANDS[strips.scheduler]):
        mine = np.flatnonzero((known.band == number) & (ends > known.ns))
        if color and len(mine):
            ax.broken_barh(list(zip(known.ns[mine], ends[mine] - known.ns[mine])), (y, H),
                           facecolor=color, alpha=0.35, linewidth=0)


def _run_ends(line: Timeline, vm: int, ns: np.ndarray) -> np.ndarray:
    """When the run ends that the VM is in at each time; that time if it is in none."""
    lane = line.vms[vm]
    place = np.searchsorted(lane.edge, ns, "right") - 1
    place = place.clip(0, max(0, len(lane) - 1))
    return np.where(lane.state[place] == RUN, lane.edge[place + 1], ns)


def legend(strips: Strips) -> List[Tuple[str, str]]:
    """Names and colours of the bands, and of deadlines."""
    pairs = [(name, color) for name, color in
             zip(NAMES[strips.scheduler], BANDS[strips.scheduler]) if color]
    return pairs + ([("deadline", T.bad)] if strips.scheduler == "sedf" else [])
