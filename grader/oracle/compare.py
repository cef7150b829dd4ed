"""Holds a traced walk against the walk that the oracle makes of the RAM file.

The list of differences is in words, empty when there is none. A and D bits that were
set after the walk are forgiven, and those that a guest may have cleared in its own
tables. A walk made on a fault is judged by the memory as it was then (then.py). On a shadow
the guest's own walk comes first, through its memory slots, as the VMM makes it. What it
does not do: know whether the tables changed between the walk and the snapshot; walks that
must be expected to have gone stale are named by stale().
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from grader.oracle import walk as oracle
from grader.oracle.memory import Memory, OutsideMemory
from grader.oracle.paging import NESTED
from grader.oracle.then import Then, then
from viz.walk_data import Walk, WalkRef

CR0_WP, CR4_PSE, CR4_SMEP, CR4_SMAP = 1 << 16, 1 << 4, 1 << 20, 1 << 21
EFER_NXE, RFLAGS_AC = 1 << 11, 1 << 18
# What drops entries of a shadow, or lets its guest's table change unseen; named by that table.
SHADOW_CHANGES = (("shadow_zap", "table"), ("shadow_sync", "table"), ("shadow_unsync", "table"),
                  ("shadow_write", "gpa"))
SEGMENT = 1 << 30           # formats.md, section 12
LOW_ERROR = 0x1F            # P W U RSVD I; bits 32 and 33 are SVM's and not every vendor's


Places = Sequence[Tuple[int, int, int]]     # a guest's memory: gPA, size, hPA of each slot


class NotCovered(Exception):
    """This oracle cannot judge such a walk; the message says why."""


def settings_of(walk: Walk) -> oracle.Settings:
    """How the guest's paging was set; the usual way where the trace does not say."""
    if not walk.cr0:
        return oracle.Settings()
    return oracle.Settings(wp=bool(walk.cr0 & CR0_WP), nxe=bool(walk.efer & EFER_NXE),
                           pse=bool(walk.cr4 & CR4_PSE), smep=bool(walk.cr4 & CR4_SMEP),
                           smap=bool(walk.cr4 & CR4_SMAP and not walk.rflags & RFLAGS_AC))


class _Slots:
    """A guest's memory by gPA, wherever a slot has it."""

    def __init__(self, memory: Union[Memory, Then], places: Places) -> None:
        self.memory, self.places = memory, places

    def host(self, gpa: int) -> int:
        for start, size, hpa in self.places:
            if start <= gpa < start + size:
                return hpa + gpa - start
        raise OutsideMemory(gpa, 8, 0)

    def read_u32(self, gpa: int) -> int:
        return self.memory.read_u32(self.host(gpa))

    def read_u64(self, gpa: int) -> int:
        return self.memory.read_u64(self.host(gpa))


def _of_guest(walk: Walk, slots: _Slots) -> oracle.Result:
    """The walk of the guest's tables that the VMM makes. It holds PAE's pointers."""
    found = oracle.walk(slots, walk.gva, walk.access, walk.mode, walk.groot, None,  # type: ignore
                        settings_of(walk))
    found.refs = [replace(ref, table=slots.host(ref.table)) for ref in found.refs
                  if not (walk.mode == "PAE" and ref.level == 3)]
    found.gpa_refs = len(found.refs)
    return found


def _beside(walk: Walk, memory: Union[Memory, Then], places: Places) -> oracle.Result:
    """The walk of the guest's tables, if it has any, then the processor's through the shadow,
    which is in long mode's or in PAE's format and obeys all of its bits."""
    found = _of_guest(walk, _Slots(memory, places)) if places else oracle.Result()
    made = found
    if found.fault == "NONE":
        settings = oracle.Settings(nxe=bool(places) or settings_of(walk).nxe)
        made = oracle.walk(memory, walk.gva, walk.access, "LONG4" if walk.mode == "LONG4" else "PAE",
                           walk.nroot, None, settings)
        made.refs = found.refs + [replace(ref, dim="SHADOW") for ref in made.refs]
        made.gpa, made.gpa_refs = found.gpa, found.gpa_refs
        made.dim = "SHADOW" if made.fault != "NONE" else "GUEST"
    made.refs = [replace(ref, n=n) for n, ref in enumerate(made.refs, start=1)]
    return made


def expected(walk: Walk, memory: Union[Memory, Then], places: Places = ()) -> oracle.Result:
    """The walk that a processor would make for the same question. places: of a guest on a
    shadow; none: it fills the shadow itself, and has no tables."""
    settings = settings_of(walk)
    if walk.kind == "SHADOW":
        if not places and walk.gva < SEGMENT:
            raise NotCovered("the segment of a guest that fills its shadow itself needs no table")
        return _beside(walk, memory, places)
    if walk.kind == "SEGMENT":
        raise NotCovered("segment walks read no table: nothing to hold them against")
    if walk.mode == "LONG5":
        raise NotCovered("5-level guests are not modelled")
    nroot: Optional[int] = walk.nroot
    if walk.kind == "ONE" and walk.nroot == 0:
        nroot = None
    return oracle.walk(memory, walk.gva, walk.access, walk.mode, walk.groot, nroot, settings,
                       NESTED[walk.format])


def compare(walk: Walk, memory: Memory, places: Places = ()) -> List[str]:
    """Every difference between the traced walk and the oracle's, in words."""
    if not walk.complete:
        return ["the trace does not hold the end of this walk"]
    right = expected(walk, then(walk, memory) if walk.cause == "FAULT" else memory, places)
    found: List[str] = []
    for ours, theirs in zip(right.refs, walk.refs):
        found += compare_ref(ours, theirs, last=ours is right.refs[-1] and right.fault != "NONE")
        if found:           # whatever follows a wrong turn is wrong too
            break
    if not found and len(right.refs) != len(walk.refs):
        found.append(f"{len(walk.refs)} references were traced, a processor makes "
                     f"{len(right.refs)}")
    return found + _compare_end(right, walk)


def compare_ref(right: oracle.Ref, seen: WalkRef, last: bool = False) -> List[str]:
    """Differences of one reference. `last`: it ends a fault, so its size says nothing."""
    where = f"reference {right.n} ({right.dim.lower()} level {right.level})"
    found = []
    for name in ("n", "dim", "level", "table", "index", "serves", "addr", "size"):
        ours, theirs = getattr(right, name), getattr(seen, name)
        if ours != theirs and not (name == "size" and last):
            found.append(f"{where}: {name} is {_show(theirs)}, should be {_show(ours)}")
    if found:
        return found
    changed = seen.after ^ right.entry
    cleared = seen.after & right.ad & ~right.entry if right.dim != "GUEST" else 0
    if changed & ~right.ad or cleared:
        found.append(f"{where}: the entry was traced as {seen.after:#x}, "
                     f"memory holds {right.entry:#x}")
    if (seen.before ^ seen.after) & ~right.ad or seen.before & ~seen.after:
        found.append(f"{where}: a walk only sets A and D, but the entry went from "
                     f"{seen.before:#x} to {seen.after:#x}")
    return found


def _show(value: Any) -> str:
    return hex(value) if isinstance(value, int) and value > 9 else str(value)


def _compare_end(right: oracle.Result, walk: Walk) -> List[str]:
    found = []
    if walk.total != len(walk.refs):
        found.append(f"the end counts {walk.total} references, {len(walk.refs)} were traced")
    if right.fault == "NONE" or walk.fault == "NONE":
        if walk.fault != right.fault:
            found.append(f"it ended with fault {walk.fault}, should be {right.fault}")
    else:
        found += _compare_fault(right, walk)
    if right.gpa is not None:
        found += _differs("the gPA", walk.gpa, right.gpa)
        found += _differs("the number of references until the gPA was known", walk.gpa_refs,
                          right.gpa_refs)
    if right.hpa is not None:
        found += _differs("the hPA", walk.hpa, right.hpa)
    return found


def _compare_fault(right: oracle.Result, walk: Walk) -> List[str]:
    """Several levels may deny an access: naming any of them is right."""
    found = _differs("the faulting dimension", walk.fault_dim, right.dim)
    if (walk.fault, walk.fault_level) not in right.denials:
        allowed = " or ".join(f"{fault} at level {level}" for fault, level in right.denials)
        found.append(f"the fault is {walk.fault} at level {walk.fault_level}, "
                     f"should be {allowed}")
    if walk.format == "EPT" and right.dim == "NESTED":
        return found + (_differs("the exit qualification", right.error_words(walk.error),
                                 right.error_words(right.error))
                        if right.fault != "NO_MEMORY" else [])
    if right.fault not in ("NON_CANONICAL", "NO_MEMORY"):
        if (walk.error ^ right.error) & LOW_ERROR:
            found.append(f"the error code is {right.error_words(walk.error)}, should be "
                         f"{right.error_words(right.error)}")
    high = walk.error >> 32
    if high and high != right.error >> 32:
        found.append(f"the error code's high half is {high:#x}, should be {right.error >> 32:#x}")
    return found


def _differs(name: str, seen: Any, right: Any) -> List[str]:
    return [] if seen == right else [f"{name} is {_show(seen)}, should be {_show(right)}"]


def stale(trace: Any, walks: Sequence[Walk]) -> Dict[int, str]:
    """Walks whose tables the VMM is known to have changed afterwards: number -> why."""
    reasons: Dict[int, str] = {}
    for event, name in (("vm_destroy", "its VM was destroyed afterwards"),
                        ("vm_create", "its VM was created anew afterwards")):
        last = _last_of(trace.select(event))
        for walk in walks:
            if last.get(walk.vm, -1) > walk.record:
                reasons.setdefault(walk.number, name)
    reasons = {**_resynced(trace, walks), **reasons}
    maps, unmaps = trace.select("map"), trace.select("unmap")
    for walk in walks:
        if walk.number in reasons:
            continue
        if _goes_on(walk) and _any_later(maps, walk):
            reasons[walk.number] = "nested mappings of its VM were made afterwards"
        elif _touched((maps, unmaps), walk):
            reasons[walk.number] = "a nested mapping that it used was changed afterwards"
    return reasons


def _resynced(trace: Any, walks: Sequence[Walk]) -> Dict[int, str]:
    """Walks through a shadow of which something was filled, dropped or given another use
    afterwards, or whose guest could write to its tables unseen."""
    pages = trace.select("shadow_page")
    filled, reused = _last_by(trace.select("shadow_fill"), "where"), _last_by(pages, "shadow")
    table_of = dict(zip(zip(pages.vm.tolist(), pages["shadow"].tolist()), pages["table"].tolist()))
    changes = [_last_by(trace.select(name), field) for name, field in SHADOW_CHANGES]
    found: Dict[int, str] = {}
    for walk in walks:
        own = [ref for ref in walk.refs if ref.dim == "SHADOW"]
        last = [reused.get((walk.vm, ref.table), -1) for ref in own]
        last += [filled.get((walk.vm, ref.table + 8 * ref.index), -1) for ref in own]
        for ref in own:
            table = table_of.get((walk.vm, ref.table), -1)
            last += [each.get((walk.vm, table), -1) for each in changes]
        if max(last, default=-1) > walk.record:
            found[walk.number] = "its shadow was changed afterwards"
    return found


def _last_by(records: Any, field: str) -> Dict[Tuple[int, int], int]:
    """By VM and that field's value: the last record; of a write, by its page."""
    keys = records[field].tolist()
    if field == "gpa":
        keys = [key & ~0xFFF for key in keys]
    return dict(zip(zip(records.vm.tolist(), keys), records.index.tolist()))


def _goes_on(walk: Walk) -> bool:
    """Whether a later mapping may lead the walk past its end; then() undoes that on a fault."""
    missing = (walk.fault, walk.fault_dim) == ("NOT_PRESENT", "NESTED")
    return missing and walk.cause != "FAULT"


def _last_of(records: Any) -> Dict[int, int]:
    return dict(zip(records.vm.tolist(), records.index.tolist()))


def _any_later(records: Any, walk: Walk) -> bool:
    """A later mapping may have made tables on the way to a page that was missing."""
    return bool(np.any((records.index > walk.record) & (records.vm == walk.vm)))


def _touched(changes: Sequence[Any], walk: Walk) -> bool:
    """Whether a later map or unmap covers a gPA that the walk translated.

    What mends a fault covers the one that it could not translate: that is no change.
    """
    used = {ref.addr for ref in walk.refs if ref.dim == "NESTED"}
    if walk.cause == "FAULT" and walk.fault_dim == "NESTED" and walk.refs:
        used.discard(walk.refs[-1].addr)
    for records in changes:
        mine = records.where((records.index > walk.record) & (records.vm == walk.vm))
        low, size = mine["gpa"], mine["size"]
        for addr in used:
            if np.any((low <= np.uint64(addr)) & (np.uint64(addr) - low < size)):
                return True
    return False
