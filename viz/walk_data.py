"""The page walks of a trace, as objects: one begin, its references, one end.

formats.md section 1.4 says what the fields mean. Walks are found with numpy, so a
trace of a million events is listed at once, and made into objects one by one.
A walk whose end the trace does not hold is kept, and marked so.
What it does not do: draw, or check what a walk says.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Sequence

import numpy as np

P, W, U, A, D, PS, NX = 1, 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 7, 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000         # bits of an entry that hold an address
FINAL, IN_WALK = 1 << 32, 1 << 33       # bits of a nested fault's error code
REF_NUMBERS = ("n", "level", "table", "index", "before", "after", "size", "serves", "addr")
BEGIN_WORDS = ("mode", "kind", "cause")
LATER_WORDS = ("format",)
LATER = ("cr0", "cr4", "efer", "rflags")  # an older trace lacks them
BEGIN_NUMBERS = ("gva", "access", "groot", "nroot", *LATER)


@dataclass(frozen=True)
class WalkRef:
    """One memory reference; see walk_ref in formats.md. Words are in capitals."""

    n: int
    dim: str
    level: int
    table: int
    index: int
    before: int
    after: int
    size: int
    serves: int
    addr: int


@dataclass
class Walk:
    """One walk of one VM. Fields of an end that the trace lacks keep their defaults."""

    number: int                 # from 1, in the order of the trace
    record: int                 # index of its walk_begin record
    ns: int
    vm: int
    gva: int
    access: int
    groot: int
    nroot: int
    mode: str
    kind: str
    cause: str
    cr0: int = 0                # the guest's settings; cr0 is 0 where a trace lacks them
    cr4: int = 0
    efer: int = 0
    rflags: int = 0
    format: str = "NPT"         # of the nested tables: NPT or EPT
    refs: List[WalkRef] = field(default_factory=list)
    complete: bool = False
    gpa: int = 0
    hpa: int = 0
    gpa_refs: int = 0
    total: int = 0
    fault: str = "NONE"
    fault_dim: str = "GUEST"
    fault_level: int = 0
    error: int = 0

    @property
    def faulted(self) -> bool:
        return self.fault != "NONE"

    @property
    def pointers_held(self) -> bool:
        """PAE's directory pointers: Intel's processors hold them since CR3 was written, and so
        does the VMM for a guest on a shadow."""
        return self.mode == "PAE" and (self.kind == "SHADOW" or
                                       self.format == "EPT" and self.kind == "NESTED")

    def is_ept(self, ref: WalkRef) -> bool:
        """Whether `ref` reads an entry of Intel's extended page tables."""
        return self.format == "EPT" and ref.dim == "NESTED"

    def width(self, ref: WalkRef) -> int:
        """Bytes per entry of the table that `ref` reads."""
        return 4 if self.mode == "LEGACY32" and ref.dim == "GUEST" else 8


class Walks(Sequence[Walk]):
    """All walks of a trace, in its order. Lists are cheap; an item is made when asked for."""

    def __init__(self, trace: Any) -> None:
        self.trace = trace
        self._begin = trace.select("walk_begin")
        self._ref = trace.select("walk_ref")
        self._end = trace.select("walk_end")
        begin, pcpu = self._begin.index, trace.pcpu
        self._first, self._last, self._order = _ranges(begin, self._ref.index, pcpu)
        self._end_of = _ends(begin, self._end.index, pcpu)
        self.ns, self.vm = self._begin.ns, self._begin.vm
        self.gva = self._begin["gva"]
        self.counts = self._last - self._first

    def __len__(self) -> int:
        return len(self._begin)

    def __iter__(self) -> Iterator[Walk]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not 0 <= i < len(self):
            raise IndexError(i)
        begin = self._begin.where(np.array([i]))
        there = dict(begin.event.fields) if begin.event else {}
        facts: Dict[str, Any] = {name: int(begin[name][0]) for name in BEGIN_NUMBERS
                                 if name in there or name not in LATER}
        facts.update({name: begin.word(name)[0].upper() for name in BEGIN_WORDS + LATER_WORDS
                      if name in there or name not in LATER_WORDS})
        walk = Walk(number=int(i) + 1, record=int(begin.index[0]), ns=int(begin.ns[0]),
                    vm=int(begin.vm[0]), **facts)
        walk.refs = self._refs(i)
        if self._end_of[i] >= 0:
            _finish(walk, self._end.where(self._end_of[i:i + 1]))
        return walk

    def causes(self) -> List[str]:
        """The cause word of every walk."""
        return [word.upper() for word in self._begin.word("cause")]

    def faults(self) -> List[str]:
        """The fault word of every walk; "?" where the trace lacks the end."""
        words = [word.upper() for word in self._end.word("fault")]
        return [words[end] if end >= 0 else "?" for end in self._end_of]

    def _refs(self, i: int) -> List[WalkRef]:
        mine = self._ref.where(self._order[self._first[i]:self._last[i]])
        dims = [word.upper() for word in mine.word("dim")]
        columns = [mine[name].tolist() for name in REF_NUMBERS]
        return [WalkRef(dim=dim, **dict(zip(REF_NUMBERS, row)))
                for dim, row in zip(dims, zip(*columns))]


def _finish(walk: Walk, end: Any) -> None:
    """Take over what the one walk_end record in `end` says."""
    walk.complete = True
    walk.gpa, walk.hpa = int(end["gpa"][0]), int(end["hpa"][0])
    walk.gpa_refs, walk.total = int(end["gpa_refs"][0]), int(end["refs"][0])
    walk.fault, walk.fault_dim = end.word("fault")[0].upper(), end.word("dim")[0].upper()
    walk.fault_level, walk.error = int(end["level"][0]), int(end["error"][0])


def _ranges(begin: np.ndarray, ref: np.ndarray, pcpu: np.ndarray) -> Any:
    """Per walk the range [first, last) in `order`, which sorts references by their walk."""
    owner = np.full(len(ref), -1, dtype=np.int64)
    for cpu in np.unique(pcpu[begin]):
        walks = np.flatnonzero(pcpu[begin] == cpu)
        mine = np.flatnonzero(pcpu[ref] == cpu)
        place = np.searchsorted(begin[walks], ref[mine]) - 1
        owner[mine] = np.where(place >= 0, walks[np.maximum(place, 0)], -1)
    order = np.argsort(owner, kind="stable")
    numbers = np.arange(len(begin))
    first = np.searchsorted(owner[order], numbers, side="left")
    last = np.searchsorted(owner[order], numbers, side="right")
    return first, last, order


def _ends(begin: np.ndarray, end: np.ndarray, pcpu: np.ndarray) -> np.ndarray:
    """Per walk its walk_end: the next one of that CPU, if no other walk begins before it."""
    found = np.full(len(begin), -1, dtype=np.int64)
    for cpu in np.unique(pcpu[begin]):
        walks = np.flatnonzero(pcpu[begin] == cpu)
        mine = np.flatnonzero(pcpu[end] == cpu)
        if len(mine) == 0:
            continue
        place = np.searchsorted(end[mine], begin[walks])
        there = place < len(mine)
        index = end[mine[np.minimum(place, len(mine) - 1)]]
        following = np.append(begin[walks][1:], np.iinfo(np.int64).max)
        there &= index < following
        found[walks[there]] = mine[place[there]]
    return found
