"""Memory as it was when a faulting walk was made, as far as that is known at the end.

A walk that ended in a nested fault reads an entry that the VMM then fills in, and
tables that its guest may rewrite at any time after.  So for such a walk these entries
are taken from the trace: the guest's, and the one that was not present.  All nested
entries on the way to it are read from memory, where they must still be; and from all
of them follows where the walk goes, how it ends and with which error code.
What it does not do: know better what a guest's tables held then.
"""
from __future__ import annotations

from typing import Dict

from grader.oracle.memory import Memory
from grader.oracle.paging import NESTED
from viz.walk_data import Walk


class Then:
    """Reads like Memory, but for the entries given by their address."""

    def __init__(self, memory: Memory, entries: Dict[int, int]) -> None:
        self.memory = memory
        self.entries = entries

    def read_u32(self, hpa: int) -> int:
        return self.entries[hpa] if hpa in self.entries else self.memory.read_u32(hpa)

    def read_u64(self, hpa: int) -> int:
        return self.entries[hpa] if hpa in self.entries else self.memory.read_u64(hpa)


def then(walk: Walk, memory: Memory) -> Then:
    """The memory that `walk` saw; only a missing last entry is believed to have changed."""
    entries = {ref.table + walk.width(ref) * ref.index: ref.before
               for ref in walk.refs if ref.dim == "GUEST"}
    last = walk.refs[-1] if walk.refs else None
    present = NESTED[walk.format].present
    if last is not None and last.dim == "NESTED" and not last.before & present:
        entries[last.table + 8 * last.index] = last.before
    return Then(memory, entries)
