"""Whether a run hangs, by its trace: told while it runs, and again, in words, after it.

Two rules, both of virtual time alone, so that no verdict rests on how fast the computer
is.  A run is stuck when the same exit came STUCK times in a row and the guest was entered
again each time where it had left, though its RIP had to be moved (or a mapping to be
made).  A run overran when it went on beyond twice its time.  What is true of the first
part of a trace stays true of the whole: a run that ended before anybody looked is judged
like one that was stopped.
"""
from __future__ import annotations

from typing import Tuple

import numpy as np

from grader.gdb import exit_words
from grader.platform import Stop
from grader.progress import Tail
from viz.trace import Trace

STUCK = 20_000
LATELY = 500                    # exits at the end of a run that was broken off
GRACE_NS = 100_000_000
LOOK_S = 0.5                    # between two looks at a machine that runs
ENTRY, EXIT = 20, 21            # of kernel/trace_events.def, as the reasons: HLT, CPUID, IO, MSR,
IO, NESTED = 3, 11              # CR, DR, NESTED, HYPERCALL, RDTSC, INVLPG, PAUSE, RDPMC, WBINVD,
MUST_MOVE = (1, 2, IO, 4, 5, 6, NESTED, 12, 13, 14, 16, 17, 18, 19, 20, 25)  # MONITOR, ..., XSETBV
FIELDS = ("reason", "rip", "code", "info1", "info2")
REP = {"svm": 1 << 3, "vmx": 1 << 5}    # a repeated IN or OUT stays where it is


def limit_ns(until_ns: int) -> int:
    """The virtual time beyond which a run has overrun."""
    return 2 * until_ns + GRACE_NS


def judge(trace: Trace, until_ns: int) -> str:
    """Why the run hangs, in words without numbers that would differ; '' if it does not."""
    first, count = _longest(trace, STUCK)
    if count >= STUCK:
        return f"it hangs: more than {STUCK:,} exits in a row are " + _exit(trace, first)
    if trace.t1 > limit_ns(until_ns):
        return (f"it does not end: its time was {until_ns / 1e6:g} ms of virtual time (time=), and "
                "it went on beyond twice that")
    return ""


def lately(trace: Trace) -> str:
    """What came again and again before the run was broken off; '' if nothing did."""
    first, count = _longest(trace, LATELY, at_end=True)
    return f"the last {count:,} exits are {_exit(trace, first)}" if count >= LATELY else ""


def _longest(trace: Trace, least: int, at_end: bool = False) -> Tuple[int, int]:
    """The first row of at least so many equal exits without progress: its first exit's number
    and its length; at_end: the last one, if the trace ends with it."""
    exits = trace.select("exit")
    if len(exits) < least:
        return 0, 0
    new = ~_stays(trace)
    for column in (exits.vm, *(exits[name] for name in FIELDS)):
        new[1:] |= column[1:] != column[:-1]
    new[0] = True
    starts = np.flatnonzero(new)
    counts = np.diff(starts, append=len(new))
    long = np.flatnonzero(counts >= least)
    if at_end:
        long = long[long == len(counts) - 1]
    return (int(starts[long[0]]), int(counts[long[0]])) if len(long) else (0, 0)


def _stays(trace: Trace) -> np.ndarray:
    """Of each exit, whether the guest was entered where the exit before had left it, without an
    event and although that must not be."""
    exits, entries = trace.select("exit"), trace.select("entry")
    stays = np.zeros(len(exits), bool)
    before = np.searchsorted(entries.index, exits.index) - 1    # the entry of each exit
    known = np.flatnonzero(before[1:] >= 0) + 1
    mine = before[known]
    kind = "vmx" if "vmx" in trace.header.platform else "svm"
    reason, rip = exits["reason"], exits["rip"]
    moves = np.isin(reason, MUST_MOVE)
    moves &= (reason != IO) | (exits["info1"] & np.uint64(REP[kind]) == 0)
    stays[known] = (moves[known - 1] & (entries["rip"][mine] == rip[known - 1])
                    & (entries["inject"][mine] == 0) & (entries.vm[mine] == exits.vm[known - 1])
                    & (entries.index[mine] > exits.index[known - 1]))
    return stays


def _exit(trace: Trace, number: int) -> str:
    """One exit, and what was not done after it."""
    exits = trace.select("exit")
    one = exits.where(np.array([number]))
    reason = one.word("reason")[0]
    told = reason
    if "vmx" not in trace.header.platform:
        words = exit_words.describe(reason, *(int(one[name][0]) for name in FIELDS[2:]))
        told = words if reason == "NESTED" or words == reason else f"{reason} ({words})"
    missing = ("the access was tried again each time, and no mapping was made for it"
               if reason == "NESTED" else "RIP was not moved behind the instruction")
    return f"{told} of VM {int(one.vm[0])} at rip {int(one['rip'][0]):#x}: {missing}"


class EqualExits:
    """Counts, as the records of a running machine come in, how often the same exit came in a
    row; the same count as _longest's, made of one record after another."""

    def __init__(self, platform: str) -> None:
        self.count = self.most = 0
        self._rep = REP["vmx" if "vmx" in platform else "svm"]
        self._exit: Tuple[int, ...] = ()    # the last: its VM and FIELDS
        self._stays = False                 # the guest was entered where that exit left it

    def __call__(self, event: int, vm: int, words: Tuple[int, ...]) -> None:
        if event == ENTRY and len(words) >= 2:
            self._stays = self._exit[:1] == (vm,) and (self._exit[2], 0) == words[:2]
        elif event == EXIT and len(words) >= len(FIELDS):
            now = (vm, *words[:len(FIELDS)])
            same = self._stays and now == self._exit and self._must_move()
            self.count = self.count + 1 if same else 1
            self.most = max(self.most, self.count)
            self._exit, self._stays = now, False

    def _must_move(self) -> bool:
        reason, info1 = self._exit[1], self._exit[4]
        return reason in MUST_MOVE and not (reason == IO and info1 & self._rep)


class Watch:
    """Looks on while a machine runs and ends it (Stop) when it hangs."""

    def __init__(self, tail: Tail, until_ns: int, platform: str) -> None:
        self.tail, self.limit_ns = tail, limit_ns(until_ns)
        self.exits = tail.see = EqualExits(platform)
        self._next = LOOK_S

    def __call__(self, elapsed: float) -> None:
        if elapsed < self._next:
            return
        self._next = elapsed + LOOK_S
        if self.tail.update() and (self.tail.virtual_ns > self.limit_ns
                                   or self.exits.most >= STUCK):
            raise Stop("its trace showed that it hangs")
