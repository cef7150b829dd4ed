"""A VM's tables as they lie in memory.bin, which holds the machine's memory as it was left.

Walks whole tables: which addresses they map, to what, and by which entry.  Formats: AMD64
Manual vol. 2, 5.2 and 5.3; EPT: Intel SDM vol. 3C, 28.2.2.  What it does not do: judge, or
know the VMs (tables.py).
"""
from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Tuple

import numpy as np

from viz.tables_replay import PAGE
from viz.walk_data import ADDRESS

# A guest can write any tables, such as few that map themselves or each other many times over:
# so many pages are told of, and so many tables read for it, whether or not they map something.
MOST, TABLES = 1 << 18, 1 << 14


@dataclass(frozen=True)
class Format:
    """Levels, bits of an index, bytes of an entry, which bits mean that it is there."""

    levels: int
    bits: int
    width: int
    present: int


LONG4, PAE, LEGACY32 = Format(4, 9, 8, 1), Format(3, 9, 8, 1), Format(2, 10, 4, 1)
EPT = Format(4, 9, 8, 7)
OF_MODE: Dict[int, Format] = {1: LEGACY32, 2: PAE, 3: LONG4}


@dataclass(frozen=True)
class Leaf:
    """One page that a table maps."""

    address: int
    size: int
    entry: int
    target: int
    where: int      # the entry's hPA


class Memory:
    """The machine's memory by host-physical address; what lies beyond the file is 0.
    `cut`: leaves() has left out what is more than MOST and TABLES."""

    def __init__(self, path: Path) -> None:
        self.cut = False
        with open(path, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def table(self, hpa: int) -> bytes:
        """The 4 KiB from there on."""
        return self.data[hpa:hpa + PAGE].ljust(PAGE, b"\0")


Locate = Callable[[int], Optional[int]]


def leaves(memory: Memory, root: int, form: Format, locate: Locate = lambda a: a) -> Iterator[Leaf]:
    """All pages that the table at `root` maps, by address; `locate` tells where a table lies.
    At most MOST of them, and what TABLES tables map (Memory.cut)."""
    read = iter(range(TABLES))
    for count, leaf in enumerate(_below(memory, root, form.levels, 0, form, locate, read)):
        if count == MOST:
            memory.cut = True
            return
        yield leaf


def _below(memory: Memory, table: int, level: int, base: int, form: Format, locate: Locate,
           read: Iterator[int]) -> Iterator[Leaf]:
    at = locate(table)
    if at is None:
        return
    if next(read, None) is None:
        memory.cut = True
        return
    low = 12 + form.bits * (level - 1)
    short = form is PAE and level == 3
    start = at % PAGE & -32 if short else 0
    entries = np.frombuffer(memory.table(at & -PAGE), f"<u{form.width}", 4 if short else -1, start)
    there = np.flatnonzero(entries & entries.dtype.type(form.present))
    for index, entry in zip(there.tolist(), entries[there].tolist()):
        address = _canonical(base + (index << low), form)
        where = (at & -PAGE) + start + index * form.width
        if level == 1 or (entry >> 7 & 1 and level < 4 and not short):
            size = 1 << low
            yield Leaf(address, size, entry, entry & ADDRESS & -size, where)
        else:
            yield from _below(memory, entry & ADDRESS, level - 1, base + (index << low), form,
                              locate, read)


def _canonical(address: int, form: Format) -> int:
    """Addresses of long mode with bit 47 set lie at the upper end."""
    return address | 0xFFFF << 48 if form is LONG4 and address >> 47 & 1 else address


def entry_at(memory: Memory, root: int, form: Format, locate: Locate,
             address: int) -> Optional[Tuple[int, int]]:
    """The entry that maps an address, and its page's size."""
    table, level = root, form.levels
    while True:
        at = locate(table)
        if at is None:
            return None
        short = form is PAE and level == 3
        low = 12 + form.bits * (level - 1)
        index = address >> low & ((1 << (2 if short else form.bits)) - 1)
        offset = (at % PAGE & -32 if short else 0) + index * form.width
        entry = int.from_bytes(memory.table(at & -PAGE)[offset:offset + form.width], "little")
        if not entry & form.present:
            return None
        if level == 1 or (entry >> 7 & 1 and level < 4 and not short):
            return entry, 1 << low
        table, level = entry & ADDRESS, level - 1
