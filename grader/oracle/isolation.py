"""Judges isolation: what a VM's nested tables reach, and whether VMs share a frame.

Every page that a VM's nested root reaches must lie in that VM's slots, at the place
the slot says; no slot may overlap another VM's; no table may lie in memory that a
guest can reach, nor serve two VMs. Sources: AMD64 manual, volume 2, 5.3 and 15.25;
Intel SDM, volume 3C, 28.2; formats.md (vm_create, vm_slot, map). What it does not do: look at dead VMs' tables,
which are free memory; their `map` records are judged instead.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set, Tuple

import numpy as np

from grader.oracle.memory import Memory, OutsideMemory
from grader.oracle.paging import LONG4, Mode, frame, nested_of
from grader.oracle.vmlife import Life, lives

TELL = 8        # problems told one by one for each VM; the rest is counted


@dataclass(frozen=True)
class Slot:
    """A range of guest-physical memory and where it lies in the host's."""

    gpa: int
    size: int
    hpa: int


@dataclass
class Guest:
    """A VM as isolation sees it."""

    vm: int
    root: int
    slots: List[Slot] = field(default_factory=list)
    alive: bool = True
    life: Optional[Life] = None

    def place(self, gpa: int, size: int) -> Optional[int]:
        """Where its slots put [gpa, gpa + size); None if no slot holds it whole."""
        for slot in self.slots:
            if slot.gpa <= gpa and gpa + size <= slot.gpa + slot.size:
                return slot.hpa + gpa - slot.gpa
        return None

    def holds(self, hpa: int) -> bool:
        """Whether this byte of the host's is its memory."""
        return any(slot.hpa <= hpa < slot.hpa + slot.size for slot in self.slots)


@dataclass(frozen=True)
class Page:
    """A page that a nested root reaches."""

    gpa: int
    hpa: int
    size: int


class Reach:
    """All tables and pages that one nested root reaches, in that format."""

    def __init__(self, memory: Memory, root: int, form: Mode = LONG4) -> None:
        self.memory = memory
        self.form = form
        self.tables: Set[int] = set()
        self.problems: List[str] = []
        self.pages = list(self._descend(root & form.root_mask, 0, 0))

    def _descend(self, table: int, depth: int, gpa: int) -> Iterator[Page]:
        level = self.form.levels[depth]
        self.tables.add(table)
        try:
            entries = self.memory.read_table(table)
        except OutsideMemory as error:
            self.problems.append(f"a level {level.level} table: {error}")
            return
        for index in np.flatnonzero(entries & np.uint64(self.form.present)).tolist():
            entry, address = int(entries[index]), gpa | index << level.shift
            is_page = self.form.maps_page(level, entry)
            target = frame(self.form, level, entry, is_page)
            if is_page:
                yield Page(address, target, level.page)
            elif target in self.tables:
                self.problems.append(f"the table at hPA {target:#x} is reached twice")
            else:
                yield from self._descend(target, depth + 1, address)


def guests(trace: Any) -> List[Guest]:
    """Every VM that the trace tells of, with its slots; dead ones are marked."""
    slots = trace.select("vm_slot")
    rows = list(zip(slots.index.tolist(), slots.vm.tolist(), slots["gpa"].tolist(),
                    slots["size"].tolist(), slots["hpa"].tolist()))
    found = []
    for life in lives(trace):
        mine = [Slot(gpa, size, hpa) for index, vm, gpa, size, hpa in rows
                if vm == life.vm and life.holds(index)]
        alive = not life.destroyed and life.last is None
        found.append(Guest(life.vm, life.root, mine, alive, life))
    return found


def check(trace: Any, memory: Memory) -> List[str]:
    """Every breach of isolation, in words; empty when there is none.

    A trace without a living VM and without mappings proves nothing, and says so.
    """
    everyone = guests(trace)
    living = [guest for guest in everyone if guest.alive]
    maps = trace.select("map")
    if not living and len(maps.index) == 0:
        return ["no VM was alive at the end and no mapping was traced: nothing could be judged"]
    found = check_slots(living, memory.size) + check_maps(trace, everyone)
    form = nested_of(trace.header.platform)
    reaches = {guest.vm: Reach(memory, guest.root, form) for guest in living}
    for guest in living:
        found += check_guest(guest, reaches[guest.vm])
        if not reaches[guest.vm].pages and not never_ran(trace, guest):
            found.append(f"VM {guest.vm}: its nested root {guest.root:#x} reaches no page at all")
    return found + check_tables({vm: reach.tables for vm, reach in reaches.items()},
                                {guest.vm: guest.holds for guest in living})


def never_ran(trace: Any, guest: Guest) -> bool:
    """Whether the trace tells of decisions, but of none for this life: made at the very end."""
    picks = trace.select("sched_pick")
    mine = picks.index[picks.vm == guest.vm].tolist()
    return len(picks.index) > 0 and not any(guest.life.holds(index) for index in mine)


def check_slots(living: List[Guest], size: int) -> List[str]:
    """Slots lie in memory, and no two VMs' (nor one VM's) overlap."""
    found = []
    ranges = sorted((slot.hpa, slot.hpa + slot.size, guest.vm)
                    for guest in living for slot in guest.slots)
    furthest: Tuple[int, int, int] = (0, 0, 0)
    for low, high, vm in ranges:
        if high > size:
            found.append(f"VM {vm}: a slot ends at hPA {high:#x}, memory at {size:#x}")
        if low < furthest[1]:
            found.append(f"VM {vm}'s slot at hPA {low:#x} overlaps VM {furthest[2]}'s, which "
                         f"reaches to {furthest[1]:#x}")
        furthest = max(furthest, (low, high, vm), key=lambda entry: entry[1])
    for guest in living:
        if not guest.slots:
            found.append(f"VM {guest.vm} is alive but the trace tells of no memory slot")
    return found


def check_guest(guest: Guest, reach: Reach) -> List[str]:
    """Every page that the root reaches is the VM's own, at its own place."""
    found = [f"VM {guest.vm}: {text}" for text in reach.problems]
    for page in reach.pages:
        right = guest.place(page.gpa, page.size)
        if right is None:
            found.append(f"VM {guest.vm}: gPA {page.gpa:#x} ({page.size:#x} bytes) is mapped to hPA "
                         f"{page.hpa:#x}, but lies in none of its slots")
        elif right != page.hpa:
            found.append(f"VM {guest.vm}: gPA {page.gpa:#x} is mapped to hPA {page.hpa:#x}, its slot "
                         f"puts it at {right:#x}")
    if len(found) > TELL:
        found = found[:TELL] + [f"VM {guest.vm}: and {len(found) - TELL} more"]
    return found


def check_tables(tables: Mapping[int, Set[int]], holds: Mapping[int, Callable[[int], bool]]
                 ) -> List[str]:
    """No table serves two VMs, nor lies where one could write it. tables: by VM; holds: by VM,
    whether this byte of the host's is its memory."""
    found = []
    owner: Dict[int, int] = {}
    for vm in tables:
        for table in sorted(tables[vm]):
            if owner.setdefault(table, vm) != vm:
                found.append(f"the table at hPA {table:#x} serves VM {owner[table]} and VM {vm}")
            found += [f"a table of VM {vm}, hPA {table:#x}, lies in the memory of VM {other}"
                      for other in holds if holds[other](table)]
    return found


def check_maps(trace: Any, everyone: List[Guest]) -> List[str]:
    """Every mapping ever traced lies in a slot of its VM, dead or alive."""
    maps = trace.select("map")
    found = []
    current: Dict[int, Guest] = {}
    begins = [(guest.life.first, guest.vm, guest) for guest in everyone if guest.life]
    rows = list(zip(maps.index.tolist(), maps.vm.tolist(), maps["gpa"].tolist(),
                    maps["size"].tolist(), maps["hpa"].tolist()))
    for row in sorted(begins + rows, key=lambda row: row[0]):
        if len(row) == 3:
            current[row[1]] = row[2]
            continue
        index, vm, gpa, size, hpa = row
        if vm not in current:
            found.append(f"record {index}: a mapping for VM {vm}, which does not exist")
        elif current[vm].place(gpa, size) != hpa:
            found.append(f"record {index}: VM {vm}'s gPA {gpa:#x} was mapped to hPA {hpa:#x}, outside "
                         "its slots")
    return found if len(found) <= TELL else found[:TELL] + [f"and {len(found) - TELL} more mappings"]
