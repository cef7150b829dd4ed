"""Judges the virtual timers of a run from its trace alone: totals, rates, clocks.

At every record of a VM's timer: delivered + backlog + discarded = due; each total
moved only as the record says; due is what the programmed rate demands of the VM's
clock `at`; and `at` is the clock that pit= promises. The four lost-tick policies
are judged in policy.py. Sources: formats.md 1.4, the policy table of the handout
on timers, the 8254's frequency. What it does not do: know whether the guest had
interrupts on, since no trace says so. `python3 -m grader.oracle.timer RUN_DIR` judges a
run (in a starter as well, where the other oracles are not).
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, List, Optional, Tuple

from grader.oracle import policy
from grader.oracle.ticks import EVENTS, RECORD_SLACK, SWITCH_SLACK, Rate, Record, records_of
from grader.oracle.vmlife import RUNNING, Life, lives

def check(trace: Any) -> List[str]:
    """Every violation in the trace, in words; empty when there is none."""
    found: List[Tuple[int, str]] = []
    everyone = lives(trace)
    for life, records in zip(everyone, records_of(trace, everyone)):
        problems = check_totals(records) + check_rate(records)
        problems += check_clock(records, life) + check_running(records, life)
        problems += policy.check(records, life)
        found += [(index, f"record {index}, VM {life.vm}: {text}") for index, text in problems]
    if not any(len(trace.select(event)) for event in EVENTS):
        return ["the trace holds no timer record: nothing could be judged"]
    return [text for _, text in sorted(found)]


def check_totals(records: List[Record]) -> List[Tuple[int, str]]:
    """The invariant, and that each record moves only what it speaks of."""
    found: List[Tuple[int, str]] = []
    old = Record(-1, 0, "")
    for new in records:
        if new.event == "timer_program":
            continue
        total = new.delivered + new.backlog + new.discarded
        if total != new.due:
            found.append((new.index, f"delivered {new.delivered} + backlog {new.backlog} + discarded "
                                     f"{new.discarded} = {total}, but due is {new.due}"))
        if new.ticks == 0:
            found.append((new.index, f"{new.event} of no tick"))
        moved = {"timer_due": ("due", "backlog", 1), "timer_delivered": ("delivered", "backlog", -1),
                 "timer_dropped": ("discarded", "backlog", -1)}[new.event]
        for name in ("due", "delivered", "backlog", "discarded"):
            step = new.ticks if name == moved[0] else moved[2] * new.ticks if name == moved[1] else 0
            if getattr(new, name) != getattr(old, name) + step:
                found.append((new.index, f"{new.event} of {new.ticks}: {name} went from "
                                         f"{getattr(old, name)} to {getattr(new, name)}, should be "
                                         f"{getattr(old, name) + step}"))
        old = new
    return found


def check_rate(records: List[Record]) -> List[Tuple[int, str]]:
    """`due` is exactly what rate and clock demand, at every record."""
    found: List[Tuple[int, str]] = []
    rate, clock, due = Rate(), 0, 0
    for record in records:
        now = record.start if record.event == "timer_program" else record.at
        if now < clock and record.event != "timer_program":
            found.append((record.index, f"the VM's clock went back from {clock} to {now} ns"))
        clock = max(clock, now)
        if record.event == "timer_program":
            if rate.due(now) != due:
                found.append((record.index, f"a new rate from {now} ns on, when {due} ticks were "
                                            f"counted, but {rate.due(now)} had fallen due"))
            rate.set(record)
            continue
        due = record.due
        if due != rate.due(record.at):
            found.append((record.index, f"due is {due}, but at {record.at} ns of the VM's clock "
                                        f"{rate.due(record.at)} ticks have fallen due"))
    return found


def check_clock(records: List[Record], life: Life) -> List[Tuple[int, str]]:
    """`at`: wall is the time since creation, apparent the same without stolen time."""
    found: List[Tuple[int, str]] = []
    view = next((record.view for record in records if record.view), "WALL")
    for record in records:
        if record.event == "timer_program":
            view = record.view
        seen = record.start if record.event == "timer_program" else record.at
        right = record.ns - life.created
        slack = RECORD_SLACK
        if view == "APPARENT":
            right -= life.stolen_at(record.ns)
            slack += SWITCH_SLACK * life.switches_until(record.ns)
        if abs(seen - right) > slack:
            found.append((record.index, f"the VM's {view.lower()} clock is said to be {seen} ns, but "
                                        f"the scheduler's records make it {right} (more than "
                                        f"{slack} ns away)"))
    return found


def check_running(records: List[Record], life: Life) -> List[Tuple[int, str]]:
    """A guest accepts one tick at a time, and only while it runs."""
    found: List[Tuple[int, str]] = []
    for record in records:
        if record.event != "timer_delivered":
            continue
        if record.ticks > 1:
            found.append((record.index, f"{record.ticks} ticks were delivered at once; a guest accepts "
                                        "one interrupt at a time"))
        state = life.state_at_record(record.index)
        if state != RUNNING:
            found.append((record.index, f"a tick was delivered to a VM that is {state}"))
    return found


def main(argv: Optional[List[str]] = None) -> int:
    """Tell what is wrong in a run's trace; as of grader.oracle, 0: nothing, 2: cannot be judged."""
    from grader.oracle.verdict import tell
    from viz.trace import TraceError, load

    words = sys.argv[1:] if argv is None else argv
    if len(words) != 1:
        print("usage: python3 -m grader.oracle.timer RUN_DIR", file=sys.stderr)
        return 2
    try:
        trace = load(str(Path(words[0]) / "trace.bin"))
        return tell("timer", trace, check(trace), [])
    except (TraceError, OSError, ValueError) as error:
        print(f"timer: cannot be judged: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
