"""The timer records of a trace, and how many ticks a programmed rate makes due.

Rates are those of the PC's 8254: 1193182 Hz divided by the reload value, 0 counting
as stopped, exactly, in integers. Sources: Intel 8254 data sheet (modes), formats.md
1.4. What it does not do: judge; timer.py and policy.py do.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

from grader.oracle.vmlife import Life

PIT_HZ = 1193182
NS = 10 ** 9
# The VMM reads its clock once and writes the records of that moment a little later.
RECORD_SLACK = 5_000
# A switch is charged some instructions before or after its record is written.
SWITCH_SLACK = 500
EVENTS = ("timer_program", "timer_due", "timer_delivered", "timer_dropped")
TOTALS = ("ticks", "due", "delivered", "backlog", "discarded", "at")


@dataclass(frozen=True)
class Record:
    """One timer record; for timer_program only the second row of fields counts."""

    index: int
    ns: int
    event: str
    ticks: int = 0
    due: int = 0
    delivered: int = 0
    backlog: int = 0
    discarded: int = 0
    at: int = 0
    channel: int = 0
    mode: int = 0
    reload: int = 0
    start: int = 0
    policy: str = ""
    view: str = ""


class Rate:
    """How many ticks have fallen due on the VM's clock, over all programs so far."""

    def __init__(self) -> None:
        self.before = 0                             # of earlier programs
        self.program: Optional[Record] = None

    def set(self, program: Record) -> None:
        """A new program: the old one counts up to its start."""
        self.before = self.due(program.start)
        self.program = program

    def due(self, at: int) -> int:
        """Ticks due at `at` ns of the VM's clock, exactly."""
        program = self.program
        if program is None or program.reload == 0 or at < program.start:
            return self.before
        ticks = (at - program.start) * PIT_HZ // (program.reload * NS)
        mode = program.mode & 3 if program.mode > 5 else program.mode
        if mode in (0, 4):                          # one-shot
            ticks = min(ticks, 1)
        elif mode not in (2, 3):                    # 1 and 5 wait for a gate that never comes
            ticks = 0
        return self.before + ticks

    def time_of(self, number: int) -> int:
        """When tick `number` of the present program (counted over all) fell due, ns."""
        program = self.program
        if program is None or program.reload == 0:
            return 0
        n = number - self.before
        return program.start + -(-n * program.reload * NS // PIT_HZ)

    def period(self) -> int:
        """Nanoseconds between two ticks, rounded down; 0 if there is no program."""
        return self.program.reload * NS // PIT_HZ if self.program else 0


def records_of(trace: Any, found: List[Life]) -> List[List[Record]]:
    """For each of the lives its timer records in order; channel 0 only."""
    rows: List[Tuple[int, int, Record]] = []
    for event in EVENTS:
        records = trace.select(event)
        words: Dict[str, List[Any]] = {"index": records.index.tolist(), "ns": records.ns.tolist()}
        names = ("channel", "mode", "reload", "start") if event == EVENTS[0] else TOTALS
        words.update({name: records[name].tolist() for name in names})
        if event == EVENTS[0]:
            words.update({name: [w.upper() for w in records.word(name)]
                          for name in ("policy", "view")})
        rows += [(row[0], vm, Record(event=event, **dict(zip(words, row))))
                 for vm, row in zip(records.vm.tolist(), zip(*words.values()))]
    result: Dict[int, List[Record]] = {life.first: [] for life in found}
    current: Dict[int, int] = {}
    begins = [(life.first, life.vm, None) for life in found]
    for index, vm, record in sorted(begins + rows, key=lambda row: row[0]):
        if record is None:
            current[vm] = index
        elif vm in current and record.channel == 0:
            result[current[vm]].append(record)
    return [result[life.first] for life in found]
