"""Judges the lost-tick policies: could an honest VMM have written these timer records?

A tick due is taken on time (offered at once) or late; which, depends on whether the
guest could take it, and of that a trace knows only the scheduler's half. So all
possible states are followed: (offered, late, owed) ticks of the backlog. A record
that no state explains breaks the policy. The rules, for k late ticks at the moment
the guest can take one: discard drops k; merge offers 1, drops k - 1; delay offers 1
and owes the others for ever; slew offers the owed, one every period/(min(backlog, 7) + 1).
"""
from __future__ import annotations

from typing import List, NamedTuple, Set, Tuple

from grader.oracle.ticks import RECORD_SLACK, Rate, Record
from grader.oracle.vmlife import READY, Life


class State(NamedTuple):
    """The backlog of one VM's timer, by what becomes of it next."""

    offered: int        # 0 or 1: waits for acceptance
    late: int           # not yet treated by the policy
    owed: int           # treated and kept (delay, slew)


def check(records: List[Record], life: Life) -> List[Tuple[int, str]]:
    """All records that break the VM's policy, as (index of the record, words)."""
    judge = Judge(life)
    for record in records:
        judge.take(record)
    return judge.found


class Judge:
    """Follows the possible states of one timer from record to record."""

    def __init__(self, life: Life) -> None:
        self.life, self.rate = life, Rate()
        self.policy, self.view = "", "WALL"
        self.states: Set[State] = {State(0, 0, 0)}
        self.found: List[Tuple[int, str]] = []
        self.accepted = 0           # `at` of the last acceptance
        self.earliest = 0           # slew: no owed tick can be accepted before
        self.period = 0             # the shortest since the last acceptance

    def take(self, record: Record) -> None:
        if record.event == "timer_program":
            self.policy, self.view = record.policy, record.view
            self.rate.set(record)
            self.period = min(self.period, self.rate.period())
            return
        step = {"timer_due": self.due, "timer_delivered": self.delivered,
                "timer_dropped": self.dropped}[record.event]
        after = {state for state in step(record) if sum(state) == record.backlog}
        if after:
            self.states = after
            return
        self.found.append((record.index, self.explain(record)))
        backlog = record.backlog                    # go on from any state with this backlog
        self.states = {State(offered, late, backlog - offered - late)
                       for offered in (0, 1) if offered <= backlog
                       for late in range(min(backlog - offered, 64) + 1)}

    def due(self, record: Record) -> Set[State]:
        """Each tick is late, or the first that the guest could take is offered."""
        before = self.treated()
        after = {State(s.offered, s.late + record.ticks, s.owed) for s in before}
        if self.could_take(record):
            after |= {State(1, s.late + record.ticks - 1, s.owed)
                      for s in before if not s.offered and not s.late}
        return after

    def could_take(self, record: Record) -> bool:
        """Whether the scheduler let the guest take one of these ticks when it fell due."""
        if self.view == "APPARENT":
            return True                             # the clock stands still while descheduled
        for number in range(max(record.due - record.ticks, self.rate.before) + 1, record.due + 1):
            when = self.life.created + self.rate.time_of(number)
            if set(self.life.near(when, RECORD_SLACK)) - {READY}:
                return True
        return False

    def treated(self) -> Set[State]:
        """The states, and what silent treatment by the policy can make of them."""
        after = set(self.states)
        for s in self.states:
            if s.late and not s.offered:
                if self.policy in ("DELAY", "SLEW"):
                    after.add(State(1, 0, s.owed + s.late - 1))
                elif self.policy == "MERGE" and s.late == 1:
                    after.add(State(1, 0, s.owed))
        return after

    def delivered(self, record: Record) -> Set[State]:
        """Only an offered tick is accepted; slew offers owed ones, but not too fast."""
        before = self.treated()
        after = {State(0, s.late, s.owed) for s in before if s.offered}
        if self.policy == "SLEW":
            if record.at >= self.earliest:
                after |= {State(0, s.late, s.owed - 1) for s in self.states
                          if s.owed and not s.offered}
            if all(s.owed + s.late and not s.offered for s in self.states):
                self.space(record)
        self.accepted, self.period = record.at, self.rate.period()
        return after

    def space(self, record: Record) -> None:
        """A late or owed tick was accepted: when, at the earliest, the next owed one can be.

        It was offered no earlier than the acceptance before it; a late one at once, an owed
        one not before it was allowed. The backlog that it left is at most the one seen now.
        """
        offered = self.accepted
        if not any(s.late for s in self.states):
            offered = min(max(offered, self.earliest), record.at)
        self.earliest = offered + self.period // (min(record.backlog, 7) + 1)

    def dropped(self, record: Record) -> Set[State]:
        """Discard drops all late ticks; merge all but the one it offers."""
        if self.life.state_at_record(record.index) == READY:
            return set()
        idle = {s for s in self.states if not s.offered}    # an offered tick is taken first
        if self.policy == "DISCARD":
            return {State(0, 0, s.owed) for s in idle if s.late == record.ticks}
        if self.policy == "MERGE":
            return {State(1, 0, s.owed) for s in idle if s.late == record.ticks + 1}
        return set()

    def explain(self, record: Record) -> str:
        """Why no state explains the record."""
        name = self.policy.lower() or "no policy known"
        if record.event == "timer_due":
            return f"policy {name}: {record.ticks} ticks fell due, but the backlog is {record.backlog}"
        if record.event == "timer_dropped":
            if self.policy in ("DELAY", "SLEW"):
                return f"policy {name} gives up no tick, but {record.ticks} were dropped"
            if self.life.state_at_record(record.index) == READY:
                return (f"policy {name}: ticks were dropped while the VM waits for the CPU; late ticks "
                        "are treated when the guest can take one")
            late = sorted({s.late for s in self.states})
            return (f"policy {name}: {record.ticks} ticks were dropped, but "
                    f"{' or '.join(map(str, late))} were late")
        if self.policy == "SLEW" and any(s.owed for s in self.states):
            return (f"policy slew: an owed tick was delivered at {record.at} ns, before "
                    f"{self.earliest} ns when it was due")
        reason = {"DISCARD": "late ticks are discarded, not delivered",
                  "MERGE": "late ticks are merged into one, the others discarded first",
                  "DELAY": "owed ticks stay behind; they are never delivered faster than they "
                           "fall due"}.get(self.policy, "none was offered")
        return f"policy {name}: a tick was delivered, but none was offered ({reason})"
