"""A guest's ELF file as built: what of it must be in the guest's memory, and where its symbols are.

Reads ELF32 and ELF64, little-endian, as far as Multiboot guests use them: program headers
and the symbol table.  What it does not do: relocate, or know what a symbol means.
Source: System V ABI, chapters 4 and 5.
"""
from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

PT_LOAD, PF_W, SHT_SYMTAB = 1, 2, 2
FORMATS = {1: ("<HHIIIIIHHHHHH", "<IIIIIIII", "<IIIIIIIIII", "<IIIBBH"),
           2: ("<HHIQQQIHHHHHH", "<IIQQQQQQ", "<IIQQQQIIQQ", "<IBBHQQ")}


@dataclass(frozen=True)
class Image:
    """The parts of the file that are loaded and never written, and the symbols."""

    fixed: Tuple[Tuple[int, bytes], ...]    # guest-physical address, bytes
    symbols: Dict[str, int]

    def at(self, address: int, length: int) -> bytes:
        """The bytes of a fixed part at `address`; b'' if no such part holds them all."""
        for start, data in self.fixed:
            if start <= address and address + length <= start + len(data):
                return data[address - start:address - start + length]
        return b""


def read(path: Path) -> Image:
    """The image in an ELF file; one without any part if it is none."""
    raw = path.read_bytes()
    if raw[:4] != b"\x7fELF" or raw[4] not in FORMATS:
        return Image((), {})
    head, program, section, symbol = FORMATS[raw[4]]
    fields = struct.unpack_from(head, raw, 16)
    parts = [_segment(raw, struct.unpack_from(program, raw, fields[4] + i * fields[8]), raw[4])
             for i in range(fields[9])]
    sections = [struct.unpack_from(section, raw, fields[5] + i * fields[10])
                for i in range(fields[11])]
    return Image(tuple(part for part in parts if part[1]), _symbols(raw, sections, symbol))


def _segment(raw: bytes, row: Tuple[int, ...], kind: int) -> Tuple[int, bytes]:
    if kind == 1:
        what, offset, _, physical, size, _, flags, _ = row
    else:
        what, flags, offset, _, physical, size, _, _ = row
    fixed = what == PT_LOAD and not flags & PF_W
    return physical, raw[offset:offset + size] if fixed else b""


def _symbols(raw: bytes, sections: List[Tuple[int, ...]], symbol: str) -> Dict[str, int]:
    found: Dict[str, int] = {}
    size = struct.calcsize(symbol)
    for row in sections:
        if row[1] != SHT_SYMTAB:
            continue
        names = sections[row[6]][4]
        for place in range(row[4], row[4] + row[5], size):
            entry = struct.unpack_from(symbol, raw, place)
            value = entry[1] if size == 16 else entry[4]
            start = names + entry[0]
            found[raw[start:raw.index(b"\0", start)].decode("ascii", "replace")] = value
    return found
