"""Pieces of large pages, by the trace: a clean page's are not a dirty one's.

A shadow has no large pages: the piece of one is a table without a guest's behind it. With
CR0.WP clear the guest's kernel writes to a page that its entry forbids, and the piece's entry
becomes writable; when the guest clears D, that entry must not be found again. So a piece tells
in its role whether the large page had D when it was made (vmm/mmu/shadow.h). What it does not
do: judge the entries, which is shadow.py's.
"""
from __future__ import annotations

from typing import Any, List

from grader.oracle.paging import D, PS

ADDRESS = 0x000F_FFFF_FFFF_F000
DIRECT, DIRTY = 1 << 3, 1 << 18         # of a role


def problems(trace: Any) -> List[str]:
    """The first large page whose piece has the wrong role, in words."""
    pages, fills = trace.select("shadow_page"), trace.select("shadow_fill")
    rows = [(int(index), (int(vm), int(shadow)), int(role)) for index, vm, shadow, role in
            zip(pages.index, pages.vm, pages["shadow"], pages["role"])]
    rows += [(int(index), (int(vm), int(after) & ADDRESS), -int(gpte)) for index, vm, level, after, gpte in
             zip(fills.index, fills.vm, fills["level"], fills["after"], fills["gpte"])
             if level > 1 and int(gpte) & PS]
    roles = {}
    for _, page, value in sorted(rows):
        if value >= 0:
            roles[page] = value
            continue
        entry, role = -value, roles.get(page, 0)
        if role & DIRECT and bool(role & DIRTY) != bool(entry & D):
            return [f"the entry {entry:#x} of a large page has D {'set' if entry & D else 'clear'}, and the "
                    f"role of its piece at hPA {page[1]:#x} is {role:#x}: ROLE_DIRTY ({DIRTY:#x}) keeps "
                    "apart the pieces of a clean and of a dirty page (page_below)"]
    return []
