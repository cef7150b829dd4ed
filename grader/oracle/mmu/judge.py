"""Joins the parts for a run: all living VMs, whatever mmu= they have, and each other's frames.

Which tables a VM runs on is told by the trace: vm_create names the nested root, the last
shadow_root the guest's CR3, its modes, and the shadow's root. Everything that the tables
reach must be the VM's own, and the tables themselves nobody's memory.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Set

from grader.oracle import isolation
from grader.oracle.memory import Memory
from grader.oracle.mmu import entries, nested, shadow, software
from grader.oracle.mmu.guest import Tables, Vm, settings_of, vm_of
from grader.oracle.paging import LONG4, PAE, Mode, nested_of

TELL = 8                # problems told one by one for each VM; the rest is counted


@dataclass(frozen=True)
class Root:
    """What a VM under shadow paging runs on."""

    groot: int
    root: int           # 0: paging is off, it runs on its nested table
    mode: str
    cr0: int
    cr4: int
    efer: int

    @property
    def form(self) -> Mode:
        """The shadow's own format: 32-bit guests have a PAE one."""
        return LONG4 if self.mode == "LONG4" else PAE


@dataclass
class Verdict:
    """Of one VM."""

    vm: Vm
    kind: str                       # nested, shadow, vtlb
    found: entries.Reached
    wrong: List[str]

    @property
    def pages(self) -> int:
        """How many pages were looked at."""
        return len(self.found.pages)

    def strangers(self) -> List[str]:
        """What is reached and not this VM's: wrong at any time, flushed or not."""
        return outside(self.found.pages, self.vm)


def births(trace: Any) -> Dict[int, int]:
    """Which record begins each VM's last life."""
    created = trace.select("vm_create")
    return dict(sorted(zip(created.vm.tolist(), created.index.tolist())))


def roots(trace: Any) -> Dict[int, Root]:
    """The last shadow_root of each VM's life."""
    records = trace.select("shadow_root")
    if not len(records):
        return {}
    modes = records.word("mode")
    columns = [records[name].tolist() for name in ("groot", "root", "cr0", "cr4", "efer")]
    born, last = births(trace), {}      # type: Dict[int, int], Dict[int, Root]
    for i, (vm, index) in enumerate(zip(records.vm.tolist(), records.index.tolist())):
        if index > born.get(vm, index):
            groot, root, cr0, cr4, efer = (column[i] for column in columns)
            last[vm] = Root(groot, root, str(modes[i]), cr0, cr4, efer)
    return last


def unsynced(trace: Any, vm: int, born: int) -> Set[int]:
    """gPAs of the tables that may be written without an exit, by the trace of this life."""
    state: Dict[int, bool] = {}
    rows = []
    for name, out in (("shadow_unsync", True), ("shadow_sync", False)):
        records = trace.select(name)
        rows += [(int(index), int(table), out) for index, table, who in
                 zip(records.index, records["table"], records.vm) if who == vm and index > born]
    for _, table, out in sorted(rows):
        state[table] = out
    return {table for table, out in state.items() if out}


def is_shadow(root: Optional[Root]) -> bool:
    """Whether the VM runs on a shadow now."""
    return root is not None and root.root != 0


def reached(trace: Any, memory: Memory, guest: isolation.Guest,
            root: Optional[Root]) -> entries.Reached:
    """All that the tables reach which the processor uses for this VM."""
    if root is not None and is_shadow(root):
        return entries.reach(memory, root.root, root.form)
    return entries.reach(memory, guest.root, nested_of(trace.header.platform))


def judge_vm(trace: Any, memory: Memory, guest: isolation.Guest, root: Optional[Root],
             born: int) -> Verdict:
    """One VM's tables, entry by entry; it was born with that record."""
    vm, found = vm_of(guest, trace), reached(trace, memory, guest, root)
    if root is None or not is_shadow(root):
        return Verdict(vm, "nested", found, found.problems + nested.check(found.pages, vm))
    strangers = outside(found.pages, vm)
    if software.is_software(trace, guest.vm):
        wrong = software.check(found.pages, software.filled(trace, guest.vm, born), vm)
        return Verdict(vm, "vtlb", found, found.problems + wrong + strangers)
    tables = Tables(vm, memory, root.groot, root.mode,
                    settings_of(root.cr0, root.cr4, root.efer))
    wrong = shadow.check(found.pages, tables, unsynced(trace, guest.vm, born))
    return Verdict(vm, "shadow", found, found.problems + wrong + strangers)


def outside(pages: List[entries.Page], vm: Vm) -> List[str]:
    """Frames that are not the VM's own: the worst that can be."""
    return [f"gVA {page.address:#x} reaches hPA {page.hpa:#x}, which is not this VM's"
            for page in pages if not vm.holds(page.hpa, page.size)]


def check_tables(verdicts: List[Verdict]) -> List[str]:
    """No table serves two VMs, nor lies where a VM could write it."""
    return isolation.check_tables({each.vm.number: each.found.tables for each in verdicts},
                                  {each.vm.number: each.vm.holds for each in verdicts})


def judge(trace: Any, memory: Memory) -> List[Verdict]:
    """Of each living VM that has run."""
    last, born = roots(trace), births(trace)
    return [judge_vm(trace, memory, guest, last.get(guest.vm), born.get(guest.vm, -1))
            for guest in isolation.guests(trace)
            if guest.alive and not isolation.never_ran(trace, guest)]


def check(trace: Any, memory: Memory) -> List[str]:
    """Everything that is wrong, in words; that there was nothing to judge is wrong, too."""
    verdicts = judge(trace, memory)
    if not verdicts:
        return ["no VM was alive at the end: nothing could be judged"]
    found = check_tables(verdicts)
    for verdict in verdicts:
        name = f"VM {verdict.vm.number} ({verdict.kind})"
        told = verdict.wrong[:TELL]
        if len(verdict.wrong) > TELL:
            told.append(f"and {len(verdict.wrong) - TELL} more")
        found += [f"{name}: {text}" for text in told]
        if not verdict.pages:
            found.append(f"{name}: its root reaches no page at all")
    return found
