"""What shadow paging costs in exits, and that it was shadow paging at all.

Both by the emulator's own log of exits, and by the control block as it lies in the RAM file:
neither is written by the VMM's trace. A VMM that has nested paging on behind a guest's back
would need no hidden fault; so each page that a guest touches first, and each change of its
tables, must have cost one. Codes and offsets are SVM's: AMD64 manual, volume 2, appendices B
and C. What it does not do: judge what the tables hold (judge.py).
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List

import numpy as np

from grader.oracle.exitlog import MARK_PORT, Exits
from grader.oracle.memory import Memory

CR3, PF, INVLPG, NPF = 0x13, 0x4E, 0x79, 0x400         # exit codes
EXCEPTIONS, NESTED, ROOT = 0x08, 0x90, 0x550           # in the control block; CR3 is the guest's
PAGE_FAULT, NP_ENABLE, ADDRESS = 1 << 14, 1, 0x000F_FFFF_FFFF_F000


@dataclass(frozen=True)
class Phase:
    """The exits between two marks of a guest."""

    faults: int
    loads: int              # MOV CR3
    flushes: int            # INVLPG
    all: int

    @property
    def others(self) -> int:
        return self.all - self.faults - self.loads - self.flushes


def phases(exits: Exits) -> Dict[int, Phase]:
    """By the number of the mark that opens it (guests/spaces.c)."""
    marks = np.flatnonzero((exits.out >= (1 << 16) + MARK_PORT)
                           & (exits.out < (1 << 16) + MARK_PORT + 16))
    found = {}
    for first, last in zip(marks[:-1].tolist(), marks[1:].tolist()):
        code = exits.code[first + 1:last]
        found[int(exits.out[first]) - (1 << 16) - MARK_PORT] = Phase(
            *(int(np.count_nonzero(code == each)) for each in (PF, CR3, INVLPG)), len(code))
    return found


def count(exits: Exits, code: int) -> int:
    return int(np.count_nonzero(exits.code == code))


def unproven(exits: Exits, least: int, always: bool = True) -> List[str]:
    """Why a run of one VM may not have been one on a shadow: `least` page faults at least must
    have exited, and once one has, none is nested. always: it has paging on to its end."""
    faults = np.flatnonzero(exits.code == PF)
    if len(faults) < least:
        return [f"on a shadow at least {least} page faults exit here; by the emulator's log "
                f"{len(faults)} did: what did the guest run on?"]
    nested = np.flatnonzero(exits.code == NPF)
    if always and len(faults) and len(nested) and nested[-1] > faults[0]:
        return [f"by the emulator's log a nested fault exited (exit {nested[-1]}) after the first "
                f"page fault had (exit {faults[0]}): on a shadow no table is nested"]
    return []


def block_problems(exits: Exits, memory: Memory, trace: Any, vm: int = 1) -> List[str]:
    """The control block of a run of one VM, at its end: nested paging off, #PF exits, and the
    root is the one that the trace names."""
    block = int(exits.vmcb[-1])
    found = []
    if memory.read_u64(block + NESTED) & NP_ENABLE:
        found.append(f"at the end nested paging is on in the control block at hPA {block:#x}")
    if not memory.read_u32(block + EXCEPTIONS) & PAGE_FAULT:
        found.append(f"at the end page faults do not exit, by the control block at hPA {block:#x}")
    roots = trace.select("shadow_root")
    named = [int(root) for root, who in zip(roots["root"], roots.vm) if who == vm]
    root = memory.read_u64(block + ROOT)
    if not named or (root ^ named[-1]) & ADDRESS:
        found.append(f"at the end the processor's root is {root:#x}, the trace names "
                     f"{named[-1] if named else 0:#x}")
    return found
