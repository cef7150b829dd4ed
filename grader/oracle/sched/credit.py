"""Credit, as the reference text has it (Xen 3.0.4), on any number of CPUs.

Fixed here where the text leaves a choice: the ticks of all CPUs fall together, in the order
of the CPUs, then the accounting; who returns to the active list goes to its end; under exact
charging a vCPU returns to it as soon as it is charged, not only when a tick meets it running
(otherwise one that always yields before the tick would never be accounted); a new vCPU gets
the CPUs in turn; work is looked for from the next CPU upwards; an idle CPU looks whenever
work is queued anywhere; what an accounting unparks is queued after it has sorted the queues;
a VM's parameters are those of its first vCPU.
"""
from __future__ import annotations

from typing import Dict, List, Optional

from grader.oracle.sched.common import MS, NEVER, US, Decision, Scheduler, Unit, ceil_div

TICK, SLICE, TICKS_PER_ACCT = 10 * MS, 30 * MS, 3
PER_ACCT, PER_TICK = 300, 100
NS_PER_CREDIT = 100 * US
BOOST, UNDER, OVER, IDLE = 0, -1, -2, -64


class Credit(Scheduler):
    """charge: "exact" or "tick"."""

    def __init__(self, cpus: int = 1, charge: str = "exact") -> None:
        super().__init__()
        self.cpus, self.exact = cpus, charge == "exact"
        self.queue: List[List[Unit]] = [[] for _ in range(cpus)]
        self.current: List[Optional[Unit]] = [None] * cpus
        self.expires, self.due = [0] * cpus, [False] * cpus
        self.active: List[int] = []         # VMs
        self.balance = self.ticks = self.added = 0
        self.next_tick = TICK
        self.unparked: List[Unit] = []      # by the accounting that is under way

    def vcpus(self, vm: int, active: bool = True) -> List[Unit]:
        return [u for u in self.units if u.vm == vm and (u.state["active"] or not active)]

    # --- Calls ---------------------------------------------------------------------

    def add(self, unit: Unit, now: int) -> None:
        self.advance(now)
        unit.state = {"credit": 0, "pri": UNDER, "parked": False, "active": False, "rest": 0,
                      "cpu": self.added % self.cpus}
        self.added += 1
        self.units.append(unit)
        self.wake(unit, now)

    def remove(self, unit: Unit, now: int) -> None:
        self.block(unit, now)
        self.deactivate(unit)
        self.units.remove(unit)

    def wake(self, unit: Unit, now: int) -> None:
        self.advance(now)
        if unit.runnable:
            return
        unit.runnable = True
        if unit.state["parked"]:
            return
        if unit.state["pri"] == UNDER:
            unit.state["pri"] = BOOST
        self.come(unit, now)

    def block(self, unit: Unit, now: int) -> None:
        self.advance(now)
        if not unit.runnable:
            return
        unit.runnable = False
        cpu = unit.state["cpu"]
        if self.current[cpu] is unit:
            self.current[cpu] = None
            self.due[cpu] = True
        elif unit in self.queue[cpu]:
            self.queue[cpu].remove(unit)

    def end_turn(self, unit: Unit, now: int) -> None:
        self.advance(now)
        if self.current[unit.state["cpu"]] is unit:
            self.due[unit.state["cpu"]] = True

    def charge(self, unit: Unit, ran: int, now: int) -> None:
        if not self.exact:
            return
        credits, unit.state["rest"] = divmod(unit.state["rest"] + ran, NS_PER_CREDIT)
        unit.state["credit"] -= credits
        if credits:
            self.activate(unit)

    def pick(self, cpu: int, now: int) -> Decision:
        self.advance(now)
        if self.due[cpu] or now >= self.expires[cpu]:
            self.schedule(cpu, now)
        return self.decision(cpu)

    # --- Queues ----------------------------------------------------------------------

    def insert(self, unit: Unit, now: int) -> None:
        """Behind equals; of those that came in this instant, by number."""
        queue = self.queue[unit.state["cpu"]]
        unit.since = now
        at = len([u for u in queue if u.state["pri"] >= unit.state["pri"]])
        while at > 0:
            before = queue[at - 1]
            if before.state["pri"] != unit.state["pri"] or before.since != now \
                    or before.number < unit.number:
                break
            at -= 1
        queue.insert(at, unit)
        for cpu in range(self.cpus):
            if self.current[cpu] is None:
                self.due[cpu] = True

    def come(self, unit: Unit, now: int) -> None:
        """It can run again: it preempts what is strictly lower."""
        self.insert(unit, now)
        running = self.current[unit.state["cpu"]]
        if (running.state["pri"] if running else IDLE) < unit.state["pri"]:
            self.due[unit.state["cpu"]] = True

    # --- Ticks and accounting ----------------------------------------------------------

    def activate(self, unit: Unit) -> None:
        unit.state["active"] = True
        if unit.vm not in self.active:
            self.active.append(unit.vm)

    def deactivate(self, unit: Unit) -> None:
        unit.state["active"] = False
        if unit.vm in self.active and not self.vcpus(unit.vm):
            self.active.remove(unit.vm)

    def advance(self, now: int) -> None:
        while self.next_tick <= now:
            if not self.active and not any(self.current):
                self.skip(now)
            self.tick()
            self.ticks += 1
            if self.ticks % TICKS_PER_ACCT == 0:
                self.account(self.next_tick)
            self.next_tick += TICK

    def skip(self, now: int) -> None:
        """Ticks that find nothing to do: all that are due but the last."""
        missed = (now - self.next_tick) // TICK
        if (self.ticks + missed) // TICKS_PER_ACCT > self.ticks // TICKS_PER_ACCT:
            self.balance = 0
        self.ticks += missed
        self.next_tick += missed * TICK

    def tick(self) -> None:
        for unit in self.current:
            if unit is None:
                continue
            if unit.state["pri"] == BOOST:
                unit.state["pri"] = UNDER
            if not self.exact:
                unit.state["credit"] -= PER_TICK
            self.activate(unit)

    def account(self, now: int) -> None:
        asked = {vm: self.vcpus(vm, active=False)[0].params for vm in self.active}
        weight: Dict[int, int] = {vm: params.weight for vm, params in asked.items()}
        total = PER_ACCT * self.cpus + max(0, -self.balance)
        all_weights = left = sum(weight.values())
        if all_weights == 0:
            self.balance = 0
            return
        extra, balance = False, 0
        for vm in list(self.active):
            vcpus, w, cap = self.vcpus(vm), weight[vm], asked[vm].cap
            left -= w
            peak, cap_each = PER_ACCT * len(vcpus), 0
            if self.balance < 0:
                peak += ceil_div(-self.balance * w, all_weights)
            if cap:
                most = ceil_div(cap * PER_ACCT, 100)
                peak, cap_each = min(peak, most), ceil_div(most, len(vcpus))
            fair = ceil_div(total * w, all_weights)
            if fair < peak:
                extra = True
            else:
                if left:
                    total += ceil_div((fair - peak) * all_weights, left)
                if extra:
                    self.active.remove(vm)
                    self.active.insert(0, vm)
                fair = peak
            for unit in vcpus:
                balance += self.give(unit, ceil_div(fair, len(vcpus)), cap, cap_each)
        self.balance = balance
        for queue in self.queue:
            queue.sort(key=lambda u: -u.state["pri"])   # stable
        for unit in self.unparked:
            if unit.runnable and self.current[unit.state["cpu"]] is not unit:
                self.come(unit, now)
        self.unparked = []

    def give(self, unit: Unit, credits: int, cap: int, cap_each: int) -> int:
        """One vCPU's share; what it has then."""
        s = unit.state
        s["credit"] += credits
        if s["credit"] < 0:
            s["pri"] = OVER
            if cap and s["credit"] < -cap_each:
                self.park(unit)
            s["credit"] = max(s["credit"], -PER_ACCT)
        else:
            s["pri"] = UNDER
            if s["parked"]:
                s["parked"] = False
                self.unparked.append(unit)
            if s["credit"] > PER_ACCT:
                self.deactivate(unit)
                s["credit"] = 0
        return s["credit"]

    def park(self, unit: Unit) -> None:
        unit.state["parked"] = True
        cpu = unit.state["cpu"]
        if self.current[cpu] is unit:
            self.due[cpu] = True
        elif unit in self.queue[cpu]:
            self.queue[cpu].remove(unit)

    # --- The decision -------------------------------------------------------------------

    def schedule(self, cpu: int, now: int) -> None:
        prev, self.current[cpu] = self.current[cpu], None
        if prev is not None and not prev.state["parked"]:
            self.insert(prev, now)
        self.take_changes(now)
        queue = self.queue[cpu]
        chosen = queue[0] if queue else None
        if chosen is None or chosen.state["pri"] == OVER:
            chosen = self.better_elsewhere(cpu, chosen.state["pri"] if chosen else IDLE) or chosen
        if chosen is not None:
            self.queue[chosen.state["cpu"]].remove(chosen)
            chosen.state["cpu"] = cpu
        self.current[cpu] = chosen
        self.expires[cpu], self.due[cpu] = now + SLICE if chosen else NEVER, False

    def better_elsewhere(self, cpu: int, than: int) -> Optional[Unit]:
        for step in range(1, self.cpus):
            queue = self.queue[(cpu + step) % self.cpus]
            if queue and queue[0].state["pri"] > than:
                return queue[0]
        return None

    def decision(self, cpu: int) -> Decision:
        running = [unit for unit in self.current if unit is not None]
        count = sum(map(len, self.queue)) + len(running)
        chosen, queue = self.current[cpu], self.queue[cpu]
        if chosen is None:
            return Decision(None, self.next_tick if self.active else NEVER, 0, None, 0, count)
        other = queue[0] if queue else None
        return Decision(chosen.number, min(self.expires[cpu], self.next_tick),
                        -chosen.state["pri"], other.number if other else None,
                        -other.state["pri"] if other else 0, count)
