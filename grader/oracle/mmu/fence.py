"""Judges a fence: the nested table that stays on behind a shadow outside of long mode.

It leads each address to itself, and to nothing but the VM's own memory and one stretch of
frames that are its shadow pages: whatever tables such a guest brings by a task switch, they
lead to nothing else. It is found in the VM's control block, whose bytes for the host's use
(AMD64 manual, volume 2, appendix B, 3E0h) name the VM's nested table meanwhile.
"""
from __future__ import annotations

from typing import Any, List, Optional

from grader.oracle import isolation
from grader.oracle.nested import KB4, NAMES, EXECUTE, WRITE, mappings
from grader.oracle.paging import LONG4
from grader.oracle.vmcb import EFER, EFER_LMA, HOST_USE, N_CR3, NP_CONTROL, NP_ENABLE



def root(memory: Any, block: int) -> Optional[int]:
    """The fence that this control block holds; None: there is none."""
    fenced = memory.read_u64(block + HOST_USE) and memory.read_u64(block + NP_CONTROL) & NP_ENABLE
    return memory.read_u64(block + N_CR3) if fenced else None


def holds(memory: Any, block: int) -> bool:
    """Is a guest with this control block on a shadow behind a fence? Only a table that changes
    no address is one: with another, CR3 would not be what it seems."""
    at = root(memory, block)
    return at is not None and all(page.hpa == address for address, page
                                  in mappings(memory, at, LONG4)[0].items())


def problems(trace: Any, memory: Any, vm: int, block: int) -> List[str]:
    """What is wrong with the fence of a living VM, in words."""
    at = root(memory, block)
    everyone = [guest for guest in isolation.guests(trace) if guest.alive]
    mine = next(guest for guest in everyone if guest.vm == vm)
    if at is None:
        return [f"VM {vm} has no fence"]
    if memory.read_u64(block + EFER) & EFER_LMA:
        return [f"VM {vm} is in long mode, where nested paging is off on a shadow"]
    found, wrong = mappings(memory, at, LONG4)
    for address, page in found.items():
        if page.hpa != address or page.rights != NAMES[WRITE | EXECUTE]:
            wrong.append(f"the fence of VM {vm} leads {address:#x} to {page.hpa:#x} ({page.rights})")
        for other in everyone:
            if other.vm != vm and _inside(page.hpa, other):
                wrong.append(f"the fence of VM {vm} lets in VM {other.vm}'s memory, {page.hpa:#x}")
    rest = sorted(address for address in found if not _inside(address, mine))
    if rest and rest[-1] - rest[0] != (len(rest) - 1) * KB4:
        wrong.append(f"the fence of VM {vm} lets in more than one stretch beside its memory")
    tables = isolation.Reach(memory, mine.root).tables | isolation.Reach(memory, at).tables
    wrong += [f"the fence of VM {vm} lets in a nested table, {table:#x}"
              for table in tables if table in found]
    shadow = trace.select("shadow_page")
    pages = shadow["shadow"][shadow.vm == vm].tolist()
    return wrong + [f"the fence of VM {vm} leaves out its shadow page {page:#x}"
                    for page in sorted(set(pages)) if page not in found]


def _inside(address: int, guest: isolation.Guest) -> bool:
    return any(slot.hpa <= address < slot.hpa + slot.size for slot in guest.slots)
