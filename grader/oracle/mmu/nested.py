"""Judges a nested table: each entry against the VM's slots, right by right.

AMD64 manual, volume 2, 15.25; Intel SDM, volume 3C, 28.2. The mapped frame is the slot's,
no right goes beyond the slot's, and what was written must have been writable.
"""
from __future__ import annotations

from typing import List

from grader.oracle.mmu.entries import Page
from grader.oracle.mmu.guest import KINDS, Vm


def check(pages: List[Page], vm: Vm) -> List[str]:
    """Every entry that is not as it should be, in words."""
    found = []
    for page in pages:
        name = f"gPA {page.address:#x} ({page.size:#x} bytes)"
        place = vm.at(page.address, page.size)
        if place is None:
            found.append(f"{name} is mapped to hPA {page.hpa:#x}, the VM has no memory there")
            continue
        right = place.hpa + page.address - place.gpa
        if page.hpa != right:
            found.append(f"{name} is mapped to hPA {page.hpa:#x}, its slot puts it at {right:#x}")
        for word, access in KINDS:
            if page.allows(access) and not place.allows(access):
                found.append(f"{name} may be {word}, the memory slot forbids it")
        if not place.allows(1) and page.dirty:
            found.append(f"{name} has been written, the memory slot forbids it")
    return found
