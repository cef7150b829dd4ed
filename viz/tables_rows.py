"""Rows of the side-by-side picture: a page of the guest's in all tables, and what changed.

A row is one page: its gVA, the guest's entry, the shadow's, the host's.  Rows are compared
with those of the stop before, and neighbours that differ in their addresses alone become one.
Here are those of a VM on a shadow; a VM on nested tables: tables_nested.py.  Flags are those of the entries: AMD64 Manual vol. 2, 5.4; EPT: Intel SDM vol. 3C, 28.2.2.
"""
from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from viz.tables_ram import LEGACY32, LONG4, OF_MODE, Memory, entry_at, leaves
from viz.tables_replay import PAGE, State
from viz.walk_data import ADDRESS, NX, A, D, U, W

FLAGS = (("W", W), ("U", U), ("A", A), ("D", D))


@dataclass(frozen=True)
class Side:
    """One table's entry for a page: where it leads, and what it allows.  A table that holds
    nothing for the page has no Side."""

    to: int
    flags: str
    entry: int = 0


@dataclass(frozen=True)
class Row:
    """`count` pages of `size` from `gva` on (from a gPA on, where no gVA is known)."""

    gva: Optional[int]
    size: int
    guest: Optional[Side]
    shadow: Optional[Side]
    host: Optional[Side]
    note: str = ""
    status: str = ""        # "", "new", "changed" or "gone"
    was: Optional[Side] = None      # what the first table that changed had for it before
    whose: str = ""                 # and which table that is
    count: int = 1

    @property
    def key(self) -> Tuple[bool, int]:
        """By which rows are found again at another stop."""
        return (True, self.gva) if self.gva is not None else (
            False, self.host.to if self.host else 0)

    @property
    def end(self) -> int:
        """The first gVA (or number) behind it."""
        return self.key[1] + self.size * self.count


def flag_words(entry: int, level: int = 1) -> str:
    """W U A D NX as letters: capitals set, small clear."""
    words = [name if entry & bit else name.lower() for name, bit in FLAGS]
    return " ".join(words + (["NX"] if entry & NX else []) + (["PS"] if level > 1 else []))


def access_words(access: int) -> str:
    """Of a map or a slot: reading is implied."""
    return " ".join(["R"] + ["W"] * (access & 1) + ["X"] * (access >> 2 & 1))


def ept_words(entry: int) -> str:
    names = (("R", 1), ("W", 2), ("X", 4), ("A", 1 << 8), ("D", 1 << 9))
    return " ".join(name if entry & bit else name.lower() for name, bit in names)


# --- A VM on a shadow ---------------------------------------------------------------------------

def shadow_rows(state: State) -> List[Row]:
    """What the active shadow holds, as it was recorded."""
    found: Dict[int, Row] = {}
    tables = {page.table for page in state.pages.values() if not page.direct}
    for entry, page in state.leaves():
        gva = entry.gva & -PAGE
        hpa = entry.value & ADDRESS
        gpa = _gpa_at(state, hpa)
        guest = Side(gpa if gpa is not None else entry.gpte & ADDRESS,
                     flag_words(entry.gpte), entry.gpte) if entry.gpte else None
        note = "changed since, in a way that is not recorded" if entry.unsure else _narrower(
            entry.gpte, entry.value, gpa in tables and gpa not in state.unsynced)
        if page.direct or not guest:
            note = note or "a piece of a large page"
        found[gva] = Row(gva, PAGE, guest, Side(hpa, flag_words(entry.value), entry.value),
                         _slot(state, gpa), note)
    return [found[gva] for gva in sorted(found)]


def _gpa_at(state: State, hpa: int) -> Optional[int]:
    for gpa, size, start, _ in state.slots:
        if start <= hpa < start + size:
            return gpa + hpa - start
    return None


def _slot(state: State, gpa: Optional[int]) -> Optional[Side]:
    """The host's word on a gPA: the memory slot that holds it."""
    for start, size, hpa, access in state.slots:
        if gpa is not None and start <= gpa < start + size:
            return Side(hpa + gpa - start, access_words(access))
    return None


def _narrower(gpte: int, value: int, protected: bool) -> str:
    """Why the shadow allows less than the guest's entry."""
    if gpte & W and not value & W:
        if protected:
            return "not W: it is a guest table, writes exit"
        return "" if gpte & D else "not W: the first write must exit, to set D"
    return ""


def shadow_rows_of_memory(state: State, memory: Memory) -> List[Row]:
    """The same out of memory.bin: all that the processor could use, and the guest's entries."""
    form = OF_MODE.get(state.mode, LONG4)
    shadow_form = OF_MODE[2] if form is LEGACY32 else form
    tables = {page.table for page in state.pages.values() if not page.direct}
    found = []
    for leaf in leaves(memory, state.root, shadow_form):
        gpa = _gpa_at(state, leaf.target)
        own = entry_at(memory, state.groot & ~(0xFFF if form is not OF_MODE[2] else 0x1F), form,
                       state.host, leaf.address & (1 << 48) - 1)
        guest = Side((own[0] & ADDRESS & -own[1]) + (leaf.address & own[1] - 1),
                     flag_words(own[0], 2 if own[1] > PAGE else 1), own[0]) if own else None
        protected = gpa in tables and gpa not in state.unsynced
        note = _narrower(own[0], leaf.entry, protected) if own else \
            "the guest has no entry any more: not flushed yet"
        found.append(Row(leaf.address, leaf.size, guest,
                         Side(leaf.target, flag_words(leaf.entry), leaf.entry),
                         _slot(state, gpa), note))
    return found


# --- Comparing and joining ------------------------------------------------------------------------

def compare(before: Sequence[Row], now: Sequence[Row], loose: bool = False) -> List[Row]:
    """The rows of `now` with their status.  `loose`: A and D, which the processor sets without a
    record, are no change, since `before` is from records and `now` is not."""
    before, now = _cut(before, now), _cut(now, before)
    old = {row.key: row for row in before}
    found = [_marked(old.get(row.key), row, loose) for row in now]
    there = {row.key for row in now}
    found += [replace(row, status="gone") for key, row in old.items() if key not in there]
    return sorted(found, key=lambda row: (row.gva is None, row.key, row.status == "gone"))


def compare_hosts(before: State, known: Sequence[Row], now: Sequence[Row]) -> List[Row]:
    """The same with nested paging and rows from memory: nobody recorded the guest's entries, but
    for those in `known`; the host's mappings all were."""
    own = [row for row in known if row.guest]
    old = {row.key: row for row in _cut(own, now)}
    found = []
    for row in _cut(now, own):
        if row.key in old:
            row = _marked(old[row.key], row, True)
        if not row.status and row.host and row.host.entry not in before.nested:
            told = ("the host's mapping is new", row.note)
            row = replace(row, status="new", note="; ".join(filter(None, told)))
        found.append(row)
    return found


def _cut(rows: Sequence[Row], others: Sequence[Row]) -> List[Row]:
    """Stretches that the host has not mapped, cut where one of the others begins or ends, so that
    each piece is found again there."""
    places = sorted({place for row in others if row.gva is not None
                     for place in (row.gva, row.end)})
    return [piece for row in rows for piece in _pieces(row, places)]


def _pieces(row: Row, places: Sequence[int]) -> Iterator[Row]:
    if row.gva is None or row.guest is None or row.host or row.shadow:
        yield row
        return
    inside = places[bisect_right(places, row.gva):bisect_left(places, row.end)]
    if not inside:
        yield row
        return
    for low, high in zip([row.gva, *inside], [*inside, row.end]):
        yield replace(row, gva=low, size=PAGE, count=(high - low) // PAGE,
                      guest=replace(row.guest, to=row.guest.to + low - row.gva))


def _marked(old: Optional[Row], row: Row, loose: bool) -> Row:
    if old is None:
        return replace(row, status="new")
    for whose in ("guest", "shadow", "host"):
        before, after = getattr(old, whose), getattr(row, whose)
        if loose and whose == "host":
            continue    # a slot in both, or records here and entries there
        if _firm(before) != _firm(after) if loose else _told(before) != _told(after):
            return replace(row, status="changed", was=before, whose=whose)
    return replace(row, status="changed") if old.note != row.note and not loose else row


def _told(side: Optional[Side]) -> Optional[Tuple[int, str]]:
    return (side.to, side.flags) if side else None


def _firm(side: Optional[Side]) -> Optional[Tuple[int, List[str]]]:
    """Where it leads and what is allowed there, without A and D."""
    return (side.to, [word for word in side.flags.split() if word not in "aAdD"]) if side else None


def join(rows: Sequence[Row]) -> List[Row]:
    """Neighbours that go on where the one before ends, in every table, become one row."""
    found: List[Row] = []
    for row in rows:
        last = found[-1] if found else None
        if last is not None and _continues(last, row):
            found[-1] = replace(last, count=last.count + row.count)
        else:
            found.append(row)
    return found


def _continues(last: Row, row: Row) -> bool:
    step = last.size * last.count
    if (last.size, last.note, last.status, last.whose) != (row.size, row.note, row.status,
                                                           row.whose):
        return False
    if (last.gva is None) != (row.gva is None) or (
            last.gva is not None and row.gva != last.gva + step):
        return False
    return all(_follows(one, other, step) for one, other in (
        (last.guest, row.guest), (last.shadow, row.shadow), (last.host, row.host),
        (last.was, row.was)))


def _follows(one: Optional[Side], other: Optional[Side], step: int) -> bool:
    if one is None or other is None:
        return one is other
    return other.to == one.to + step and other.flags == one.flags
