"""Rows of a VM on nested tables: the guest's pages, and what the host has mapped of each.

A guest's page may be larger than the host's (a 2M page in 4K mappings, made as they are
touched): it becomes a row for each of the host's mappings in it, and one for each stretch
without.  What it does not do: compare rows, or read memory (tables_rows.py, tables_ram.py).
"""
from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from viz.tables_ram import EPT, LONG4, MOST, OF_MODE, Memory, leaves
from viz.tables_replay import PAGE, State
from viz.tables_rows import Row, Side, access_words, ept_words, flag_words
from viz.walk_data import ADDRESS, NX, W, Walk

WRITE, EXECUTE = 1, 4           # of an access
X_EPT = 1 << 2
UNMAPPED = "no mapping: an access would exit"


@dataclass(frozen=True)
class Mapping:
    """`size` bytes of the VM's memory from `gpa` on, where they lie, and what is allowed."""

    gpa: int
    size: int
    hpa: int
    flags: str
    note: str = ""      # why less than everything is allowed


def _why_less(state: State, gpa: int, can_write: bool, can_execute: bool) -> str:
    """Why a mapping forbids something: because its memory slot does, or for no such reason."""
    slot = next((access for start, size, _, access in state.slots
                 if start <= gpa < start + size), None)
    if slot is None:
        return ""
    lacks = [("W", "read-only", WRITE)] * (not can_write)
    lacks += [("X", "not to be executed", EXECUTE)] * (not can_execute)
    return "; ".join(f"not {right}, though its slot allows it" if slot & bit else
                     f"not {right}: its slot is {kind}" for right, kind, bit in lacks)


@dataclass(frozen=True)
class Own:
    """A page as the guest's tables have it."""

    gva: int
    size: int
    gpa: int
    entry: int
    flags: str


def pieces(host: Sequence[Mapping], starts: Sequence[int], gpa: int,
           size: int) -> Iterator[Tuple[int, int, Optional[Mapping]]]:
    """The mappings that hold a part of these bytes: from which gPA, how many, which; and None
    for each stretch that none holds.  `host` is in order; `starts` are its gPAs."""
    at, end = gpa, gpa + size
    for mapping in islice(host, max(bisect_right(starts, gpa) - 1, 0), None):
        if mapping.gpa >= end:
            break
        low, high = max(mapping.gpa, at), min(mapping.gpa + mapping.size, end)
        if low < high:
            if at < low:
                yield at, low - at, None
            yield low, high - low, mapping
            at = high
    if at < end:
        yield at, end - at, None


def _rows(own: Iterable[Own], host: Sequence[Mapping]) -> List[Row]:
    """At most one more than MOST: a small table can map the same memory any number of times."""
    starts = [mapping.gpa for mapping in host]
    every = (_row(page, *piece) for page in own
             for piece in pieces(host, starts, page.gpa, page.size))
    return list(islice(every, MOST + 1))


def _row(own: Own, gpa: int, size: int, mapping: Optional[Mapping]) -> Row:
    """A stretch without a mapping counts as so many pages of 4K, unless it is the whole page."""
    each = size if mapping or size == own.size else PAGE
    side = Side(mapping.hpa + gpa - mapping.gpa, mapping.flags, mapping.gpa) if mapping else None
    return Row(own.gva + gpa - own.gpa, each, Side(gpa, own.flags, own.entry), None, side,
               mapping.note if mapping else UNMAPPED, count=size // each)


def _unknown(mapping: Mapping) -> Row:
    """What the host has mapped, where no page of the guest's is known to lead there."""
    return Row(None, mapping.size, None, None, Side(mapping.hpa, mapping.flags, mapping.gpa),
               mapping.note)


def rows_of_records(state: State, walks: Dict[int, Walk]) -> List[Row]:
    """The host's mappings, as recorded, and the guest's pages that a walk met before them."""
    host = [Mapping(gpa, size, hpa, access_words(access),
                    _why_less(state, gpa, bool(access & WRITE), bool(access & EXECUTE)))
            for gpa, (hpa, size, access) in sorted(state.nested.items())]
    own = []
    for gva, walk in sorted(walks.items()):
        leaf = next(ref for ref in walk.refs if ref.dim == "GUEST" and ref.size)
        own.append(Own(gva, leaf.size, leaf.after & ADDRESS & -leaf.size, leaf.after,
                       flag_words(leaf.after, leaf.level)))
    rows = _rows(own, host)
    met = {row.host.entry for row in rows if row.host}
    return rows + [_unknown(mapping) for mapping in host if mapping.gpa not in met]


def rows_of_memory(state: State, memory: Memory, groot: Optional[int], mode: int,
                   ept: bool) -> List[Row]:
    """The same out of memory.bin: the guest's tables from their root on, if it is known, and
    the nested table."""
    words = ept_words if ept else flag_words
    host = [Mapping(leaf.address, leaf.size, leaf.target, words(leaf.entry),
                    _why_less(state, leaf.address, bool(leaf.entry & W), bool(
                        leaf.entry & X_EPT if ept else not leaf.entry & NX)))
            for leaf in leaves(memory, state.nested_root, EPT if ept else LONG4)]
    if groot is None:
        return [_unknown(mapping) for mapping in host]
    own = leaves(memory, groot, OF_MODE.get(mode, LONG4), state.host)
    return _rows((Own(leaf.address, leaf.size, leaf.target, leaf.entry,
                      flag_words(leaf.entry, 2 if leaf.size > PAGE else 1)) for leaf in own), host)
