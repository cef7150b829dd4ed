"""SEDF, as the reference text has it (Xen 3.0.3): earliest deadline first, with extra time.

Fixed here where the text leaves a choice: who has no extratime is on neither extra queue
(extratime off is the text's non-work-conserving case: such a VM never exceeds its slice);
a unit joins L1 with the score it had when it left, 0 at first; slice 0 does not occur, since
admission refuses it.
"""
from __future__ import annotations

from typing import List, Optional

from grader.oracle.sched.common import NEVER, US, Decision, Params, Scheduler, Unit, ceil_div

EXTRA_QUANTUM = 500 * US
FULL = 10**6


def utilisation(params: Params) -> int:
    """What a VM asks for, in ppm, rounded up."""
    return ceil_div(params.slice * FULL, params.period)


class Queue(List[Unit]):
    """Units, each with the time it was queued here."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def join(self, unit: Unit, now: int) -> None:
        if unit not in self:
            self.append(unit)
            unit.state["since " + self.name] = now

    def leave(self, unit: Unit) -> None:
        if unit in self:
            self.remove(unit)


class Sedf(Scheduler):
    """One CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.run, self.wait = Queue("run"), Queue("wait")
        self.l0, self.l1 = Queue("l0"), Queue("l1")
        self.current: Optional[Unit] = None
        self.kind = "idle"                  # EDF, L0, L1: as what the current one runs
        self.ran = self.expires = 0
        self.due = False

    def key(self, queue: Queue, unit: Unit) -> int:
        if queue is self.run:
            return unit.state["d"]
        if queue is self.wait:
            return self.begin(unit)
        return unit.state["score0" if queue is self.l0 else "score1"]

    def order(self, queue: Queue) -> List[Unit]:
        return sorted(queue, key=lambda u: (self.key(queue, u), u.state["since " + queue.name],
                                            u.number))

    @staticmethod
    def begin(unit: Unit) -> int:
        return unit.state["d"] - unit.params.period

    # --- Calls ---------------------------------------------------------------------

    def admits(self, unit: Unit, params: Params) -> bool:
        """Whether the sum of what all ask for, as set last, stays within one CPU."""
        asked = {id(u): u.params for u in self.units}
        asked.update({id(u): p for u, p in self.changes})
        asked[id(unit)] = params
        return sum(map(utilisation, asked.values())) <= FULL

    def add(self, unit: Unit, now: int) -> None:
        self.units.append(unit)
        unit.state = {"d": 0, "cputime": 0, "penalty": 0, "score0": 0, "score1": 0}
        self.wake(unit, now)

    def remove(self, unit: Unit, now: int) -> None:
        self.block(unit, now)
        self.units.remove(unit)
        self.changes = [change for change in self.changes if change[0] is not unit]

    def wake(self, unit: Unit, now: int) -> None:
        if unit.runnable:
            return
        unit.runnable = True
        s, p = unit.state, unit.params
        if s["d"] == 0:
            s["d"] = now + p.slice
        if now < self.begin(unit):
            if s["penalty"] and p.extratime:
                self.l0.join(unit, now)
        elif now < s["d"]:                  # a short block
            s["penalty"] = max(0, p.slice - s["cputime"])
            s["d"] += p.period
            if s["penalty"] and p.extratime:
                s["score0"] = (p.period << 10) // s["penalty"]
                self.l0.join(unit, now)
            s["cputime"] = 0
        else:                               # a long one
            s["d"] = now + p.period
            s["cputime"] = 0
        if p.extratime:
            self.l1.join(unit, now)
        (self.wait if self.begin(unit) > now else self.run).join(unit, now)
        if self.interrupts(unit):
            self.due = True

    def interrupts(self, unit: Unit) -> bool:
        if self.begin(unit) < self.expires or self.kind == "idle":
            return True
        if self.kind == "L0":
            assert self.current is not None
            return unit in self.l0 and unit.state["score0"] < self.current.state["score0"]
        return self.kind == "L1" and unit in self.l0

    def block(self, unit: Unit, now: int) -> None:
        if not unit.runnable:
            return
        unit.runnable = False
        if unit is self.current:
            self.deschedule(now)
            self.due = True
        for queue in (self.run, self.wait, self.l0, self.l1):
            queue.leave(unit)

    def end_turn(self, unit: Unit, now: int) -> None:
        if unit is self.current:
            self.due = True

    def charge(self, unit: Unit, ran: int, now: int) -> None:
        if unit is self.current:
            self.ran += ran

    def pick(self, cpu: int, now: int) -> Decision:
        if self.due or now >= self.expires:
            self.schedule(now)
        return self.decision()

    # --- The algorithm ---------------------------------------------------------------

    def deschedule(self, now: int) -> None:
        """What becomes of the unit that ran; block() takes one that blocked off all queues."""
        unit = self.current
        assert unit is not None
        s, p = unit.state, unit.params
        if self.kind == "EDF":
            s["cputime"] += self.ran
            if s["cputime"] >= p.slice:
                s["cputime"] -= p.slice
                s["d"] += p.period
                self.run.leave(unit)
                self.wait.join(unit, now)
        elif self.kind == "L0":
            s["penalty"] = 0
            self.l0.leave(unit)
        else:
            old = s["score1"]
            self.l1.leave(unit)
            for peer in self.l1:
                peer.state["score1"] -= old
            s["score1"] = 2**17 // p.extraweight if p.extraweight else (p.period << 10) // p.slice
            self.l1.join(unit, now)
        self.current, self.kind, self.ran = None, "idle", 0

    def schedule(self, now: int) -> None:
        if self.current is not None:
            self.deschedule(now)
        self.take_changes(now)
        for unit in [each for each in self.order(self.wait) if self.begin(each) <= now]:
            self.wait.leave(unit)
            self.run.join(unit, now)
        while self.run and self.fix(self.order(self.run)[0], now):
            pass
        self.due = False
        self.choose(now)

    def fix(self, unit: Unit, now: int) -> bool:
        """Whether the head had to be mended: a deadline passed, or too much used."""
        s, p = unit.state, unit.params
        if s["d"] >= now and s["cputime"] <= p.slice:
            return False
        s["d"] += max(1, ceil_div(now - s["d"], p.period)) * p.period
        s["cputime"] = 0
        self.run.leave(unit)
        (self.wait if self.begin(unit) > now else self.run).join(unit, now)
        return True

    def choose(self, now: int) -> None:
        next_begin = self.begin(self.order(self.wait)[0]) if self.wait else NEVER
        if self.run:
            self.current, self.kind = self.order(self.run)[0], "EDF"
            left = self.current.params.slice - self.current.state["cputime"]
            self.expires = min(now + left, next_begin)
            return
        self.expires = next_begin
        if next_begin == NEVER or next_begin - now < EXTRA_QUANTUM:
            return
        for queue, kind in ((self.l0, "L0"), (self.l1, "L1")):
            if queue:
                self.current, self.kind = self.order(queue)[0], kind
                self.expires = now + EXTRA_QUANTUM
                return

    def change(self, unit: Unit, params: Params, now: int) -> None:
        super().change(unit, params, now)
        if not params.extratime:
            self.l0.leave(unit)
            self.l1.leave(unit)
        elif unit.runnable:
            self.l1.join(unit, now)

    def decision(self) -> Decision:
        count = len(self.run) + len(self.wait)
        if self.current is None:
            return Decision(None, self.expires, 0, None, 0, count)
        queue = {"EDF": self.run, "L0": self.l0, "L1": self.l1}[self.kind]
        others = [unit for unit in self.order(queue) if unit is not self.current]
        other = others[0] if others else None
        return Decision(self.current.number, self.expires, self.key(queue, self.current),
                        other.number if other else None, self.key(queue, other) if other else 0,
                        count)
