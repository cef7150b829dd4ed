"""What shadow paging costs in exits, and that it was shadow paging at all.

Both by the emulator's own log of exits, and by the control block as it lies in the RAM file:
neither is written by the VMM's trace. A VMM that has nested paging on behind a guest's back
would need no hidden fault; so each page that a guest touches first, and each change of its
tables, must have cost one. Source: AMD64 manual, volume 2, appendices B and C; Intel SDM, volume
3C, table 27-3. What it does not do: judge what the tables hold (judge.py), or look into a VMCS,
whose form in memory is the processor's secret.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List

import numpy as np

from grader.oracle import vmcb
from grader.oracle.mmu import fence

PAGE_FAULT, ADDRESS = 1 << 14, 0x000F_FFFF_FFFF_F000


@dataclass(frozen=True)
class Phase:
    """The exits between two marks of a guest."""

    faults: int
    loads: int              # MOV CR3
    flushes: int            # INVLPG


def phases(run: Any) -> Dict[int, Phase]:
    """By the number of the mark that opens it (guests/spaces.c)."""
    number = run.exits.marks()
    marks = np.flatnonzero(number >= 0).tolist()
    columns = [run.left(word) for word in ("PF", "CR3", "INVLPG")]
    return {int(number[first]): Phase(*(int(np.count_nonzero(each[first:last])) for each in columns))
            for first, last in zip(marks, marks[1:])}


def unproven(run: Any, least: int, always: bool = True) -> List[str]:
    """Why a run of one VM may not have been one on a shadow: `least` page faults at least must
    have exited, and once one has, none is nested. always: it has paging on to its end."""
    faults, nested = (np.flatnonzero(run.left(word)) for word in ("PF", "NESTED"))
    if len(faults) < least:
        return [f"on a shadow at least {least} page faults exit here; by the emulator's log "
                f"{len(faults)} did: what did the guest run on?"]
    if always and len(faults) and len(nested) and nested[-1] > faults[0]:
        return [f"by the emulator's log a nested fault exited (exit {nested[-1]}) after the first "
                f"page fault had (exit {faults[0]}): on a shadow no table is nested"]
    return []


def block_problems(run: Any, vm: int = 1) -> List[str]:
    """The VMCB of a run of one VM, at its end: nested paging off, or a fence; #PF exits; and the
    root is the one that the trace names."""
    if run.extension != "svm":
        return []
    block, found = int(run.exits.vmcb[-1]), []
    if fence.root(run.memory, block) is not None:
        found += fence.problems(run.trace, run.memory, vm, block)
    elif run.memory.read_u64(block + vmcb.NP_CONTROL) & vmcb.NP_ENABLE:
        found.append(f"at the end nested paging is on in the control block at hPA {block:#x}")
    if not run.memory.read_u32(block + vmcb.EXCEPTIONS) & PAGE_FAULT:
        found.append(f"at the end page faults do not exit, by the control block at hPA {block:#x}")
    roots = run.trace.select("shadow_root")
    named = [int(root) for root, who in zip(roots["root"], roots.vm) if who == vm]
    root = run.memory.read_u64(block + vmcb.CR3)
    if not named or (root ^ named[-1]) & ADDRESS:
        found.append(f"at the end the processor's root is {root:#x}, the trace names "
                     f"{named[-1] if named else 0:#x}")
    return found
