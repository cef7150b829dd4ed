"""A scheduler that answers calls (vmm/sched/sim/serve.c), and the oracle beside it.

Each call goes to both; their decisions are compared one by one.  Who runs, and what time it
is, is known here, so a scheduler can say nothing but what it decides.  Without the oracle the
decisions are only held to what makes sense: for tests of what comes of them.
"""
from __future__ import annotations

from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

from grader.oracle.sched.common import MS, Decision, Params, Unit
from grader.oracle.sched.replay import make
from grader.oracle.sched.sedf import Sedf

Who = Tuple[int, int]
SHOWN = 6       # calls that are told with a wrong decision
EMPTY = Decision(None, 0, 0, None, 0, 0)


class Differs(AssertionError):
    """The scheduler decided otherwise than it should; the message is a sentence."""


class Player:
    """program: tell(line) and ask(line) -> answer.  about: what the sentence begins with."""

    def __init__(self, program: Any, sched: str, cpus: int = 1, charge: str = "exact",
                 oracle: bool = True, about: str = "") -> None:
        self.program, self.sched, self.about = program, sched, about or sched
        self.oracle = make(sched, cpus, charge) if oracle else None
        self.units: Dict[Who, Unit] = {}
        self.on: List[Decision] = [EMPTY] * cpus
        self.picks = self.decisions = 0
        self._calls: Deque[str] = deque(maxlen=SHOWN)
        program.tell(f"init {sched} {cpus} {int(charge == 'tick')}")

    # --- Calls ---------------------------------------------------------------------

    def add(self, who: Who, params: Params, now: int) -> bool:
        """Whether it was admitted."""
        unit = Unit(*who, params, runnable=True)
        if self._ask("add", who, params, now, unit):
            self.units[who] = unit
            if self.oracle:
                unit.runnable = False
                self.oracle.add(unit, now)
            return True
        return False

    def set(self, who: Who, params: Params, now: int) -> bool:
        """New parameters, from the next decision on; whether they were admitted."""
        admitted = self._ask("set", who, params, now, self.units[who])
        if admitted and self.oracle:
            self.oracle.set(self.units[who], params, now)
        return admitted

    def _ask(self, call: str, who: Who, p: Params, now: int, unit: Unit) -> bool:
        numbers = (p.weight, p.cap, p.slice, p.period, p.extratime, p.extraweight, p.mcu_adv,
                   p.warp, p.warpl, p.warpu)
        self._note(f"{call} VM {who[0]}", now)
        answer = self.program.ask(f"{call} {who[0]} {who[1]} {now} "
                                  + " ".join(map(str, numbers)))
        if answer not in ("ok", "refused"):
            self.fail(f"it answered {answer[:40]!r} to a call that is admitted or refused")
        wanted = self.oracle.admits(unit, p) if isinstance(self.oracle, Sedf) else True
        if self.oracle and (answer == "ok") != wanted:
            asked = {w: u.params for w, u in self.units.items()} | {who: p}
            self.fail(f"a slice of {ns(p.slice)} in each {ns(p.period)} was "
                      f"{'refused' if wanted else 'admitted'}; all together ask for "
                      f"{sum(-(-q.slice * 10**6 // q.period) for q in asked.values())} ppm of the "
                      "CPU, each rounded up, and 1000000 is the most")
        return answer == "ok"

    def remove(self, who: Who, now: int) -> None:
        """The vCPU is gone."""
        self._tell("remove", who, now)
        self._forget(who)
        unit = self.units.pop(who)
        if self.oracle:
            self.oracle.remove(unit, now)

    def wake(self, who: Who, now: int) -> None:
        """It can run again."""
        self._tell("wake", who, now)
        if self.oracle:
            self.oracle.wake(self.units[who], now)
        self.units[who].runnable = True

    def block(self, who: Who, now: int) -> None:
        """It cannot run."""
        self._tell("block", who, now)
        self._forget(who)
        if self.oracle:
            self.oracle.block(self.units[who], now)
        self.units[who].runnable = False

    def timer(self, who: Who, now: int) -> None:
        """Its turn is over."""
        self._tell("timer", who, now)
        if self.oracle:
            self.oracle.end_turn(self.units[who], now)

    def charge(self, who: Who, ran: int, now: int) -> None:
        """It ran for so long."""
        self.program.tell(f"charge {who[0]} {who[1]} {ran} {now}")
        if self.oracle:
            self.oracle.charge(self.units[who], ran, now)

    def charge_all(self, ran: int, now: int) -> None:
        """All that run did so for that long."""
        for each in self.on:
            if each.unit:
                self.charge(each.unit, ran, now)

    def pick(self, cpu: int, now: int) -> Decision:
        """The decision; Differs if it is not the oracle's, or makes no sense."""
        self.picks += 1
        got = self._decision(self.program.ask(f"pick {cpu} {now}"))
        if self.oracle:
            wanted = wrapped(self.oracle.pick(cpu, now))
            if got != wanted:
                self.fail(f"at {ns(now)}{f' on CPU {cpu}' if len(self.on) > 1 else ''} expected "
                          f"{told(wanted)}; seen {told(got)}. Before it: {'; '.join(self._calls)}")
        if got.unit and not (got.unit in self.units and self.units[got.unit].runnable):
            self.fail(f"at {ns(now)} VM {got.unit[0]} was chosen, which is not runnable")
        self.decisions += (got.unit, got.until) != (self.on[cpu].unit, self.on[cpu].until)
        if got.unit != self.on[cpu].unit:
            self._note(f"CPU {cpu} went to VM {got.unit[0]}" if got.unit else f"CPU {cpu} idled", now)
        self.on[cpu] = got
        return got

    # --- Words -----------------------------------------------------------------------

    def fail(self, sentence: str) -> None:
        """It went wrong."""
        raise Differs(f"{self.about}, decision {self.picks}: {sentence}")

    def _decision(self, answer: str) -> Decision:
        try:
            vm, vcpu, until, key, other, other_vcpu, other_key, runnable = map(int, answer.split())
        except ValueError:
            self.fail(f"it answered {answer[:60]!r}, which is no decision")
        return Decision((vm, vcpu) if vm else None, until, key,
                        (other, other_vcpu) if other else None, other_key, runnable)

    def _tell(self, call: str, who: Who, now: int) -> None:
        self._note(f"{call} VM {who[0]}", now)
        self.program.tell(f"{call} {who[0]} {who[1]} {now}")

    def _note(self, what: str, now: int) -> None:
        self._calls.append(f"{what} at {ns(now)}")

    def _forget(self, who: Who) -> None:
        self.on = [EMPTY if each.unit == who else each for each in self.on]


def wrapped(decision: Decision) -> Decision:
    """As it is told in 64 bits: BVT's keys count from the very beginning, for centuries."""
    key, other = ((each + 2**63) % 2**64 - 2**63 for each in (decision.key, decision.other_key))
    return decision._replace(key=key, other_key=other)


def ns(time: int) -> str:
    """A time in words, without a digit lost."""
    if time >= 2**64 - 1:
        return "never"
    return f"{time // MS} ms" if time % MS == 0 else f"{time:,} ns"


def told(decision: Decision) -> str:
    """A decision in words."""
    def name(who: Who) -> str:
        return f"VM {who[0]}" + (f" vCPU {who[1]}" if who[1] else "")
    who = f"{name(decision.unit)} (key {decision.key})" if decision.unit else "nobody"
    other: Optional[Who] = decision.other
    rest = f", next best {name(other)} (key {decision.other_key})" if other else ""
    return f"{who} until {ns(decision.until)}{rest}, {decision.runnable} runnable"
