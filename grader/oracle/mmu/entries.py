"""Every page that a table in the RAM file maps, with the rights of all levels together.

For the tables that the processor walks while a VM runs: nested ones (NPT, EPT) and
shadows, in long mode's format or PAE's. What it does not do: know what should be there.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator, List, Set, Tuple

import numpy as np

from grader.oracle.memory import Memory, OutsideMemory
from grader.oracle.paging import (D, D_EPT, EPT, NX, R_EPT, U, W, W_EPT, X_EPT, Mode,
                                  frame)
from grader.oracle.walk import EXECUTE, USER, WRITE


@dataclass(frozen=True)
class Page:
    """One entry that maps a page."""

    address: int        # what it translates: a gVA, or a gPA
    hpa: int
    size: int
    read: bool
    write: bool
    user: bool
    execute: bool
    dirty: bool
    where: int          # hPA of the entry

    def allows(self, access: int) -> bool:
        if access & USER and not self.user:
            return False
        if access & WRITE and not self.write:
            return False
        return self.execute if access & EXECUTE else self.read


@dataclass
class Reached:
    """What one root reaches."""

    pages: List[Page] = field(default_factory=list)
    tables: Set[int] = field(default_factory=set)
    problems: List[str] = field(default_factory=list)


def reach(memory: Memory, root: int, form: Mode) -> Reached:
    """All of it. Entries of a shadow may reach one table from several places; a nested
    table's never should, and isolation.py says so."""
    found = Reached()
    found.pages = list(_descend(memory, form, found, root & form.root_mask, 0, 0, (True,) * 4, []))
    return found


Rights = Tuple[bool, ...]       # read, write, user, execute


def rights(form: Mode, entry: int) -> Rights:
    """What one entry that is present grants."""
    if form is EPT:
        return (bool(entry & R_EPT), bool(entry & W_EPT), True, bool(entry & X_EPT))
    return (True, bool(entry & W), bool(entry & U), not entry & NX)


def _words(memory: Memory, table: int, form: Mode, bits: int) -> np.ndarray:
    return np.frombuffer(memory.read_bytes(table, form.width << bits), dtype="<u8")


def _descend(memory: Memory, form: Mode, found: Reached, table: int, depth: int, address: int,
             granted: Rights, above: List[int]) -> Iterator[Page]:
    level = form.levels[depth]
    found.tables.add(table & ~0xFFF)
    try:
        entries = _words(memory, table, form, level.bits)
    except OutsideMemory as error:
        found.problems.append(f"a level {level.level} table: {error}")
        return
    for index in np.flatnonzero(entries & np.uint64(form.present)).tolist():
        entry, at = int(entries[index]), address | index << level.shift
        if depth == 0 and form.levels[0].level == 4 and at >> 47 and form is not EPT:
            at |= 0xFFFF << 48
        now = granted
        if level.rights:
            now = tuple(a and b for a, b in zip(granted, rights(form, entry)))
        is_page = form.maps_page(level, entry)
        target = frame(form, level, entry, is_page)
        if is_page:
            dirty = bool(entry & (D_EPT if form is EPT else D))
            yield Page(at, target, level.page, *now, dirty, table + index * form.width)
        elif target in above:
            found.problems.append(f"the table at hPA {target:#x} lies below itself")
        else:
            yield from _descend(memory, form, found, target, depth + 1, at, now, above + [table])
