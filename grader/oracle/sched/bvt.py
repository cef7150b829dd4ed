"""Borrowed virtual time, as the reference text has it (Duda & Cheriton 1999; Xen 3.0.2).

Fixed here where the text leaves a choice: evt follows avt and warp at every moment, so a
unit that warps again competes with it at once; what run time costs is counted when the next
decision is made, over all that was charged since the last.
"""
from __future__ import annotations

from typing import List, Optional

from grader.oracle.sched.common import MS, NEVER, US, Decision, Params, Scheduler, Unit, ceil_div

MCU = 100 * US
C = 5 * MS


class Bvt(Scheduler):
    """One CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.svt = 0
        self.queue: List[Unit] = []         # all that are runnable, the running one too
        self.current: Optional[Unit] = None
        self.start = self.timer = self.uncharged = 0
        self.warp_timer = NEVER             # of the current unit
        self.due = False

    @staticmethod
    def evt(unit: Unit) -> int:
        """Effective virtual time."""
        return unit.state["avt"] - (unit.params.warp if unit.state["warped"] else 0)

    # --- Calls ---------------------------------------------------------------------

    def add(self, unit: Unit, now: int) -> None:
        self.advance(now)
        self.units.append(unit)
        unit.state = {"avt": 0, "warped": unit.params.warp > 0, "unwarp": NEVER}
        self.wake(unit, now)

    def remove(self, unit: Unit, now: int) -> None:
        self.block(unit, now)
        self.units.remove(unit)

    def wake(self, unit: Unit, now: int) -> None:
        self.advance(now)
        if unit.runnable:
            return
        unit.runnable = True
        unit.state["avt"] = max(unit.state["avt"], self.svt)
        unit.since = now
        self.queue.append(unit)
        if self.current is None:
            self.due = True
            return
        adv = self.current.params.mcu_adv
        ce = self.evt(self.current) + ceil_div(self.uncharged, MCU) * adv
        if self.evt(unit) <= ce:
            self.due = True
        else:
            self.timer = min(self.timer, self.start + (self.evt(unit) - ce) // adv * MCU + C)

    def block(self, unit: Unit, now: int) -> None:
        self.advance(now)
        if not unit.runnable:
            return
        unit.runnable = False
        if unit is self.current:
            self.deschedule()
            self.due = True
        self.queue.remove(unit)

    def end_turn(self, unit: Unit, now: int) -> None:
        self.advance(now)
        if unit is self.current:
            self.due = True

    def charge(self, unit: Unit, ran: int, now: int) -> None:
        if unit is self.current:
            self.uncharged += ran

    def pick(self, cpu: int, now: int) -> Decision:
        self.advance(now)
        if self.due or now >= self.timer:
            self.schedule(now)
        return self.decision()

    # --- The algorithm ---------------------------------------------------------------

    def deschedule(self) -> None:
        """The current unit pays for its run; its warp timer stops."""
        assert self.current is not None
        self.current.state["avt"] += ceil_div(self.uncharged, MCU) * self.current.params.mcu_adv
        self.uncharged = 0
        self.warp_timer = NEVER
        self.current = None

    def in_order(self) -> List[Unit]:
        return sorted(self.queue, key=lambda u: (self.evt(u), u.since, u.number))

    def schedule(self, now: int) -> None:
        prev = self.current
        if prev is not None:
            self.deschedule()
            prev.since = now                # to the tail
        self.take_changes(now)
        order = self.in_order()
        if order:
            self.svt = min(unit.state["avt"] for unit in order)
            self.current = order[0]
        self.due, self.start = False, now
        self.timer = now + self.slice(order)
        n1 = self.current
        if n1 is not None and n1.state["warped"] and n1.params.warpl > 0:
            self.warp_timer = now + n1.params.warpl

    def slice(self, order: List[Unit]) -> int:
        if not order:
            return C
        if len(order) == 1:
            return 10 * C
        n1, n2 = order[:2]
        return (self.evt(n2) - self.evt(n1)) // n1.params.mcu_adv * MCU + C

    def change(self, unit: Unit, params: Params, now: int) -> None:
        super().change(unit, params, now)
        unit.state["warped"] = params.warp > 0
        unit.state["unwarp"] = NEVER

    def advance(self, now: int) -> None:
        while True:
            timers = [(u.state["unwarp"], u.number, u) for u in self.units]
            if self.current is not None:
                timers.append((self.warp_timer, self.current.number, self.current))
            at, _, unit = min(timers, default=(NEVER, (0, 0), None), key=lambda t: t[:2])
            if unit is None or at > now or at == NEVER:
                return
            if unit.state["unwarp"] == at:
                unit.state["unwarp"] = NEVER
                if unit.params.warp > 0:
                    unit.state["warped"] = True
                    self.due = True
            else:
                self.warp_timer = NEVER
                unit.state["warped"] = False
                if unit.params.warpu == 0:
                    self.due = True
                else:
                    unit.state["unwarp"] = at + unit.params.warpu

    def decision(self) -> Decision:
        unwarp = min((u.state["unwarp"] for u in self.units), default=NEVER)
        until = min(self.timer, self.warp_timer, unwarp)
        if self.current is None:
            return Decision(None, until, 0, None, 0, 0)
        others = [unit for unit in self.in_order() if unit is not self.current]
        other = others[0] if others else None
        return Decision(self.current.number, until, self.evt(self.current),
                        other.number if other else None, self.evt(other) if other else 0,
                        len(self.queue))
