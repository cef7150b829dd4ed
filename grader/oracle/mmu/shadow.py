"""Judges a shadow table: each entry against the composition gVA -> gPA -> hPA.

Never a permission that the guest's tables and the slot do not give; the frame that the
composition names; A and D of the guest's entries as hardware would have them; and no page
that the VMM must watch may be written unseen. LABS.md lab 4, reference/walks.md. It judges
a moment at which the guest has flushed what it changed: before that, an entry may be old.
"""
from __future__ import annotations

from typing import Any, Dict, List, Set

from grader.oracle.mmu.entries import Page
from grader.oracle.mmu.guest import KINDS, PAGE, Leads, Nowhere, Place, Tables
from grader.oracle.walk import USER


def check(pages: List[Page], tables: Tables, unsync: Set[int]) -> List[str]:
    """Every entry that is not as it should be, in words."""
    found: List[str] = []
    watched: Dict[int, int] = {}        # gPA of a table that was used -> its level
    for page in pages:
        found += check_page(page, tables, watched)
    for page in pages:
        found += check_unseen(page, tables, watched, unsync)
    return found


def check_page(page: Page, tables: Tables, watched: Dict[int, int]) -> List[str]:
    """One entry against the composition."""
    name = f"gVA {page.address:#x} ({page.size:#x} bytes)"
    leads = tables.leads(page.address)
    if isinstance(leads, Nowhere):
        return [f"{name} is mapped to hPA {page.hpa:#x}, but leads nowhere: {leads.why}"]
    for level, table in leads.tables:
        watched[table & -PAGE] = max(level, watched.get(table & -PAGE, 0))
    if page.size > leads.size:
        return [f"{name} is larger than the guest's page of {leads.size:#x} bytes"]
    place = tables.vm.at(leads.gpa, page.size)
    if place is None:
        return [f"{name} leads to gPA {leads.gpa:#x}, where the VM has no memory, but is "
                f"mapped to hPA {page.hpa:#x}"]
    right = place.hpa + leads.gpa - place.gpa
    if page.hpa != right:
        return [f"{name} is mapped to hPA {page.hpa:#x}, gPA {leads.gpa:#x} is at {right:#x}"]
    return check_rights(name, page, leads, place)


def check_rights(name: str, page: Page, leads: Leads, place: Place) -> List[str]:
    found = []
    for user in (0, USER):
        who = "a user" if user else "the supervisor"
        for word, access in KINDS:
            if not page.allows(access | user):
                continue
            if not leads.allows(access | user):
                found.append(f"{name} may be {word} by {who}, the guest's tables forbid it")
            elif not place.allows(access):
                found.append(f"{name} may be {word} by {who}, the memory slot forbids it")
    if any(page.allows(access | user) for _, access in KINDS for user in (0, USER)):
        if not leads.accessed:
            found.append(f"{name} may be used, but A is clear in the guest's tables")
        if page.write and not leads.dirty:
            found.append(f"{name} may be written, but D is clear in the guest's tables")
    return found


def check_unseen(page: Page, tables: Tables, watched: Dict[int, int],
                 unsync: Set[int]) -> List[str]:
    """A guest's table is writable for the processor only while it is known to be out of step,
    and only if its entries map pages."""
    if not page.write:
        return []
    leads: Any = tables.leads(page.address)
    if isinstance(leads, Nowhere):
        return []
    first = leads.gpa & -PAGE
    found = []
    for table in (gpa for gpa in watched if first <= gpa < first + page.size):
        level = watched[table]
        if level > 1 or table not in unsync:
            found.append(f"gVA {page.address:#x} may be written, which changes the guest's table "
                         f"of level {level} at gPA {table:#x} unseen")
    return found
