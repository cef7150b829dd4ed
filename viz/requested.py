"""What each VM asks of the CPU, in its scheduler's own terms, from the records of its calls.

rr: equal parts.  bvt: by 1/mcu_adv.  credit: by weight, at most the cap.  sedf: slice/period,
whatever the others ask for; extra time is not asked for.  A change counts from its record on.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from viz.trace import Trace


@dataclass(frozen=True)
class Request:
    """A weight against the others', or a part of one CPU; and the most, as a part of it."""

    weight: float = 1.0
    part: Optional[float] = None
    most: float = 1.0


Requests = List[Tuple[int, int, Request]]  # ns, VM, what it asks for from then on


def extract(trace: Trace, scheduler: str) -> Requests:
    """All requests of a trace; of a VM with several vCPUs those of the first."""
    found: Requests = []
    for event in ("sched_add", "sched_set"):
        records = trace.select(event)
        records = records.where(records.vcpu == 0)
        columns = {name: records[name].tolist()
                   for name in ("weight", "cap", "slice", "period", "mcu_adv")}
        for i, (ns, vm) in enumerate(zip(records.ns.tolist(), records.vm.tolist())):
            words = {name: values[i] for name, values in columns.items()}
            found.append((ns, vm, _of(scheduler, words)))
    return sorted(found, key=lambda each: each[0])


def _of(scheduler: str, words: Mapping[str, int]) -> Request:
    if scheduler == "bvt":
        return Request(weight=1 / max(1, words["mcu_adv"]))
    if scheduler == "sedf":
        return Request(part=words["slice"] / max(1, words["period"]))
    if scheduler == "credit":
        return Request(weight=words["weight"], most=words["cap"] / 100 or 1.0)
    return Request()


def divide(work: float, length: float, wants: Mapping[int, Request]) -> Dict[int, float]:
    """`work` ns of CPU time within `length` ns, among VMs: fixed parts, and the rest by weight;
    nobody has more than its most, and what one cannot have the others share."""
    got = {vm: min(length, work * each.part) for vm, each in wants.items() if each.part is not None}
    open_ = {vm: each for vm, each in wants.items() if each.part is None}
    left = max(0.0, work - sum(got.values()))
    while open_:
        weights = sum(each.weight for each in open_.values())
        full = {vm: length * each.most for vm, each in open_.items()
                if left * each.weight / weights >= length * each.most}
        if not full:
            return {**got, **{vm: left * each.weight / weights for vm, each in open_.items()}}
        got.update(full)
        left = max(0.0, left - sum(full.values()))
        open_ = {vm: each for vm, each in open_.items() if vm not in full}
    return got


def rule(scheduler: str, requests: Requests) -> str:
    """How the requested shares come about, in words."""
    first: Dict[int, Request] = {}
    for _, vm, each in requests:
        first.setdefault(vm, each)
    later = ", as it is changed" if len(requests) > len(first) else ""
    if any(each.part is not None for each in first.values()):
        parts = ", ".join(f"VM {vm} {100 * (each.part or 0):.3g} %" for vm, each in first.items())
        return f"slice / period, without extra time ({parts}){later},"
    if len({each.weight for each in first.values()}) < 2:
        what = "an equal part"
    elif scheduler == "bvt":
        what = "proportional to 1/mcu_adv (mcu_adv: " + ", ".join(
            f"VM {vm} {1 / each.weight:.0f}" for vm, each in first.items()) + ")"
    else:
        what = "proportional to the weights (" + ", ".join(
            f"VM {vm} {each.weight:.0f}" for vm, each in first.items()) + ")"
    caps = [f"VM {vm} {100 * each.most:.0f} %" for vm, each in first.items() if each.most < 1]
    return what + (f", at most the cap ({', '.join(caps)})" if caps else "") + later
