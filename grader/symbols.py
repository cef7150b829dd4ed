"""Names for the host kernel's addresses, out of the symbol table of its ELF file.

Only what a sentence needs: which function, and how far in.  The file may come of a
submission's build: what is odd about it is taken for having no symbols.
"""
from __future__ import annotations

import re
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Iterator, List, Tuple

SYMTAB = 2
NOTYPE, FUNC = 0, 2
RESERVED = 0xff00               # section numbers from here on are no sections: constants
MOST_BYTES = 32 << 20
FARTHEST = 1 << 16              # no function is as long
NAME = re.compile(r"[A-Za-z_][\w.]{0,63}\Z")
ADDRESS = re.compile(r"\brip (0x[0-9a-f]{1,16})\b")


def named(text: str, image: Path) -> str:
    """The text with the function and offset behind each `rip 0x...` that lies in the kernel."""
    table = read(image)
    return ADDRESS.sub(lambda found: found[0] + _bracket(table, int(found[1], 16)), text)


def _bracket(table: List[Tuple[int, str]], address: int) -> str:
    at = bisect_right(table, (address, "\x7f")) - 1
    if at < 0 or address - table[at][0] > FARTHEST:
        return ""
    return f" ({table[at][1]}+{address - table[at][0]:#x})"


def read(image: Path) -> List[Tuple[int, str]]:
    """The functions and labels of an ELF64 file, by address; [] if it cannot be read."""
    try:
        with open(image, "rb") as file:
            return sorted(_symbols(file.read(MOST_BYTES)))
    except (OSError, struct.error):
        return []


def _symbols(raw: bytes) -> Iterator[Tuple[int, str]]:
    if raw[:5] != b"\x7fELF\x02":
        return
    table, = struct.unpack_from("<Q", raw, 40)
    size, count = struct.unpack_from("<HH", raw, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", raw, table + size * i) for i in range(count)]
    for section in sections:
        if section[1] == SYMTAB and section[6] < count and section[9] == 24:
            strings = sections[section[6]]
            yield from _table(raw[section[4]:section[4] + section[5]],
                              raw[strings[4]:strings[4] + strings[5]])


def _table(symbols: bytes, strings: bytes) -> Iterator[Tuple[int, str]]:
    whole = len(symbols) - len(symbols) % 24
    for name, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", symbols[:whole]):
        text = strings[name:name + 65].split(b"\0", 1)[0].decode("ascii", "replace")
        if 0 < section < RESERVED and info & 15 in (NOTYPE, FUNC) and NAME.match(text):
            yield value, text
