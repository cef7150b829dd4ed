"""Page tables built by hand in a RAM file, for the tests of the oracles.

`Ram` hands out frames upwards; map4() installs one page in a long-mode table,
be it a guest's (through `to_host`) or a nested one. What it does not do: check
anything; a test that wants a wrong table just writes it.
"""
from __future__ import annotations

import struct
from pathlib import Path
from typing import Callable, Dict, Optional

P, W, U, A, D, PS, NX = 1, 2, 4, 1 << 5, 1 << 6, 1 << 7, 1 << 63
SHIFT = {4: 39, 3: 30, 2: 21, 1: 12}
ADDRESS = ((1 << 52) - 1) & ~0xFFF


class Ram:
    """`size` bytes of memory, written to a file when asked."""

    def __init__(self, size: int, first: int = 0x1000) -> None:
        self.data = bytearray(size)
        self.next = first

    def frame(self, count: int = 1, align: int = 0x1000) -> int:
        base = (self.next + align - 1) & ~(align - 1)
        self.next = base + count * 0x1000
        assert self.next <= len(self.data), "the test's RAM is too small"
        return base

    def put(self, hpa: int, value: int, width: int = 8) -> None:
        self.data[hpa:hpa + width] = value.to_bytes(width, "little")

    def get(self, hpa: int) -> int:
        return int(struct.unpack_from("<Q", self.data, hpa)[0])

    def save(self, path: Path) -> Path:
        path.write_bytes(self.data)
        return path


class Tables:
    """A long-mode table set whose addresses `to_host` turns into host-physical ones."""

    def __init__(self, ram: Ram, alloc: Callable[[], int],
                 to_host: Callable[[int], int] = lambda a: a) -> None:
        self.ram, self.alloc, self.to_host = ram, alloc, to_host
        self.root = alloc()
        self.entries: Dict[tuple, int] = {}

    def map(self, address: int, target: int, leaf: int = 1, flags: int = P | W | U,
            upper: Optional[Dict[int, int]] = None) -> None:
        """Map the page at `address` to `target`; `upper` gives other flags per level."""
        table = self.root
        for level in range(4, leaf - 1, -1):
            where = self.to_host(table) + 8 * ((address >> SHIFT[level]) & 511)
            self.entries[address, level] = where
            if level == leaf:
                self.ram.put(where, target | flags | (PS if leaf > 1 else 0))
                return
            entry = self.ram.get(where)
            if not entry & P:
                entry = self.alloc() | (upper or {}).get(level, P | W | U)
                self.ram.put(where, entry)
            table = entry & ADDRESS


class Machine:
    """One VM: `pages` guest frames backed one by one, guest tables in the middle of them."""

    def __init__(self, size: int = 1 << 22, pages: int = 64, nested_leaf: int = 1,
                 host_base: Optional[int] = None) -> None:
        self.ram = Ram(size)
        big = {1: 0x1000, 2: 1 << 21}[nested_leaf]
        self.nested = Tables(self.ram, self.ram.frame)
        self.slot = host_base or self.ram.frame(pages, align=big)
        self.pages = pages
        for gpa in range(0, pages * 0x1000, big):
            self.nested.map(gpa, self.slot + gpa, nested_leaf)
        self.guest_next = 0x1000
        self.guest = Tables(self.ram, self.guest_frame, lambda gpa: self.slot + gpa)

    def guest_frame(self) -> int:
        self.guest_next += 0x1000
        assert self.guest_next <= self.pages * 0x1000
        return self.guest_next - 0x1000
