"""The lives of VMs in a trace: from creation to creation anew, and when each ran.

A VM number may be used again (restart=); every life is judged by itself. A VM is
made until its vCPU is there, running from the sched_pick that chooses it to the next
one of that CPU, blocked from sched_block to sched_wake, and ready otherwise: that
time is stolen from it.
What it does not do: judge; several vCPUs of one VM are not told apart.
"""
from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

MADE, READY, RUNNING, BLOCKED, ENDED = "made", "ready", "running", "blocked", "ended"


@dataclass
class Life:
    """One VM from its vm_create to the next one, with what it did when."""

    vm: int
    first: int                      # index of the vm_create record
    created: int                    # its virtual time, ns
    args: str = ""
    root: int = 0
    last: Optional[int] = None      # index of the record that follows the life; None: the end
    destroyed: bool = False
    changes: List[Tuple[int, int, str]] = field(default_factory=list)   # index, ns, state
    _times: List[int] = field(default_factory=list)     # the times of the changes
    _stolen: List[int] = field(default_factory=list)    # in all, at each change

    def holds(self, index: int) -> bool:
        return self.first <= index and (self.last is None or index < self.last)

    def state_at_record(self, index: int) -> str:
        """The state once the record `index` was written."""
        place = bisect_right(self.changes, (index, 1 << 63, "~")) - 1
        return self.changes[place][2] if place >= 0 else MADE

    def near(self, ns: int, slack: int) -> List[str]:
        """All states within `slack` ns of an instant."""
        low = bisect_right(self._times, ns - slack - 1)
        high = bisect_right(self._times, ns + slack)
        found = {state for _, _, state in self.changes[low:high]}
        found.add(self.changes[low - 1][2] if low else MADE)
        return sorted(found)

    def stolen_at(self, ns: int) -> int:
        """Nanoseconds until `ns` in which the VM was ready but did not run."""
        place = bisect_right(self._times, ns) - 1
        if place < 0:
            return 0
        total = self._stolen[place]
        _, since, state = self.changes[place]
        return total + (ns - since if state == READY else 0)

    def switches_until(self, ns: int) -> int:
        """How often the state had changed by then."""
        return bisect_right(self._times, ns)

    def close(self) -> None:
        """Sum up the stolen time at every change; call it once all are known."""
        total, since, state = 0, self.created, MADE
        for _, when, new in self.changes:
            total += when - since if state == READY else 0
            self._stolen.append(total)
            self._times.append(when)
            since, state = when, new


def lives(trace: Any) -> List[Life]:
    """Every life in the trace, in the order of creation."""
    created = trace.select("vm_create")
    roots, times = created["root"], created.ns
    found: List[Life] = []
    open_: Dict[int, Life] = {}
    for i, (vm, index) in enumerate(zip(created.vm.tolist(), created.index.tolist())):
        life = Life(vm, index, int(times[i]), created.text(i), int(roots[i]))
        if vm in open_:
            open_[vm].last = index
        open_[vm] = life
        found.append(life)
    destroyed = trace.select("vm_destroy")
    for vm, index in zip(destroyed.vm.tolist(), destroyed.index.tolist()):
        life = holder(found, vm, index)
        if life is not None:
            life.destroyed = True
    _trace_states(trace, found)
    return found


def holder(found: List[Life], vm: int, index: int) -> Optional[Life]:
    """The life of VM `vm` that record `index` belongs to; None before the first."""
    place = bisect_right([life.first for life in found], index)
    return next((life for life in reversed(found[:place]) if life.vm == vm), None)


def _trace_states(trace: Any, found: List[Life]) -> None:
    """Fill in the changes of every life from the scheduler's records."""
    current: Dict[int, int] = {}                # pCPU -> VM that runs there
    alive: Dict[int, Life] = {}
    begins = {life.first: life for life in found}
    for index, ns, name, vm, pcpu in _scheduling(trace):
        if name == "vm_create":
            alive[vm] = begins[index]
        elif name == "sched_pick":
            before = current.get(pcpu, 0)
            current[pcpu] = vm
            if before != vm:
                _change(alive.get(before), index, ns, READY, only_from=RUNNING)
                _change(alive.get(vm), index, ns, RUNNING)
        elif name == "vcpu_create":
            _change(alive.get(vm), index, ns, READY, only_from=MADE)
        elif name == "sched_block":
            _change(alive.get(vm), index, ns, BLOCKED)
        elif name == "sched_wake":
            _change(alive.get(vm), index, ns, RUNNING if vm in current.values() else READY,
                    only_from=BLOCKED)
        elif name == "vm_end":
            _change(alive.get(vm), index, ns, ENDED)
            current = {cpu: (0 if who == vm else who) for cpu, who in current.items()}
    for life in found:
        life.close()


def _change(life: Optional[Life], index: int, ns: int, state: str, only_from: str = "") -> None:
    if life is None:
        return
    now = life.changes[-1][2] if life.changes else MADE
    if now != state and now != ENDED and (not only_from or now == only_from):
        life.changes.append((index, ns, state))


def _scheduling(trace: Any) -> List[Tuple[int, int, str, int, int]]:
    """(index, ns, event, vm, pcpu) of all records that change a state, in order."""
    rows: List[Tuple[int, int, str, int, int]] = []
    for name in ("vm_create", "vcpu_create", "sched_pick", "sched_block", "sched_wake", "vm_end"):
        records = trace.select(name)
        pcpus = trace.pcpu[records.index].tolist()
        rows += zip(records.index.tolist(), records.ns.tolist(), [name] * len(records.index),
                    records.vm.tolist(), pcpus)
    return sorted(rows)
