"""Names for the host kernel's addresses, out of the symbol table of its ELF file.

Only what a sentence needs: which function, how far in, and of a static one the source file.  The file may come of a
submission's build: what is odd about it is taken for having no symbols.
"""
from __future__ import annotations

import re
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

SYMTAB = 2
NOTYPE, FUNC, FILE = 0, 2, 4
LOCAL = 0
RESERVED = 0xff00               # section numbers from here on are no sections: constants
MOST_BYTES = 32 << 20
FARTHEST = 1 << 16              # no function is as long
NAME = re.compile(r"[A-Za-z_][\w.]{0,63}\Z")
ADDRESS = re.compile(r"\brip (0x[0-9a-f]{1,16})\b")


class Place(NamedTuple):
    """A function or label, and the name of its file where the table tells it (static ones)."""

    address: int
    name: str
    file: str = ""


NOWHERE = Place(0, "")


def function(text: str, image: Path) -> Place:
    """Where the text's `rip 0x...` lies; NOWHERE if in nothing of the kernel's."""
    found = ADDRESS.search(text)
    return _at(_places(image), int(found[1], 16)) if found else NOWHERE


def named(text: str, image: Path) -> str:
    """The text with the function and offset behind each `rip 0x...` that lies in the kernel."""
    table = _places(image)
    return ADDRESS.sub(lambda found: found[0] + _bracket(table, int(found[1], 16)), text)


def _bracket(table: List[Place], address: int) -> str:
    place = _at(table, address)
    return f" ({place.name}+{address - place.address:#x})" if place.name else ""


def _at(table: List[Place], address: int) -> Place:
    at = bisect_right(table, (address, "\x7f")) - 1
    return NOWHERE if at < 0 or address - table[at].address > FARTHEST else table[at]


def read(image: Path) -> List[Tuple[int, str]]:
    """The functions and labels of an ELF64 file, by address; [] if it cannot be read."""
    return [(place.address, place.name) for place in _places(image)]


def _places(image: Path) -> List[Place]:
    try:
        with open(image, "rb") as file:
            return sorted(_symbols(file.read(MOST_BYTES)))
    except (OSError, struct.error):
        return []


def _symbols(raw: bytes) -> Iterator[Place]:
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


def _table(symbols: bytes, strings: bytes) -> Iterator[Place]:
    """A file's name stands before its local symbols."""
    file, whole = "", len(symbols) - len(symbols) % 24
    for name, info, _, section, value, _ in struct.iter_unpack("<IBBHQQ", symbols[:whole]):
        text = strings[name:name + 65].split(b"\0", 1)[0].decode("ascii", "replace")
        if info & 15 == FILE:
            file = text
        if 0 < section < RESERVED and info & 15 in (NOTYPE, FUNC) and NAME.match(text):
            yield Place(value, text, file if info >> 4 == LOCAL else "")
