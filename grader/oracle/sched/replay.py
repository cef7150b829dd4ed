"""Feeds an oracle the calls that a trace holds, and compares decision by decision.

A trace may hold several runs of a scheduler, one after the other: each begins with its
sched_start. It may come from the machine, from the simulator, or from the random workloads.
Whatever a scheduler says of its own state beside a decision is compared, too.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from grader.oracle.sched.bvt import Bvt
from grader.oracle.sched.common import Params, Scheduler, Unit
from grader.oracle.sched.credit import Credit
from grader.oracle.sched.sedf import Sedf

SIGN, WORD = 1 << 63, 1 << 64
SHOWN = 3


@dataclass
class Result:
    """What one run of a scheduler showed."""

    scheduler: str
    picks: int = 0
    decisions: int = 0          # picks that gave another answer than the one before
    switches: int = 0           # decisions that chose another than the one before
    ties: int = 0               # decisions between equal keys
    kinds: Dict[str, int] = field(default_factory=dict)     # calls, by name
    problems: List[str] = field(default_factory=list)


def make(name: str, cpus: int, charging: str) -> Any:
    """The oracle of that name; ValueError if there is none."""
    if name == "credit":
        return Credit(cpus, charging.lower())
    if name in ("bvt", "sedf"):
        return Bvt() if name == "bvt" else Sedf()
    raise ValueError(f"there is no oracle for {name!r}")


def compare(trace: Any, stop: int = SHOWN) -> List[Result]:
    """All runs in the trace; of each at most `stop` problems, where it stops."""
    runs: List[_Run] = []
    numbers = {event.number for event in trace.schema.by_number.values()
               if event.name.startswith("sched_") or event.name == "note"}
    for i in np.flatnonzero(np.isin(trace.event, list(numbers))).tolist():
        name = trace.schema.event_name(int(trace.event[i]))
        if name == "sched_start":
            runs.append(_Run(trace, trace.text(i)))
        elif runs and len(runs[-1].result.problems) < stop:
            runs[-1].take(i, name)
    return [run.result for run in runs]


class _Run:
    """One scheduler, its oracle, and the records as they come."""

    def __init__(self, trace: Any, name: str) -> None:
        self.trace, self.result = trace, Result(name)
        self.oracle: Any = None
        self.units: Dict[Tuple[int, int], Unit] = {}
        self.ran: Dict[Tuple[int, int], int] = {}
        self.last: Dict[int, Tuple[Optional[Tuple[int, int]], int]] = {}
        self.handlers: Dict[str, Callable[..., None]] = {
            "sched_setup": self.setup, "sched_add": self.add, "sched_set": self.set,
            "sched_remove": self.remove, "sched_call": self.call, "sched_charge": self.charge,
            "sched_pick": self.pick, "note": self.note, "sched_bvt": self.state_bvt,
            "sched_sedf": self.state_sedf, "sched_credit": self.state_credit,
            "sched_account": self.account}
        self.accounting = False
        self.fields = {name: self.field_names(name) for name in self.handlers}

    def field_names(self, event: str) -> List[Tuple[str, bool]]:
        """The event's fields, and whether each has a sign."""
        known = self.trace.schema.by_name.get(event)
        return [(name, kind == "int") for name, kind in known.fields] if known else []

    def take(self, i: int, name: str) -> None:
        """One record."""
        handler = self.handlers.get(name)
        if handler is None:
            return
        values = {key: word - WORD if signed and word >= SIGN else word
                  for (key, signed), word in zip(self.fields[name], self.trace.payload(i))}
        self.accounting = self.accounting and name == "sched_credit"
        if name != "note":
            self.result.kinds[name] = self.result.kinds.get(name, 0) + 1
        handler((int(self.trace.vm[i]), int(self.trace.vcpu[i])), values, i)

    def say(self, sentence: str) -> None:
        """A difference."""
        self.result.problems.append(
            f"{self.result.scheduler}, decision {self.result.picks}: {sentence}")

    # --- Calls ---------------------------------------------------------------------

    def setup(self, _: Any, values: Dict[str, int], __: int) -> None:
        charging = self.trace.schema.word("sched_charging", values["charging"])
        self.oracle = make(self.result.scheduler, values["cpus"], charging)

    def params(self, values: Dict[str, int]) -> Params:
        return Params(**{key: value for key, value in values.items() if key != "at"})

    def add(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        self.ran[who] = 0
        unit = self.units[who] = Unit(*who, self.params(values))
        self.check_admission(unit, unit.params, True)
        self.oracle.add(unit, values["at"])

    def check_admission(self, unit: Unit, params: Params, admitted: bool) -> None:
        if isinstance(self.oracle, Sedf) and self.oracle.admits(unit, params) != admitted:
            self.say(f"VM {unit.vm} was {'admitted' if admitted else 'refused'} with {params}")

    def set(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        self.check_admission(self.units[who], self.params(values), True)
        self.oracle.set(self.units[who], self.params(values), values["at"])

    def note(self, who: Tuple[int, int], values: Dict[str, int], i: int) -> None:
        if self.trace.text(i) != "refused" or not who[0]:
            return
        params = Params(slice=values["value"] >> 32, period=(values["value"] & 0xffffffff) * 1000)
        unit = self.units.get(who) or Unit(*who, params)
        self.check_admission(unit, params, False)

    def remove(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        self.oracle.remove(self.units[who], values["at"])
        del self.units[who]

    def call(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        word = self.trace.schema.word("sched_call", values["call"])
        self.result.kinds[word] = self.result.kinds.get(word, 0) + 1
        oracle: Scheduler = self.oracle
        act = {"WAKE": oracle.wake, "BLOCK": oracle.block, "TIMER": oracle.end_turn}[word]
        act(self.units[who], values["at"])

    def charge(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        self.ran[who] = self.ran.get(who, 0) + values["ran"]
        self.hold(who, values, {"total": self.ran[who]})
        self.oracle.charge(self.units[who], values["ran"], values["at"])

    def pick(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        self.result.picks += 1
        cpu = values["cpu"]
        wanted = self.oracle.pick(cpu, values["at"])
        other = (values["other"], values["other_vcpu"]) if values["other"] else None
        got = (who if who[0] else None, values["until"], values["key"], other,
               values["other_key"], values["runnable"])
        if got != tuple(wanted):
            self.say(f"at {values['at']} ns on CPU {cpu} the oracle decides {wanted}, "
                     f"the scheduler {wanted._make(got)}")
        self.result.ties += other is not None and values["key"] == values["other_key"]
        before = self.last.get(cpu, (None, 0))
        self.result.switches += before[0] != got[0]
        self.result.decisions += before != got[:2]
        self.last[cpu] = got[:2]

    # --- What the scheduler says of a unit ----------------------------------------------

    def hold(self, who: Tuple[int, int], got: Dict[str, int], wanted: Dict[str, int]) -> None:
        different = {key: (got[key], value) for key, value in wanted.items() if got[key] != value}
        if different:
            self.say(f"VM {who[0]} vCPU {who[1]}: (scheduler, oracle): {different}")

    def state_bvt(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        unit = self.units.get(who)
        if unit is not None and unit.runnable:
            self.hold(who, values, {"avt": unit.state["avt"], "evt": self.oracle.evt(unit),
                                    "svt": self.oracle.svt, "warped": int(unit.state["warped"])})

    def state_sedf(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        unit = self.units.get(who)
        if unit is not None:
            kind = self.oracle.kind if unit is self.oracle.current else "idle"
            self.hold(who, values, {
                "as": ("idle", "EDF", "L0", "L1").index(kind), "deadline": unit.state["d"], "slice": unit.params.slice,
                "used": unit.state["cputime"], "score1": unit.state["score1"],
                "score0": unit.state["score0"] if unit in self.oracle.l0 else 0})

    def account(self, _: Any, __: Dict[str, int], ___: int) -> None:
        """What follows is told while credits are given out; the oracle does that in one step."""
        self.accounting = True

    def state_credit(self, who: Tuple[int, int], values: Dict[str, int], _: int) -> None:
        unit = self.units.get(who)
        if unit is not None and not self.accounting:
            self.hold(who, values, {
                "credit": unit.state["credit"], "pri": -unit.state["pri"],
                "parked": int(unit.state["parked"]), "active": int(unit.state["active"])})
