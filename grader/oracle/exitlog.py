"""QEMU's own log of exits (exits.log), read piece by piece.

What the emulator says is independent of the VMM: it is what traces and guests are
held against. Lines are `vmrun! ADDRESS` and `vmexit(CODE, INFO1, INFO2, RIP)!`, between
them what was injected, at times without a line's end. A log of gigabytes is read in
bounded memory. Source: QEMU 7.2, target/i386/tcg/sysemu/svm_helper.c.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from viz.trace import Trace

EVENT = re.compile(rb"vmrun! ([0-9a-f]{16})|vmexit\(([0-9a-f]{8}), ([0-9a-f]{16}), "
                   rb"([0-9a-f]{16}), ([0-9a-f]{16})\)!")
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
    vmcb: np.ndarray                # where the control block lies that was left; 0: not told

    def __len__(self) -> int:       # type: ignore[override]
        return len(self.code)


def pieces(path: Path) -> Iterator[Exits]:
    """All exits of a log in its order, some tens of thousands at a time."""
    rest, vmcb = b"", 0
    with open(path, "rb") as log:
        while True:
            piece = log.read(PIECE)
            text = rest + piece
            end = text.rfind(b"\n") + 1 if piece else len(text)
            text, rest = text[:end], text[end:]
            rows, vmcb = _rows(text, vmcb)
            if rows:
                yield Exits(*np.array(rows, np.uint64).T)
            if not piece:
                return


def _rows(text: bytes, vmcb: int) -> Tuple[List[Tuple[int, ...]], int]:
    """The exits of a piece, and the control block that was entered last."""
    rows = []
    for entered, *words in EVENT.findall(text):
        if entered:
            vmcb = int(entered, 16)
        else:
            rows.append((*[int(word, 16) for word in words], vmcb))
    return rows, vmcb


def read(path: Path) -> Exits:
    """A whole log at once: for short runs."""
    parts = list(pieces(path))
    empty = np.empty(0, np.uint64)
    return Exits(*(np.concatenate([part[i] for part in parts] or [empty]) for i in range(5)))


def marks(path: Path) -> Dict[int, int]:
    """How many actions of each class hostile announced: class -> count."""
    total = np.zeros(MARKS, np.int64)
    for part in pieces(path):
        is_mark = (part.code == IOIO) & (part.info1 & np.uint64(0xFFFF) == OUT_BYTE)
        port = (part.info1[is_mark] >> np.uint64(16)).astype(np.int64) - MARK_PORT
        total += np.bincount(port[(port >= 0) & (port < MARKS)], minlength=MARKS)
    return {number: int(count) for number, count in enumerate(total) if count}


def disagreements(log: Exits, trace: Trace, tell: int = 5, most: Optional[int] = None
                  ) -> List[str]:
    """Where the exits that a trace tells of are not those of the log, in words.  `most`: look
    at so many of the first ones only, as a trace that became full asks for."""
    traced = trace.select("exit")
    found = []
    if most is None and len(traced) != len(log):
        found.append(f"the trace tells of {len(traced)} exits, the emulator of {len(log)}")
    n = min(len(traced), len(log), len(log) if most is None else most)
    with_info2 = np.isin(log.code[:n], WITH_INFO2)
    for name, ours, theirs, where in (
            ("code", log.code, traced["code"] & np.uint64(0xFFFFFFFF), True),
            ("info1", log.info1, traced["info1"], log.code[:n] != INVALID),
            ("info2", log.info2, traced["info2"], with_info2),
            ("rip", log.rip, traced["rip"], log.code[:n] != INVALID)):
        wrong = np.flatnonzero((ours[:n] != theirs[:n]) & where)
        found += [f"exit {i}: {name} was traced as {int(theirs[i]):#x}, the emulator says "
                  f"{int(ours[i]):#x}" for i in wrong[:tell].tolist()]
    return found
