"""Where a gVA leads by the guest's own tables: gVA -> gPA -> hPA, through slots alone.

AMD64 manual, volume 2, 5.2 to 5.6, by the levels of grader.oracle.paging; a gPA's place in
the RAM file is told by the trace's vm_slot. It shares nothing with vmm/mmu, and uses no
nested table. What it does not do: judge the bits of PAE's directory pointers, which the
processor loads with CR3.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator, List, Optional, Tuple

from grader.oracle.isolation import Guest, Slot
from grader.oracle.memory import Memory, OutsideMemory
from grader.oracle.paging import A, D, MODES, NX, U, W, Level, frame, span
from grader.oracle.walk import EXECUTE, USER, WRITE, Settings

CR0_WP, CR4_PSE, EFER_NXE = 1 << 16, 1 << 4, 1 << 11
READ = 0
KINDS = (("read", READ), ("written", WRITE), ("executed", EXECUTE))
PAGE = 0x1000


@dataclass(frozen=True)
class Place:
    """A piece of a VM's memory: where it lies, and what the VM may do there."""

    gpa: int
    size: int
    hpa: int
    access: int = WRITE | USER | EXECUTE

    def allows(self, access: int) -> bool:
        return not access & (WRITE | EXECUTE) & ~self.access


@dataclass
class Vm:
    """A VM's memory, as its slots have it."""

    number: int
    places: List[Place]

    def at(self, gpa: int, size: int = 1) -> Optional[Place]:
        """The piece that holds [gpa, gpa + size) whole."""
        for place in self.places:
            if place.gpa <= gpa and gpa + size <= place.gpa + place.size:
                return place
        return None

    def hpa(self, gpa: int, size: int = 1) -> Optional[int]:
        place = self.at(gpa, size)
        return None if place is None else place.hpa + gpa - place.gpa

    def holds(self, hpa: int, size: int = 1) -> bool:
        """Whether these host frames are this VM's."""
        return any(place.hpa <= hpa and hpa + size <= place.hpa + place.size
                   for place in self.places)


def vm_of(guest: Guest, trace: Any) -> Vm:
    """The VM's memory from its vm_slot records; where they do not tell, all is allowed."""
    slots = trace.select("vm_slot")
    told = slots.event is not None and any(name == "access" for name, _ in slots.event.fields)
    access = {}
    if told:
        access = {(int(vm), int(gpa)): int(bits) for vm, gpa, bits in
                  zip(slots.vm, slots["gpa"], slots["access"])}

    def place(slot: Slot) -> Place:
        return Place(slot.gpa, slot.size, slot.hpa,
                     access.get((guest.vm, slot.gpa), WRITE | USER | EXECUTE))
    return Vm(guest.vm, [place(slot) for slot in guest.slots])


@dataclass(frozen=True)
class Leads:
    """Where a gVA leads: the page, and what all levels together allow."""

    gpa: int                    # of the gVA itself
    size: int                   # of the guest's page
    write: bool
    user: bool
    execute: bool
    accessed: bool              # on all levels that have A
    dirty: bool
    tables: Tuple[Tuple[int, int], ...]     # (level, gPA) of those that are walked: PAE's
    # directory pointers are not, the processor has them since MOV CR3
    wp: bool = True

    def allows(self, access: int) -> bool:
        user = bool(access & USER)
        if user and not self.user:
            return False
        if access & WRITE and not self.write and (user or self.wp):
            return False
        return not access & EXECUTE or self.execute


@dataclass(frozen=True)
class Nowhere:
    """Why a gVA leads nowhere."""

    why: str


@dataclass
class Tables:
    """A guest's tables as CR3 and its modes show them."""

    vm: Vm
    memory: Memory
    root: int
    mode: str
    settings: Settings = field(default_factory=Settings)

    def _entry(self, table: int, level: Level, gva: int) -> Optional[int]:
        form = MODES[self.mode]
        where = self.vm.hpa(table + form.width * level.index(gva), form.width)
        if where is None:
            return None
        try:
            return self.memory.read_u64(where) if form.width == 8 else self.memory.read_u32(where)
        except OutsideMemory:
            return None

    def _steps(self, gva: int) -> Iterator[Tuple[Level, int, Optional[int]]]:
        form = MODES[self.mode]
        table = self.root & form.root_mask
        for level in form.levels:
            entry = self._entry(table, level, gva)
            yield level, table, entry
            if entry is None or not entry & form.present:
                return
            page = form.maps_page(level, entry, self.settings.pse)
            table = frame(form, level, entry, page)
            if page:
                return

    def leads(self, gva: int) -> Any:
        """Leads, or Nowhere."""
        form, steps = MODES[self.mode], list(self._steps(gva))
        for level, table, entry in steps:
            if entry is None:
                return Nowhere(f"a table of level {level.level} lies at gPA {table:#x}, "
                               "where there is no memory")
            if not entry & form.present:
                return Nowhere(f"the entry of level {level.level} is not present")
            if self._reserved(level, entry):
                return Nowhere(f"the entry of level {level.level} has reserved bits set")
        level, _, leaf = steps[-1]
        rights = [entry for step, _, entry in steps if step.rights]
        page = frame(form, level, leaf, True)
        nx = form.has_nx and self.settings.nxe and any(entry & NX for entry in rights)
        return Leads(page + (gva & (level.page - 1)), level.page,
                     all(entry & W for entry in rights), all(entry & U for entry in rights),
                     not nx, all(entry & A for entry in rights), bool(leaf & D),
                     tuple((step.level, table) for step, table, _ in steps if step.rights),
                     self.settings.wp)

    def _reserved(self, level: Level, entry: int) -> bool:
        form = MODES[self.mode]
        if not level.rights:
            return False
        page = form.maps_page(level, entry, self.settings.pse)
        zero = level.zero | (level.zero_page if page else level.zero_table)
        if form.width == 8:
            zero |= span(self.settings.address_bits, 51)
            zero |= 0 if self.settings.nxe else NX
        return bool(entry & zero)


def settings_of(cr0: int, cr4: int, efer: int) -> Settings:
    """The modes that decide what an entry means."""
    return Settings(wp=bool(cr0 & CR0_WP), nxe=bool(efer & EFER_NXE), pse=bool(cr4 & CR4_PSE))
