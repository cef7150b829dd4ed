"""Nested tables that answer calls (vmm/mmu/sim/nestsim.c), and a guest's tables among them.

`Nest` speaks with the program; as a memory it is read by the oracles like a RAM file. `Guest`
puts a guest's own page tables into it, each at a random gPA behind a frame of its own. What
is right is judged elsewhere: nested.py, walk.py.
"""
from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from grader.oracle import walk
from grader.oracle.memory import OutsideMemory
from grader.oracle.paging import EPT, LONG4, MODES, Mode, P, PS, U, W

KB4, ENTRIES = 4096, 512
ARENA, ARENA_BYTES = 0x4000000000, 8192 * 4096
FORMATS: Dict[str, Mode] = {"npt": LONG4, "ept": EPT}
CR0_WP, CR0_PG, CR4_PSE, CR4_PAE, EFER_LMA, EFER_NXE = 1 << 16, 1 << 31, 1 << 4, 1 << 5, 1 << 10, \
    1 << 11
FAULTS = ("NONE", "NOT_PRESENT", "WRITE", "USER", "EXECUTE", "RESERVED", "NON_CANONICAL", "LIMIT",
          "NO_MEMORY", "READ")
DIMS = ("GUEST", "NESTED", "SHADOW", "SEGMENT")
ENDS = ("EXITED", "TRIPLE_FAULT", "HALTED", "KILLED", "BAD_ENTRY", "UNSUPPORTED", "TIME_UP",
        "RESET")
IN_WALK, PRESENT, MISCONFIG, PENDING = 1, 2, 4, 8
AT_ONCE, MOST_REFS = 8, 40      # references in an answer, of a walk (vmm/mmu/walk.h)
HEX = re.compile(r"[0-9a-f]{1,16}")


class Nonsense(AssertionError):
    """An answer that is none; the message is a sentence."""


def number(value: int) -> int:
    """Signed, from 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def _nonsense(line: str, answer: str) -> Nonsense:
    return Nonsense(f"asked '{line}' it answered '{answer[:60]}'")


def _numbers(line: str, answer: str, words: Sequence[str], count: int) -> List[int]:
    """So many numbers of 64 bits; Nonsense, which names the answer, if these are none."""
    if len(words) != count or not all(HEX.fullmatch(word) for word in words):
        raise _nonsense(line, answer)
    return [int(word, 16) for word in words]


@dataclass(frozen=True)
class Told:
    """A walk as the program tells it."""

    fault: str
    dim: str
    level: int
    error: int
    gpa: int
    hpa: int
    gpa_refs: int
    count: int
    refs: Tuple[Tuple[int, ...], ...]   # dim, level, serves, table, index, before, size
    nested_size: int
    nroot: int = 0


class Nest:
    """program: ask(line) -> answer.  Numbers go out and come back in hexadecimal."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.form, self.root, self.size = LONG4, 0, ARENA + ARENA_BYTES
        self.tables = self.mapped = 0
        self._known: Dict[int, np.ndarray] = {}

    def ask(self, word: str, *numbers: int, count: int = 1) -> List[int]:
        """The numbers of an answer, which are so many."""
        line = " ".join([word, *(f"{each:x}" for each in numbers)])
        answer = self.program.ask(line)
        return _numbers(line, answer, answer.split(), count)

    def _change(self, word: str, *numbers: int) -> int:
        self._known.clear()
        result, self.tables, self.mapped = self.ask(word, *numbers, count=3)
        return number(result)

    # --- Tables ---------------------------------------------------------------------

    def begin(self, form: str, frames: int = 4096) -> int:
        """Empty tables in that format; the root."""
        self._known.clear()
        self.form = FORMATS[form]
        line = f"begin {form} {frames:x}"
        answer = self.program.ask(line)
        [self.root] = _numbers(line, answer, answer.split(), 1)
        return self.root

    def entry(self, to: int, level: int, is_page: bool, access: int) -> int:
        return self.ask("entry", to, level, is_page, access)[0]

    def map(self, gpa: int, hpa: int, access: int) -> int:
        return self._change("map", gpa, hpa, access)

    def unmap(self, gpa: int) -> bool:
        return bool(self._change("unmap", gpa))

    def protect(self, gpa: int, access: int) -> bool:
        return bool(self._change("protect", gpa, access))

    def harvest(self, gpa: int) -> int:
        return self._change("harvest", gpa) & (1 << 64) - 1

    def frames(self, count: int) -> None:
        """How many frames may still be taken."""
        self._change("frames", count)

    def end(self) -> int:
        """Give all back; how many frames were not."""
        self._known.clear()
        return self.ask("end")[0]

    def take(self, count: int = 1) -> int:
        """Frames for the guest; the first one's hPA."""
        return self.ask("take", count)[0]

    # --- Faults ----------------------------------------------------------------------

    def slot(self, gpa: int, size: int, hpa: int, access: int) -> None:
        self._change("slot", gpa, size, hpa, access)

    def fault(self, gpa: int, access: int, about: int = 0) -> str:
        """What became of a nested fault: on, emulated, raised, or how the VM ended."""
        self._known.clear()
        line = f"fault {gpa:x} {access:x} {about:x}"
        answer = self.program.ask(line)
        word, _, how = answer.partition(" ")
        if word != "ended":
            return word
        [end] = _numbers(line, answer, [how], 1)
        if end >= len(ENDS):
            raise _nonsense(line, answer)
        return ENDS[end]

    # --- Memory ----------------------------------------------------------------------

    def read_table(self, hpa: int) -> np.ndarray:
        """The 512 entries of a table."""
        if hpa % KB4 or not ARENA <= hpa < ARENA + ARENA_BYTES:
            raise OutsideMemory(hpa, KB4, self.size)
        if hpa not in self._known:
            self._known[hpa] = self._scan(hpa)
        return self._known[hpa]

    def _scan(self, hpa: int) -> np.ndarray:
        table, at = np.zeros(ENTRIES, "<u8"), 0
        while at < ENTRIES:
            line = f"scan {hpa:x} {at:x}"
            answer = self.program.ask(line)
            if answer == "none":
                break
            for pair in answer.split() or [answer]:
                index, entry = _numbers(line, answer, pair.split(":"), 2)
                if not at <= index < ENTRIES:       # one that goes back would never end
                    raise _nonsense(line, answer)
                table[index], at = entry, index + 1
        return table

    def read_u64(self, hpa: int) -> int:
        return int(self.read_table(hpa & ~(KB4 - 1))[hpa % KB4 // 8])

    def read_u32(self, hpa: int) -> int:
        return self.read_u64(hpa & ~7) >> 8 * (hpa & 4) & 0xFFFFFFFF

    def write(self, hpa: int, value: int, width: int = 8) -> None:
        """A word of 8 or 4 bytes."""
        if width == 4:
            other = self.read_u64(hpa & ~7) & (0xFFFFFFFF if hpa & 4 else 0xFFFFFFFF << 32)
            value, hpa = other | value << 8 * (hpa & 4), hpa & ~7
        self.ask("write", hpa, value)
        self._known.pop(hpa & ~(KB4 - 1), None)

    # --- Walks -----------------------------------------------------------------------

    def nested(self, gpa: int, access: int, serves: int = 0) -> Told:
        return self._walk(self.ask("nested", gpa, access, serves, count=11))

    def walk(self, gva: int, access: int, registers: Tuple[int, ...]) -> Told:
        """registers: CR0, CR3, CR4, EFER, RFLAGS."""
        return self._walk(self.ask("walk", gva, access, *registers, count=11))

    def _walk(self, end: List[int]) -> Told:
        """With all its references: one that is not told could not be compared."""
        if end[0] >= len(FAULTS) or end[1] >= len(DIMS):
            raise Nonsense(f"a walk ended with {end}")
        refs: List[Tuple[int, ...]] = []
        while len(refs) < min(end[7], MOST_REFS):
            line = f"refs {len(refs):x}"
            answer = self.program.ask(line)
            told = answer.split()
            if len(told) != min(AT_ONCE, end[7] - len(refs), MOST_REFS - len(refs)):
                raise _nonsense(line, answer)
            refs += [tuple(_numbers(line, answer, ref.split(","), 7)) for ref in told]
        return Told(FAULTS[end[0]], DIMS[end[1]], end[2], end[3], end[4], end[5], end[6], end[7],
                    tuple(refs), *end[9:])


# --- A guest's own tables ----------------------------------------------------------------

class Guest:
    """A guest with paging, whose memory is random pages of a Nest."""

    def __init__(self, nest: Nest, at: random.Random, mode: str = "LONG4") -> None:
        self.nest, self.at, self.mode = nest, at, mode
        self.host: Dict[int, int] = {}      # gPA of a page -> its hPA
        self.tables: List[int] = []         # gPAs
        self.root = self.table()

    def page(self, access: int = walk.WRITE | walk.EXECUTE, gpa: Optional[int] = None) -> int:
        """A page of memory, mapped; its gPA, random unless given."""
        while gpa is None or gpa in self.host:
            gpa = self.at.randrange(1 << (38 if self.mode == "LONG4" else 30) - 12) * KB4
        self.host[gpa] = self.nest.take()
        self.nest.map(gpa, self.host[gpa], access)
        return gpa

    def table(self) -> int:
        self.tables.append(self.page())
        return self.tables[-1]

    def map(self, gva: int, gpa: int, level: int = 1, flags: int = W | U) -> None:
        """Map by one page of that level; the tables above allow everything."""
        mode, table = MODES[self.mode], self.root
        for each in mode.levels:
            place = self.host[table] + each.index(gva) * mode.width
            if each.level == level:
                self.nest.write(place, gpa | flags | P | (PS if level > 1 else 0), mode.width)
                return
            entry = self.nest.read_u64(place) if mode.width == 8 else self.nest.read_u32(place)
            if not entry & P:
                entry = self.table() | P | (W | U if each.rights else 0)
                self.nest.write(place, entry, mode.width)
            table = entry & ~0xFFF

    def entry_place(self, gva: int, level: int) -> Tuple[int, int]:
        """Where the entry of that level is: the gPA of its table, and its hPA."""
        mode, table = MODES[self.mode], self.root
        for each in mode.levels:
            place = self.host[table] + each.index(gva) * mode.width
            if each.level == level:
                return table, place
            table = (self.nest.read_u64(place) if mode.width == 8
                     else self.nest.read_u32(place)) & ~0xFFF
        raise ValueError(level)

    def registers(self, settings: walk.Settings = walk.Settings()) -> Tuple[int, ...]:
        """CR0, CR3, CR4, EFER, RFLAGS."""
        cr4 = (CR4_PSE if settings.pse else 0) | (CR4_PAE if self.mode != "LEGACY32" else 0)
        efer = (EFER_NXE if settings.nxe else 0) | (EFER_LMA if self.mode == "LONG4" else 0)
        return (CR0_PG | (CR0_WP if settings.wp else 0), self.root, cr4, efer, 0)


def expected(nest: Nest, guest: Guest, gva: int, access: int,
             settings: walk.Settings = walk.Settings()) -> walk.Result:
    """The walk that a processor would make."""
    return walk.walk(nest, gva, access, guest.mode, guest.root, nest.root, settings, nest.form)


def walk_problems(told: Told, right: walk.Result, whole: bool = True) -> List[str]:
    """Where a walk is not the processor's, reference by reference; the first thing only.
    whole: of both dimensions, so that after a fault nothing may look like a page."""
    roots = [ref.table for ref in right.refs if (ref.dim, ref.level) == ("NESTED", 4)]
    if roots and told.nroot != roots[0]:
        return [f"the walk says that its nested root (nroot) is {told.nroot:#x}, it is {roots[0]:#x}"]
    for n, (seen, ref) in enumerate(zip(told.refs, right.refs), 1):
        last = ref is right.refs[-1] and right.fault != "NONE"
        want = (DIMS.index(ref.dim), ref.level, ref.serves, ref.table, ref.index, ref.entry, ref.size)
        for name, ours, theirs in zip(("dimension", "level", "served level", "table", "index",
                                       "entry", "page size"), want, seen):
            if ours != theirs and not (name == "page size" and last):
                return [f"reference {n} should be that of the {ref.dim.lower()} level {ref.level}"
                        f"{f' for guest level {ref.serves}' if ref.serves else ''} at hPA "
                        f"{ref.address:#x}: its {name} is {theirs:#x}, should be {ours:#x}"]
    if told.count != len(right.refs):
        return [f"the walk made {told.count} references, a processor makes {len(right.refs)}"]
    return end_problems(told, right) or (found_problems(told, right) if whole or told.fault == "NONE"
                                         else [])


def found_problems(told: Told, right: walk.Result) -> List[str]:
    """Whether the walk tells of the page that it found, and after a fault of none."""
    size = right.refs[-1].size if right.fault == "NONE" and right.refs else 0
    if right.fault != "NONE" and (told.hpa or told.nested_size):
        return [f"it ended with fault {told.fault}, and still says hPA {told.hpa:#x} and nested_size "
                f"{told.nested_size:#x}, as if a page had been found: both should be 0"]
    return [] if told.nested_size == size else [
        f"nested_size is {told.nested_size:#x}, should be {size:#x}"]


def end_problems(told: Told, right: walk.Result) -> List[str]:
    """How the walk ended."""
    if (told.fault, told.level) not in (right.denials or [("NONE", told.level)]):
        wanted = " or ".join(f"{fault} at level {level}" for fault, level in right.denials) or "NONE"
        return [f"it ended with fault {told.fault} at level {told.level}, should be {wanted}"]
    if right.fault != "NONE" and (told.dim, told.error) != (right.dim, right.error):
        return [f"the fault is one of the {told.dim.lower()} dimension with error "
                f"{right.error_words(told.error)}, should be the {right.dim.lower()} dimension with "
                f"{right.error_words(right.error)}"]
    if right.gpa is not None and (told.gpa, told.gpa_refs) != (right.gpa, right.gpa_refs):
        return [f"the gPA is {told.gpa:#x} after {told.gpa_refs} references, should be "
                f"{right.gpa:#x} after {right.gpa_refs}"]
    if right.hpa is not None and told.hpa != right.hpa:
        return [f"the hPA is {told.hpa:#x}, should be {right.hpa:#x}"]
    return []
