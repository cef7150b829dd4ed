"""QEMU's own log of exits (exits.log), read piece by piece.

What the emulator says is independent of the VMM: it is what traces and guests are
held against. Lines are `vmrun! ADDRESS` and `vmexit(CODE, INFO1, INFO2, RIP)!`, between
them what was injected, at times without a line's end. A log of gigabytes is read in
bounded memory. Source: QEMU 7.2, target/i386/tcg/sysemu/svm_helper.c.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

import numpy as np

from viz.trace import Trace

EXIT = re.compile(rb"vmexit\(([0-9a-f]{8}), ([0-9a-f]{16}), ([0-9a-f]{16}), ([0-9a-f]{16})\)!")
PIECE = 1 << 22
IOIO, NPF, INVALID = 0x7B, 0x400, 0xFFFFFFFF
MARK_PORT, MARKS = 0x5A0, 16        # where hostile announces an action, see guests/README.md
OUT_BYTE = 1 << 4                   # EXITINFO1 of an OUT of one byte, less the port
WITH_INFO2 = (IOIO, NPF)            # for other codes the log does not say what the VMM sees


class Exits(NamedTuple):
    """Columns of equal length, one item an exit."""

    code: np.ndarray
    info1: np.ndarray
    info2: np.ndarray
    rip: np.ndarray

    def __len__(self) -> int:       # type: ignore[override]
        return len(self.code)


def pieces(path: Path) -> Iterator[Exits]:
    """All exits of a log in its order, some tens of thousands at a time."""
    rest = b""
    with open(path, "rb") as log:
        while True:
            piece = log.read(PIECE)
            text = rest + piece
            end = text.rfind(b"\n") + 1 if piece else len(text)
            text, rest = text[:end], text[end:]
            found = EXIT.findall(text)
            if found:
                yield _columns(found)
            if not piece:
                return


def _columns(found: List[tuple]) -> Exits:
    words = np.array([int(word, 16) for row in found for word in row], np.uint64)
    return Exits(*words.reshape(-1, 4).T)


def read(path: Path) -> Exits:
    """A whole log at once: for short runs."""
    parts = list(pieces(path))
    empty = np.empty(0, np.uint64)
    return Exits(*(np.concatenate([part[i] for part in parts] or [empty]) for i in range(4)))


def marks(path: Path) -> Dict[int, int]:
    """How many actions of each class hostile announced: class -> count."""
    total = np.zeros(MARKS, np.int64)
    for part in pieces(path):
        is_mark = (part.code == IOIO) & (part.info1 & np.uint64(0xFFFF) == OUT_BYTE)
        port = (part.info1[is_mark] >> np.uint64(16)).astype(np.int64) - MARK_PORT
        total += np.bincount(port[(port >= 0) & (port < MARKS)], minlength=MARKS)
    return {number: int(count) for number, count in enumerate(total) if count}


def disagreements(log: Exits, trace: Trace, tell: int = 5) -> List[str]:
    """Where the exits that a trace tells of are not those of the log, in words."""
    traced = trace.select("exit")
    found = []
    if len(traced) != len(log):
        found.append(f"the trace tells of {len(traced)} exits, the emulator of {len(log)}")
    n = min(len(traced), len(log))
    with_info2 = np.isin(log.code[:n], WITH_INFO2)
    for name, ours, theirs, where in (
            ("code", log.code, traced["code"] & np.uint64(0xFFFFFFFF), True),
            ("info1", log.info1, traced["info1"], log.code[:n] != INVALID),
            ("info2", log.info2, traced["info2"], with_info2)):
        wrong = np.flatnonzero((ours[:n] != theirs[:n]) & where)
        found += [f"exit {i}: {name} was traced as {int(theirs[i]):#x}, the emulator says "
                  f"{int(ours[i]):#x}" for i in wrong[:tell].tolist()]
    return found
