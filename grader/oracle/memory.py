"""The machine's memory as its host file holds it: offset = host-physical address.

A run on a platform that maps RAM to a file leaves `memory.bin`. The oracles
read page tables from it, so that nothing a student's VMM says needs believing.
Nothing is cached here: a file of a machine that still runs reads as it is now.
All numbers are little-endian, as on the machine.
"""
from __future__ import annotations

import mmap
import struct
from pathlib import Path
from types import TracebackType

import numpy as np


class OutsideMemory(Exception):
    """An address that the machine's memory does not hold."""

    def __init__(self, hpa: int, length: int, size: int) -> None:
        super().__init__(f"host-physical {hpa:#x}..{hpa + length - 1:#x} lies outside "
                         f"the machine's {size:#x} bytes of memory")
        self.hpa = hpa


class Memory:
    """Read-only view of a RAM file. Raises OutsideMemory, never returns short."""

    def __init__(self, path: str | Path) -> None:
        self._map = None
        with open(path, "rb") as file:
            self.size = file.seek(0, 2)
            if self.size == 0:
                raise ValueError(f"{path}: the memory file is empty")
            self._map = mmap.mmap(file.fileno(), self.size, access=mmap.ACCESS_READ)

    def read_bytes(self, hpa: int, length: int) -> bytes:
        """`length` bytes at host-physical `hpa`."""
        if hpa < 0 or length < 0 or hpa + length > self.size:
            raise OutsideMemory(hpa, max(length, 1), self.size)
        return self._map[hpa:hpa + length]

    def read_u32(self, hpa: int) -> int:
        """The 32-bit word at host-physical `hpa`."""
        return int(struct.unpack("<I", self.read_bytes(hpa, 4))[0])

    def read_u64(self, hpa: int) -> int:
        """The 64-bit word at host-physical `hpa`."""
        return int(struct.unpack("<Q", self.read_bytes(hpa, 8))[0])

    def read_table(self, hpa: int) -> np.ndarray:
        """The 512 entries of the page table at host-physical `hpa`."""
        return np.frombuffer(self.read_bytes(hpa, 4096), dtype="<u8")

    def close(self) -> None:
        """Give the mapping back; the object is of no use afterwards."""
        if self._map is not None:
            self._map.close()

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
