"""A guest's tables without a machine (vmm/mmu/sim/walksim.c), and the walks through them.

Memory is slots of random frames, so that a gPA is never an hPA; a guest's tables are built in
them in any format. What the walk should be is computed by walk.py, from the same memory; what
it does not do: A and D bits, which `used` says.
"""
from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Tuple

from grader.oracle import walk
from grader.oracle.memory import OutsideMemory
from grader.oracle.nestsim import CR0_PG, CR0_WP, CR4_PAE, CR4_PSE, EFER_LMA, EFER_NXE, \
    Nest, Told, end_problems
from grader.oracle.paging import A, D, KB4, MODES, NX, P, PS, U, W, frame

CR4_SMEP, CR4_SMAP, AC = 1 << 20, 1 << 21, 1 << 18
SLOT_PAGES, SLOTS = 48, 4
SET_AD, HELD = 1, 2     # how a walk is made: A and D are set; PAE's pointers are the processor's
CACHED = 0x18           # CR3's PWT and PCD, which are no part of an address
# What a leaf of a shadow depends on: handouts/lab4.md, 4.6, and the roles of vmm/mmu/shadow.h.
ROLE_LEAF, ROLE_ACCESS_SHIFT, ROLE_WP, ROLE_SMEP = 1, 6, 1 << 14, 1 << 16


@dataclass(frozen=True)
class Slot:
    """A piece of the guest's memory."""

    gpa: int
    hpa: int
    size: int


class Sim(Nest):
    """The program, with a VM's memory; as a memory of gPAs it is what a walk reads."""

    def __init__(self, program: Any, at: random.Random, wide: bool = True) -> None:
        super().__init__(program)
        self.at, self.slots = at, []        # type: random.Random, List[Slot]
        self.ask("begin")
        for place in sorted(at.sample(range(1, 60 if wide else 3), SLOTS if wide else 2)):
            gpa = (place << 30) + at.randrange(1 << 10) * KB4
            slot = Slot(gpa, self.take(SLOT_PAGES), SLOT_PAGES * KB4)
            self.ask("slot", slot.gpa, slot.size, slot.hpa, walk.WRITE | walk.EXECUTE)
            self.slots.append(slot)
        self._free = [slot.gpa + page * KB4 for slot in self.slots for page in range(SLOT_PAGES)]
        at.shuffle(self._free)

    def page(self) -> int:
        """A page of the guest's that nothing uses; its gPA."""
        return self._free.pop()

    def hpa(self, gpa: int, size: int = 1) -> int:
        for slot in self.slots:
            if slot.gpa <= gpa and gpa + size <= slot.gpa + slot.size:
                return slot.hpa + gpa - slot.gpa
        raise OutsideMemory(gpa, size, 0)

    def walked(self, gva: int, access: int, registers: Tuple[int, ...], how: int = 0) -> Told:
        """registers: CR0, CR3, CR4, EFER, RFLAGS; how: SET_AD, HELD."""
        if how & SET_AD:
            self._known.clear()
        return self._walk(self.ask("walk", gva, access, how, *registers, count=10))

    def role(self, cr0: int, cr4: int, efer: int) -> int:
        return self.ask("role", cr0, cr4, efer)[0]

    def leaf(self, role: int, entry: int, access: int, is_table: bool = False) -> int:
        """The shadow's entry for a guest's, whose frame may be one of the guest's tables."""
        return self.ask("leaf", role, entry, access, is_table)[0]


class ByGpa:
    """The memory of a Sim, by gPA: what walk.py reads."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim

    def read_u64(self, gpa: int) -> int:
        return self.sim.read_u64(self.sim.hpa(gpa, 8))

    def read_u32(self, gpa: int) -> int:
        return self.sim.read_u32(self.sim.hpa(gpa, 4))


class Tables:
    """A guest's tables in the memory of a Sim."""

    def __init__(self, sim: Sim, mode: str) -> None:
        self.sim, self.mode, self.form = sim, mode, MODES[mode]
        self.root = sim.page()
        self.entries: Dict[Tuple[int, int], int] = {}

    def read(self, gpa: int) -> int:
        memory = ByGpa(self.sim)
        return memory.read_u64(gpa) if self.form.width == 8 else memory.read_u32(gpa)

    def write(self, gpa: int, entry: int) -> None:
        self.sim.write(self.sim.hpa(gpa, self.form.width), entry, self.form.width)

    def path(self, gva: int) -> List[Tuple[int, int]]:
        """(level, gPA of the entry) from the root down, as far as tables go."""
        table, found = self.root, []
        for level in self.form.levels:
            where = table + level.index(gva) * self.form.width
            found.append((level.level, where))
            entry = self.read(where)
            if level.level == 1 or not entry & P or level.maps and entry & PS:
                break
            table = frame(self.form, level, entry, False)
        return found

    def map(self, gva: int, level: int = 1, flags: int = W | U) -> int:
        """Map a page of that level, somewhere; its first byte's gPA."""
        table = self.root
        for each in self.form.levels:
            where = table + each.index(gva) * self.form.width
            if each.level == level:
                gpa = self.sim.page() if level == 1 else self._large(each.page)
                self.write(where, gpa | flags | P | (PS if level > 1 else 0))
                return gpa
            if not self.read(where) & P:
                self.write(where, self.sim.page() | P | (W | U if each.rights else 0))
            table = frame(self.form, each, self.read(where), False)
        raise ValueError(level)

    def _large(self, size: int) -> int:
        """A walk needs no memory behind the page that it finds."""
        room = 1 << (38 if self.form.width == 8 else 32)
        return self.sim.at.randrange(room // size) * size

    def gva(self) -> int:
        """Some page's."""
        if self.mode != "LONG4":
            return self.sim.at.randrange(1 << 20) * KB4
        low = self.sim.at.randrange(1 << 35) * KB4
        return low | 0xFFFF800000000000 if self.sim.at.random() < 0.5 else low

    def registers(self, settings: walk.Settings = walk.Settings()) -> Tuple[int, ...]:
        cr0 = CR0_PG | 1 | (CR0_WP if settings.wp else 0)
        cr4 = (CR4_PSE if settings.pse else 0) | (CR4_SMEP if settings.smep else 0) | \
            (CR4_SMAP if settings.smap else 0) | (CR4_PAE if self.mode != "LEGACY32" else 0)
        efer = (EFER_NXE if settings.nxe else 0) | (EFER_LMA if self.mode == "LONG4" else 0)
        return cr0, self.root, cr4, efer, 0

    # --- What is right ------------------------------------------------------------------

    def expected(self, gva: int, access: int, settings: walk.Settings) -> walk.Result:
        """The walk that a processor makes; tables by gPA."""
        return walk.walk(ByGpa(self.sim), gva, access, self.mode, self.root, None, settings)

    def problems(self, gva: int, access: int,
                 settings: walk.Settings = walk.Settings()) -> List[str]:
        """Where the program's walk is not the processor's; the first thing, and the result."""
        told = self.sim.walked(gva, access, self.registers(settings))
        right = self.expected(gva, access, settings)
        for n, (seen, ref) in enumerate(zip(told.refs, right.refs), 1):
            want = (ref.level, self.sim.hpa(ref.table), ref.index, ref.entry)
            if want != (seen[1], seen[3], seen[4], seen[5]):
                return [f"reference {n} should be entry {ref.index:#x} of the level {ref.level} table "
                        f"at hPA {want[1]:#x}; it is entry {seen[4]:#x} of the level {seen[1]} table "
                        f"at {seen[3]:#x}"]
        if told.count != len(right.refs):
            return [f"the walk made {told.count} references, a processor makes {len(right.refs)}"]
        return end_problems(told, replace(right, hpa=None))

    def used(self, gva: int, access: int) -> Dict[int, int]:
        """gPA of each entry that this walk reads -> the entry with A, and D, as it leaves it."""
        found = {}
        steps = self.path(gva)
        for level, where in steps:
            entry = self.read(where)
            if MODES[self.mode] is MODES["PAE"] and level == 3:
                found[where] = entry
                continue
            last = where == steps[-1][1]
            found[where] = entry | A | (D if last and access & walk.WRITE else 0)
        return found


def leaf_rights(role: int, entry: int, access: int) -> int:
    """W, U and NX of a shadow's leaf, whose frame is no table, made for this access."""
    above = role >> ROLE_ACCESS_SHIFT & 7
    write = bool(entry & W and entry & D and above & walk.WRITE)
    user = bool(entry & U and above & walk.USER)
    barred = bool(entry & NX or not above & walk.EXECUTE)
    if access & (walk.WRITE | walk.USER) == walk.WRITE and not write and not role & ROLE_WP:
        write, user, barred = True, False, barred or user and bool(role & ROLE_SMEP)
    return (W if write else 0) | (U if user else 0) | (NX if barred else 0)


def describe(mode: str, gva: int, access: int, settings: walk.Settings) -> str:
    """A walk in words."""
    who = "a user" if access & walk.USER else "the supervisor"
    does = "executes" if access & walk.EXECUTE else "writes" if access & walk.WRITE else "reads"
    on = [f"{name}={int(getattr(settings, key))}" for name, key in
          (("WP", "wp"), ("NXE", "nxe"), ("SMEP", "smep"), ("SMAP", "smap"), ("PSE", "pse"))]
    return f"{mode}, {who} {does} at gVA {gva:#x}, {' '.join(on)}"


def describe_leaf(role: int, entry: int, access: int) -> str:
    """What a leaf is made of, in words."""
    above = role >> ROLE_ACCESS_SHIFT & 7
    allowed = [word for bit, word in ((walk.WRITE, "W"), (walk.USER, "U"), (walk.EXECUTE, "execution"))
               if above & bit]
    return (f"the guest's entry {entry:#x}, above it allowed: {', '.join(allowed) or 'reading'}, "
            f"WP={int(bool(role & ROLE_WP))} SMEP={int(bool(role & ROLE_SMEP))}, wanted "
            f"{walk.access_words(access)}")


ACCESSES = (0, walk.WRITE, walk.EXECUTE, walk.USER, walk.WRITE | walk.USER,
            walk.EXECUTE | walk.USER)
SETTINGS = tuple(walk.Settings(wp=wp, nxe=nxe, smep=smep, smap=smap)
                 for wp in (True, False) for nxe in (True, False)
                 for smep, smap in ((False, False), (True, False), (False, True)))
LEAF_ROLES = (0, ROLE_WP, ROLE_SMEP, ROLE_WP | ROLE_SMEP)
