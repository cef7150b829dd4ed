"""What a guest that fills its TLB itself (mmu=vtlb) has asked for, and what the tables hold of it.

By the trace's vtlb_write and shadow_root records: CR3 names a space, and each space has what was
last written for each of its addresses, or nothing: an entry may vanish. Below 1 GiB every address
is its own, for the kernel alone. What it does not do: know of flushes (the guest itself does, and
says so if an access went by what it had flushed). Source: formats.md, section 12.
"""
from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Tuple

from grader.oracle.mmu.entries import Page
from grader.oracle.mmu.guest import PAGE, Vm

SEGMENT = 1 << 30
WRITE, USER, EXECUTE, LARGE = 1, 2, 4, 0x80
ROLE_SOFTWARE = 1 << 19         # vmm/mmu/shadow.h
FRAME = 0x000F_FFFF_FFFF_F000

Filled = Dict[int, Tuple[int, int]]     # gVA of a page: where it was sent, and how


def is_software(trace: Any, vm: int) -> bool:
    """Whether the VM's shadow tables are filled by itself."""
    pages = trace.select("shadow_page")
    return any(role & ROLE_SOFTWARE for role, who in zip(pages["role"].tolist(), pages.vm) if who == vm)


def _records(trace: Any, vm: int, since: int) -> Iterator[Tuple[str, Tuple[int, ...]]]:
    """The VM's roots and fills, in their order."""
    rows = []
    for name, fields in (("shadow_root", ("groot", "root")),
                         ("vtlb_write", ("gva", "gpa", "how", "result"))):
        records = trace.select(name)
        columns = [records[each].tolist() for each in fields]
        rows += [(int(index), name, values) for index, who, *values
                 in zip(records.index, records.vm, *columns) if who == vm and index > since]
    for _, name, values in sorted(rows):
        yield name, tuple(values)


def filled(trace: Any, vm: int, since: int = -1) -> Filled:
    """What the current space of the VM was given since that record."""
    spaces: Dict[int, Filled] = {}
    now: Filled = {}
    for name, values in _records(trace, vm, since):
        if name == "shadow_root":
            if not values[1]:
                spaces.clear()          # paging is off: nothing is left
            now = spaces.setdefault(values[0] & FRAME, {})
        elif values[3] == 0:
            gva, gpa, how, _ = values
            for off in range(0, PAGE * 512 if how & LARGE else PAGE, PAGE):
                now[gva + off] = (gpa + off, how)
    return now


def check(pages: Iterable[Page], given: Filled, vm: Vm) -> List[str]:
    """What the tables hold and nobody asked for, in words."""
    found = []
    for page in pages:
        gpa, how = given.get(page.address, (None, 0))
        if page.address < SEGMENT:
            gpa, how = page.address, WRITE | EXECUTE
        rights = (WRITE if page.write else 0) | (USER if page.user else 0) | (
            EXECUTE if page.execute else 0)
        if gpa is None:
            found.append(f"gVA {page.address:#x} was never filled, and leads to hPA {page.hpa:#x}")
        elif vm.hpa(gpa, page.size) != page.hpa:
            found.append(f"gVA {page.address:#x} was sent to gPA {gpa:#x}, and leads to hPA {page.hpa:#x}")
        elif rights != how & (WRITE | USER | EXECUTE):
            found.append(f"gVA {page.address:#x} was filled with rights {how:#x} and has {rights:#x}")
    return found
