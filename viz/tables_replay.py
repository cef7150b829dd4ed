"""What the trace tells of a VM's tables at a moment: the shadow's, the guest's as far as the
VMM read them, and the host's.

The records are replayed in their order (formats.md 1.4; roles: vmm/mmu/shadow.h).  Two things
are not recorded one by one: which entries a shadow_sync changed, and what INVLPG made of an
entry; such entries are marked `unsure`.  What it does not do: read memory.bin (tables_ram.py).
"""
from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

from viz.trace import Trace
from viz.walk_data import ADDRESS, P, Walk, Walks

PAGE = 4096
LEGACY32 = 1                    # enum paging_mode
EVENTS: Dict[str, Tuple[str, ...]] = {
    "vm_create": ("root",), "vm_slot": ("gpa", "size", "hpa", "access"),
    "map": ("gpa", "hpa", "size", "access"), "unmap": ("gpa", "size"), "flush": ("kind", "addr"),
    "shadow_root": ("groot", "root", "mode", "cr0", "cr4", "efer"),
    "shadow_page": ("table", "level", "role", "shadow"),
    "shadow_fill": ("gva", "level", "gpte", "after", "where"),
    "shadow_write": ("gpa", "size"), "shadow_unsync": ("table",), "shadow_sync": ("table", "entries"),
    "shadow_zap": ("table", "level", "entries", "why")}
ZAP_INVLPG, FLUSH_ADDRESS = 1, 1


@dataclass
class Entry:
    """An entry of a shadow table: what it is for, what the guest's entry was, its own value."""

    gva: int
    gpte: int
    value: int
    unsure: bool = False


@dataclass
class Page:
    """A shadow table and the guest's table (or piece of a large page) that it stands for."""

    table: int
    level: int
    role: int
    entries: Dict[int, Entry] = field(default_factory=dict)

    @property
    def direct(self) -> bool:
        return bool(self.role >> 3 & 1)

    def standing_for(self, offset: int, size: int) -> range:
        """The entries made of `size` bytes of the guest's table from `offset` on."""
        if self.role >> 10 & 7 != LEGACY32:
            return range(offset // 8, (offset + size - 1) // 8 + 1)
        each = 1 if self.level == 1 else 2      # of ours for one of the guest's
        base = (self.role >> 4 & 3) * (512 // each)
        first = max(offset // 4 - base, 0)
        last = min((offset + size - 1) // 4 - base, 512 // each - 1)
        return range(first * each, (last + 1) * each)


@dataclass
class State:
    """All tables of one life of a VM at one moment."""

    created: int = 0                                # ns
    nested_root: int = 0
    slots: List[Tuple[int, int, int, int]] = field(default_factory=list)    # gpa, size, hpa, access
    nested: Dict[int, Tuple[int, int, int]] = field(default_factory=dict)   # gpa: hpa, size, access
    pages: Dict[int, Page] = field(default_factory=dict)    # by the hPA of the shadow table
    unsynced: Set[int] = field(default_factory=set)         # guest tables
    root: int = 0
    groot: int = 0
    mode: int = 0
    last_zap: Optional[Tuple[int, int]] = None

    def apply(self, event: str, ns: int, words: Tuple[int, ...]) -> None:
        """One record more."""
        handler: Callable[..., None] = getattr(self, "_" + event)
        if event == "vm_create":
            self.__init__()     # type: ignore[misc]
            self.created = ns
        handler(*words)

    def host(self, gpa: int) -> Optional[int]:
        """Where a gPA lies, by the memory slots."""
        for start, size, hpa, _ in self.slots:
            if start <= gpa < start + size:
                return hpa + gpa - start
        return None

    def reachable(self) -> Set[int]:
        """The shadow tables that hang on the active root."""
        seen: Set[int] = set()
        todo = [self.root]
        while todo:
            at = todo.pop()
            if at not in seen and at in self.pages:
                seen.add(at)
                todo += [entry.value & ADDRESS for entry in self.pages[at].entries.values()
                         if self.pages[at].level > 1]
        return seen

    def leaves(self) -> Iterator[Tuple[Entry, Page]]:
        """What the active root leads to, each page once."""
        for at in self.reachable():
            for entry in self.pages[at].entries.values():
                if self.pages[at].level == 1 or entry.value & ADDRESS not in self.pages:
                    yield entry, self.pages[at]

    # One method for each event, with its fields.

    def _vm_create(self, root: int) -> None:
        self.nested_root = root

    def _vm_slot(self, gpa: int, size: int, hpa: int, access: int) -> None:
        self.slots.append((gpa, size, hpa, access))

    def _map(self, gpa: int, hpa: int, size: int, access: int) -> None:
        self.nested[gpa] = hpa, size, access

    def _unmap(self, gpa: int, size: int) -> None:
        for at in [at for at in self.nested if gpa <= at < gpa + size]:
            del self.nested[at]

    def _shadow_root(self, groot: int, root: int, mode: int, *_: int) -> None:
        self.groot, self.root, self.mode = groot, root, mode

    def _shadow_page(self, table: int, level: int, role: int, shadow: int) -> None:
        self.pages[shadow] = Page(table, level, role)

    def _shadow_fill(self, gva: int, level: int, gpte: int, after: int, where: int) -> None:
        page = self.pages.setdefault(where & -PAGE, Page(0, level, 0))
        index = where % PAGE // 8
        page.entries.pop(index, None)
        if after & P:
            page.entries[index] = Entry(gva, gpte, after)

    def _shadow_write(self, gpa: int, size: int) -> None:
        for page in self.pages.values():
            if page.table == gpa & -PAGE and not page.direct:
                for index in page.standing_for(gpa % PAGE, size):
                    page.entries.pop(index, None)

    def _shadow_unsync(self, table: int) -> None:
        self.unsynced.add(table)

    def _shadow_sync(self, table: int, entries: int) -> None:
        self.unsynced.discard(table)
        for page in self.pages.values():
            if page.table == table and entries:
                for entry in page.entries.values():
                    entry.unsure = True

    def _shadow_zap(self, table: int, level: int, entries: int, why: int) -> None:
        if why == ZAP_INVLPG:
            self.last_zap = table, level
            return
        fits = [at for at, page in self.pages.items() if (page.table, page.level) == (table, level)]
        best = [at for at in fits if len(self.pages[at].entries) == entries] or fits
        if best:
            self._drop(best[0])

    def _drop(self, at: int) -> None:
        """A shadow table goes, and the entries that lead to it."""
        page = self.pages.pop(at)
        if not any(other.table == page.table for other in self.pages.values()):
            self.unsynced.discard(page.table)
        for other in self.pages.values():
            gone = [index for index, entry in other.entries.items()
                    if other.level > 1 and entry.value & ADDRESS == at]
            for index in gone:
                del other.entries[index]

    def _flush(self, kind: int, addr: int) -> None:
        """INVLPG: the record before tells whose entry was looked at, this one which."""
        if self.last_zap and kind == FLUSH_ADDRESS:
            for page in self.pages.values():
                if (page.table, page.level) == self.last_zap:
                    for entry in page.entries.values():
                        entry.unsure |= entry.gva & -PAGE == addr & -PAGE
        self.last_zap = None


def replay(trace: Trace, vm: int, until: List[int]) -> List[State]:
    """The state at each of these times, which rise."""
    records = _records(trace, vm)
    state, found, at = State(), [], 0
    for moment in until:
        while at < len(records) and records[at][1] <= moment:
            state.apply(records[at][2], records[at][1], records[at][3])
            at += 1
        found.append(copy.deepcopy(state))
    return found


def _records(trace: Trace, vm: int) -> List[Tuple[int, int, str, Tuple[int, ...]]]:
    """Index, ns, event and fields of all that count, in the trace's order."""
    found: List[Tuple[int, int, str, Tuple[int, ...]]] = []
    for event, fields in EVENTS.items():
        mine = trace.select(event)
        mine = mine.where(mine.vm == vm)
        columns = [mine[name].tolist() if name in dict(mine.event.fields) else [0] * len(mine)
                   for name in fields] if mine.event else []
        found += zip(mine.index.tolist(), mine.ns.tolist(), [event] * len(mine), zip(*columns))
    return sorted(found)


def walked(trace: Trace, vm: int, until: int) -> Dict[int, Walk]:
    """The guest's pages that a walk met: by gVA of the page the last walk of it that ended well.
    All that the trace knows of the guest's tables where the VMM has no shadow of them."""
    found: Dict[int, Walk] = {}
    for walk in Walks(trace):
        leaf = next((ref for ref in walk.refs if ref.dim == "GUEST" and ref.size), None)
        if walk.vm == vm and walk.ns <= until and leaf and not walk.faulted:
            found[walk.gva & -leaf.size] = walk
    return found
