"""What guests and emulator say of virtual time, for judging a run beside its timer records.

A guest's own counts and sealed checks, the ends of interrupt that the emulator saw,
the waits for the CPU, and what each view of time makes of a span. It does not judge the
timer records: that is timer.py. The clocks' rule: wall is all time, apparent leaves out
the time in which the VM was ready and another ran.
"""
from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from grader.oracle.exitlog import traced_exits
from grader.oracle.vmlife import Life, lives

OUT_20 = 1 << 16 | 0x20              # a byte written to port 0x20, as the log of exits has it
INITIALISATIONS = 1                 # ICW1 goes to the same port, once in each guest of ours


def when(ns: int) -> str:
    """A virtual time for people."""
    return f"{ns / 1e6:.3f} ms"


def checkpoints(trace: Any, vm: int) -> List[Tuple[str, int, int]]:
    """(name, value, virtual time) of all that this VM reported, in order."""
    found = trace.select("checkpoint")
    return [(found.text(i), int(found["value"][i]), int(found.ns[i]))
            for i in np.flatnonzero(found.vm == vm).tolist()]


def last(trace: Any, vm: int, name: str) -> Optional[int]:
    """The last value reported under that name; None: there is none."""
    values = [value for told, value, _ in checkpoints(trace, vm) if told == name]
    return values[-1] if values else None


def number(value: int) -> str:
    """A checked value: digits may have a meaning of their own, so hexadecimal as well."""
    return str(value) if value < 10 else f"{value:#x} ({value})"


BUSY = {"INTR_WINDOW": "an interrupt window that stays open while nothing can go in: set_window and "
                       "waits, handout 2.2",
        "INTR": "the real timer, armed again and again for what the guest does not take: "
                "vtimer_next and vcpu_timer_next, handout 2.4"}


def unfinished(trace: Any, vm: int) -> str:
    """What a VM that did not end by itself was busy with; '' if it did."""
    ends, exits = trace.select("vm_end"), trace.select("exit")
    if any(trace.schema.word("vm_end_how", how) == "EXITED" for how in ends["how"][ends.vm == vm]):
        return ""
    codes, counts = np.unique(exits["reason"][exits.vm == vm], return_counts=True)
    ticks = totals(trace, vm)
    said = f"VM {vm} did not come to its end in {when(int(trace.ns[-1]))}"
    if len(codes):
        reason, most = trace.schema.word("exit_reason", int(codes[counts.argmax()])), int(counts.max())
        said += f"; of its {int(counts.sum())} exits {most} were {reason}"
        said += f" ({BUSY[reason]})" if reason in BUSY and 2 * most > counts.sum() else ""
    return (f"{said}; {ticks['due']} ticks fell due, {ticks['delivered']} were delivered, "
            f"{ticks['dropped']} discarded")


def broken(trace: Any, vm: int, meanings: Mapping[str, str]) -> List[str]:
    """The VM's checks of these names that failed or never came, in words."""
    rows, found, seen = trace.select("check"), [], set()
    for i in np.flatnonzero(rows.vm == vm).tolist():
        name, value, expected = rows.text(i), int(rows["value"][i]), int(rows["expected"][i])
        if name not in meanings:
            continue
        seen.add(name)
        if value != expected or not rows["sealed"][i]:
            found.append(f"{meanings[name]}: the guest expected {number(expected)} and saw {number(value)} "
                         f"(its check {name}, record {int(rows.index[i])}, VM {vm}, at "
                         f"{when(int(rows.ns[i]))})")
    missing = [f"VM {vm} never came to its check {name} ({meanings[name]})"
               for name in meanings if name not in seen]
    why = unfinished(trace, vm) if missing else ""
    return found + ([why] if why else []) + missing


def dated(trace: Any, problem: str) -> str:
    """An oracle's sentence, which names a record, with the record's virtual time."""
    number = re.search(r"record (\d+)", problem)
    return f"{problem} (at {when(int(trace.ns[int(number[1])]))})" if number else problem


def totals(trace: Any, vm: int) -> Dict[str, int]:
    """Ticks due, delivered and dropped over the whole run, as the trace tells."""
    found = {}
    for event in ("timer_due", "timer_delivered", "timer_dropped"):
        records = trace.select(event)
        found[event[6:]] = int(records["ticks"][records.vm == vm].sum())
    return found


def held_back(trace: Any, vm: int) -> str:
    """The first interrupt that was acknowledged, but not in the guest at its next entry; or ''."""
    names = ("irq_ack", "inject", "entry")
    rows = sorted((int(i), name) for name in names for records in [trace.select(name)]
                  for i in records.index[records.vm == vm])
    asked = None
    for index, name in rows:
        if name == "entry" and asked is not None:
            return (f"an interrupt was acknowledged (record {asked}, at {when(int(trace.ns[asked]))}), but "
                    f"the guest went on without it (record {index}): it could not take one. Accept only "
                    "when it is interruptible; until then the request stays in the PIC")
        asked = index if name == "irq_ack" else None
    return ""


def caught_up(trace: Any, vm: int, hz: int) -> List[Tuple[int, float]]:
    """(ticks owed at once, periods until none was owed any more), each time that VM caught up."""
    found, begin, owed = [], None, 0
    records = trace.select("timer_delivered")
    for i in np.flatnonzero(records.vm == vm).tolist():
        at, left = int(records["at"][i]), int(records["backlog"][i])
        if left and begin is None:
            begin, owed = at, left + 1
        if not left and begin is not None:
            found.append((owed, (at - begin) * hz / 1e9))
            begin = None
    return found


def ends_of_interrupt(exits: Any, trace: Any, vm: int) -> int:
    """How often the emulator saw that VM end an interrupt at the first PIC.

    The log of exits has no VM numbers: those are the trace's, whose exits are the
    same ones in the same order.
    """
    whose = traced_exits(trace).vm
    count = min(len(exits), len(whose))
    ends = (exits.out[:count] == OUT_20) & (whose[:count] == vm)
    return int(ends.sum()) - INITIALISATIONS


def disagreement(run: Any, vm: int) -> str:
    """What the guest counted, the timer booked and the emulator saw handled; '' if all is one."""
    counted = last(run.trace, vm, "ticks")
    if counted is None:
        return f"VM {vm} did not report its ticks: it never came to its end"
    told = totals(run.trace, vm)["delivered"]
    if counted != told:
        return (f"VM {vm} counted {counted} ticks in its handler, but the timer booked {told} as "
                "delivered")
    ended = ends_of_interrupt(run.exits, run.trace, vm)
    if counted != ended:
        return (f"VM {vm} says that it handled {counted} ticks, but the emulator saw {ended} ends of "
                "interrupt")
    return ""


def life_of(trace: Any, vm: int) -> Life:
    """The first life of that VM."""
    return next(life for life in lives(trace) if life.vm == vm)


def waits(life: Life) -> List[int]:
    """How long the VM was ready without running, each time (ns)."""
    changes = life.changes
    return [now[1] - before[1] for before, now in zip(changes, changes[1:])
            if before[2] == "ready" and now[2] == "running"]


class Spans(NamedTuple):
    """The probe's TSC span, what each view of time makes of it, and how sure that is (ns)."""

    tsc: int
    wall: int
    apparent: int
    doubt: int


READING = 3_000     # ns: from one reading of a clock to the next, an exit or two


def spans(trace: Any, vm: int, tsc_is_wall: bool) -> Spans:
    """What probe, as that VM, measured from its first look to its last."""
    said = checkpoints(trace, vm)
    tsc = next(value for name, value, _ in said if name == "tsc")
    ratios = [at for name, _, at in said if name == "tsc/pit"]
    end = ratios[-2]                                # right after the last look
    life = life_of(trace, vm)

    def own(since: int, until: int) -> int:
        return until - since - life.stolen_at(until) + life.stolen_at(since)

    low, high = life.created, end                   # where the measured time began
    while low < high and not tsc_is_wall:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if own(middle, end) > tsc else (low, middle)
    begin = end - tsc if tsc_is_wall else low
    doubt = 2 * READING
    for at in (begin, end):                         # the CPU lost between two readings?
        near = (at - 20 * READING, at + 20 * READING)
        doubt += near[1] - near[0] - own(*near)
    return Spans(tsc, end - begin, own(begin, end), doubt)
