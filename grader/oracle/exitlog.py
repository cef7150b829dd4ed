"""The emulator's own log of exits (exits.log), and the trace held against it.

What the emulator says is independent of the VMM: it is what traces and guests are
held against. Each emulator writes it in its own words, so each has a parser
(exitlog_qemu.py, exitlog_bochs.py) that fills the same columns; what is asked of them
here knows no emulator. A log of gigabytes is read in bounded memory.
"""
from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

import numpy as np

from grader.oracle import exitlog_bochs, exitlog_qemu
from grader.oracle.exitlog_row import (CR_AND_KIND, INFO1, INFO2, MOV_TO_CR3, NEVER, REFUSED, RIP,
                                       TICK, code_of)
from viz.trace import Records, Trace

PIECE = 1 << 22
MARK_PORT, MARKS = 0x5A0, 16        # where a guest announces what it does, see guests/README.md
ENTRY_FAILED = 24                   # enum exit_reason of kernel/trace_events.def
LOW32 = np.uint64(0xFFFFFFFF)       # QEMU leaves the upper half of VMEXIT_INVALID 0


class Exits(NamedTuple):
    """Columns of equal length, one item an exit; exitlog_row.py says what is in them."""

    code: np.ndarray
    info1: np.ndarray
    info2: np.ndarray
    rip: np.ndarray
    vmcb: np.ndarray                # where the control block (VMCB, VMCS) lies that was left
    out: np.ndarray                 # (size << 16) + port of a plain OUT, else 0
    tick: np.ndarray                # when it was left, as the host's TSC
    told: np.ndarray                # which of these the log tells

    def __len__(self) -> int:       # type: ignore[override]
        return len(self.code)

    def tells(self, what: int) -> np.ndarray:
        """Of each exit, whether the log tells this of it."""
        return self.told & np.uint64(what) != 0

    def marks(self) -> np.ndarray:
        """Of each exit, the number of the mark that its guest announced by it; -1: none."""
        port = self.out.astype(np.int64) - (1 << 16) - MARK_PORT
        return np.where((port >= 0) & (port < MARKS), port, -1)

    def left(self, word: str, platform: str) -> np.ndarray:
        """Of each exit, whether it was for that reason: a name in exitlog_row.CODES, or REFUSED
        for an entry that was not made."""
        if word == "REFUSED":
            return self.tells(REFUSED)
        found = self.code == np.uint64(code_of(word, platform))
        if word == "CR3" and platform.endswith("-vmx"):
            found &= self.info1 & np.uint64(CR_AND_KIND) == MOV_TO_CR3
        return found


def pieces(path: Path) -> Iterator[Exits]:
    """All exits of a log in its order, some tens of thousands at a time."""
    with open(path, "rb") as log:
        parser = (exitlog_bochs if exitlog_bochs.wrote(log.peek()) else exitlog_qemu).Parser()
        rest = b""
        while True:
            piece = log.read(PIECE)
            text = rest + piece
            end = text.rfind(b"\n") + 1 if piece else len(text)
            text, rest = text[:end], text[end:]
            rows = parser.rows(text)
            if rows:
                yield Exits(*np.array(rows, np.uint64).T)
            if not piece:
                return


def read(path: Path) -> Exits:
    """A whole log at once: for short runs."""
    parts = list(pieces(path))
    empty = np.empty(0, np.uint64)
    return Exits(*(np.concatenate([part[i] for part in parts] or [empty])
                   for i in range(len(Exits._fields))))


def marks(path: Path) -> Dict[int, int]:
    """How many actions of each class hostile announced: class -> count."""
    total = np.zeros(MARKS, np.int64)
    for part in pieces(path):
        found = part.marks()
        total += np.bincount(found[found >= 0], minlength=MARKS)
    return {number: int(count) for number, count in enumerate(total) if count}


def refusals(log: Exits) -> int:
    """How many entries the processor refused."""
    return int(np.count_nonzero(log.tells(REFUSED)))


def disagreements(log: Exits, trace: Trace, tell: int = 5, most: Optional[int] = None
                  ) -> List[str]:
    """Where the exits that a trace tells of are not those of the log, in words.  `most`: look
    at so many of the first ones only, as a trace that became full asks for."""
    traced = traced_exits(trace)
    found = []
    if most is None and len(traced) != len(log):
        found.append(f"the trace tells of {len(traced)} exits, the emulator of {len(log)}")
    n = min(len(traced), len(log), len(log) if most is None else most)
    refused = log.tells(REFUSED)[:n]
    for name, ours, theirs, where in (
            ("code", log.code, traced["code"] & LOW32, True),
            ("info1", log.info1, traced["info1"], log.tells(INFO1)[:n]),
            ("info2", log.info2, traced["info2"], log.tells(INFO2)[:n]),
            ("rip", log.rip, traced["rip"], log.tells(RIP)[:n])):
        wrong = np.flatnonzero((ours[:n] != theirs[:n]) & where)
        found += [f"exit {i}: {name} was traced as {int(theirs[i]):#x}, the emulator says "
                  f"{int(ours[i]):#x}" for i in wrong[:tell].tolist()]
    return found + _refusals(refused, traced, tell) + _times(log, traced, n, tell)


def traced_exits(trace: Trace) -> Records:
    """The exits of a trace as the log has them, one by one: without those where the VMM took an
    interrupt before it entered, for nothing was left."""
    traced = trace.select("exit")
    return traced.where(traced["code"] != np.uint64(NEVER))


def _refusals(refused: np.ndarray, traced: Records, tell: int) -> List[str]:
    """An entry that the trace calls refused is one that the emulator did not make. (The other way
    round QEMU has an exception: see translate_invalid() of vmm/svm/svm_exit.c.)"""
    wrong = np.flatnonzero((traced["reason"][:len(refused)] == ENTRY_FAILED) & ~refused)
    return [f"exit {i}: traced as a refused entry, the emulator made it"
            for i in wrong[:tell].tolist()]


def _times(log: Exits, traced: Records, n: int, tell: int) -> List[str]:
    """Where the log has times: each record is written after its exit and before the next."""
    if not log.tells(TICK)[:n].any():
        return []
    when = traced.tsc[:n]
    early = when < log.tick[:n]
    late = np.append(when[:-1] >= log.tick[1:n], False)
    return [f"exit {i}: traced at TSC {int(when[i])}, the emulator left the guest at "
            f"{int(log.tick[i])}" for i in np.flatnonzero(early | late)[:tell].tolist()]
