"""A small honest VMM timer in Python that writes traces for the tests of the timer oracle.

One VM is scheduled, descheduled, and closes its interrupts as a script of segments
says; its timer follows the published policy table. It is the tests' model of right
behaviour, apart from both the VMM and the oracle.
"""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import List, Optional

from viz.tests.synth import TraceWriter
from viz.trace import Trace, load

HZ = 1193182
CREATED = 1000


@dataclass
class Segment:
    """For `ns` the VM runs or is kept waiting, with interrupts on or off, or halts."""

    ns: int
    running: bool = True
    open: bool = True
    halted: bool = False
    reload: int = 0             # not 0: at its start the guest programs a new rate


class Sim:
    """Plays segments; every event of the timer is a record."""

    def __init__(self, path: Path, policy: str, view: str = "WALL", reload: int = 11932,
                 mode: int = 2) -> None:
        self.w = TraceWriter(path)
        self.policy, self.view = policy, view
        self.now = self.created = CREATED
        self.stolen = self.waiting_since = 0
        self.due = self.delivered = self.discarded = 0
        self.offered, self.late, self.owed, self.slew_next = 0, 0, 0, 0
        self.w.emit("vm_create", vm=1, ns=self.now, args="ticker")
        self.w.emit("vm_create", vm=2, ns=self.now, args="greedy")
        for vm in (1, 2):
            self.w.emit("vcpu_create", vm=vm, ns=self.now)
        self.w.emit("sched_pick", vm=1, ns=self.now, why="FIRST")
        self.program(reload, mode)

    def clock(self) -> int:
        stolen = self.stolen if self.view == "APPARENT" else 0
        return self.now - self.created - stolen

    def program(self, reload: int, mode: int) -> None:
        self.start, self.reload, self.mode, self.counted = self.clock(), reload, mode, 0
        self.w.emit("timer_program", vm=1, ns=self.now, mode=mode, reload=reload, start=self.start,
                    policy=self.policy, view=self.view)

    def time_of(self, n: int) -> int:
        exact = Fraction(n * self.reload * 10 ** 9, HZ)
        return self.start + -(-exact.numerator // exact.denominator)

    def backlog(self) -> int:
        return self.offered + self.late + self.owed

    def record(self, event: str, ticks: int) -> None:
        self.w.emit(event, vm=1, ns=self.now, ticks=ticks, due=self.due, delivered=self.delivered,
                    backlog=self.backlog(), discarded=self.discarded, at=self.clock())

    def advance(self, could_take: bool) -> None:
        ticks = 0
        limit = 1 if self.mode == 0 else 1 << 60
        while self.counted + ticks < limit and self.time_of(self.counted + ticks + 1) <= self.clock():
            ticks += 1
        if not ticks:
            return
        self.counted += ticks
        self.due += ticks
        on_time = could_take and not self.offered and not self.late
        self.offered += on_time
        self.late += ticks - on_time
        self.record("timer_due", ticks)

    def offer(self) -> bool:
        """The guest can take a tick now: apply the policy; whether one is offered."""
        late = self.late
        if self.offered:
            return True                     # the moment for late ones comes after it
        if late and self.policy == "DISCARD":
            self.drop(late)
        elif late:
            self.late, self.offered = 0, 1
            if self.policy == "MERGE":
                self.late = late - 1
                if late > 1:
                    self.drop(late - 1)
            else:
                self.owed += late - 1
            self.slew_next = self.clock() + self.spacing()
        elif self.policy == "SLEW" and self.owed and self.clock() >= self.slew_next:
            self.owed, self.offered = self.owed - 1, 1
            self.slew_next = self.clock() + self.spacing()
        return bool(self.offered)

    def accept(self) -> None:
        self.offered = 0
        self.delivered += 1
        self.record("timer_delivered", 1)

    def spacing(self) -> int:
        period = self.reload * 10 ** 9 // HZ
        return period // (min(self.backlog() - 1, 7) + 1)

    def drop(self, ticks: int) -> None:
        self.late -= ticks
        self.discarded += ticks
        self.record("timer_dropped", ticks)

    def play(self, segments: List[Segment]) -> "Sim":
        for segment in segments:
            end = self.now + segment.ns
            if segment.reload:
                self.advance(False)
                self.program(segment.reload, self.mode)
            if not segment.running:
                self.wait(end)
                continue
            if segment.halted:
                self.w.emit("sched_block", vm=1, ns=self.now)
                self.w.emit("sched_pick", vm=0, ns=self.now)
            self.run(end, segment)
        return self

    def wait(self, end: int) -> None:
        self.w.emit("sched_pick", vm=2, ns=self.now, why="SLICE_END")
        self.stolen += end - self.now
        self.now = end
        self.w.emit("sched_pick", vm=1, ns=self.now, why="SLICE_END")
        self.advance(False)

    def run(self, end: int, segment: Segment) -> None:
        halted = segment.halted
        while True:
            if segment.open:
                self.advance(True)
                if self.offer():
                    if halted:
                        self.wake()
                    halted = False
                    self.accept()
            else:
                self.advance(False)
            upcoming = self.next_change(segment.open)
            if upcoming is None or self.now + upcoming >= end:
                break
            self.now += max(upcoming, 1)
        self.now = end
        self.advance(segment.open)
        if halted:
            self.wake()

    def wake(self) -> None:
        self.w.emit("sched_wake", vm=1, ns=self.now)
        self.w.emit("sched_pick", vm=1, ns=self.now, why="WOKEN")

    def next_change(self, open_: bool) -> Optional[int]:
        waits = [self.time_of(self.counted + 1) - self.clock()]
        if self.mode == 0 and self.counted:
            waits = []
        if self.policy == "SLEW" and self.owed and open_:
            waits.append(max(self.slew_next - self.clock(), 1))
        return min(waits) if waits else None

    def trace(self) -> Trace:
        return load(str(self.w.save()))
