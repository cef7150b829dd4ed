"""A machine's memory in which some bytes are others: what an oracle must notice."""
from __future__ import annotations

from typing import Union

from grader.oracle.memory import Memory


class Patched(Memory):
    """Reads as `memory`, but for `data` at `where`; a number is a word of 64 bits."""

    def __init__(self, memory: Memory, where: int, data: Union[int, bytes]) -> None:
        self.memory, self.size, self.where = memory, memory.size, where
        self.data = data.to_bytes(8, "little") if isinstance(data, int) else data
        self._map = None

    def read_bytes(self, hpa: int, length: int) -> bytes:
        """As Memory has it."""
        raw = bytearray(self.memory.read_bytes(hpa, length))
        for i, byte in enumerate(self.data, start=self.where - hpa):
            if 0 <= i < length:
                raw[i] = byte
        return bytes(raw)
