"""A task switch by hardware loads CR3 without a MOV: on a shadow it must lead nowhere.

The guest taskswitch brings tables in host-physical addresses (guests/README.md); where its
memory and its root lie, a first run tells, which the others repeat to the byte. Where the
processor makes no exit of it, a fence keeps the guest in (vmm/mmu/shadow_fence.c); that is
looked at in the RAM file.
"""
from __future__ import annotations

from typing import Any, List, Tuple

import pytest

from grader.oracle import exitlog
from grader.oracle.mmu import fence, judge
from grader.oracle.paging import LONG4
from grader.tests import keeper
from grader.tests.patched import Patched
from grader.tests.test_machine_mmu import FORMATS

pytestmark = pytest.mark.machine

OPTION = "trace=memory,sched slice=1ms"
KEEPER = "keeper mem=4M -- pages=16"
WORD = b"\x5a\x5a\x5a\x5a"
SPARE = 0x3FF000                # of a VM of 4 MiB: a frame that nobody uses


def run_with(machine: Any, words: str) -> Any:
    return machine([f"taskswitch mem=4M mmu=shadow -- {words}", KEEPER], OPTION, time="30ms",
                   ok=False)


def places(machine: Any) -> Tuple[int, int, int]:
    """hPA of the memory of both VMs, and of the root that the first has at the end."""
    trace = run_with(machine, "").trace
    slots, roots = trace.select("vm_slot"), trace.select("shadow_root")
    base = {vm: int(hpa) for vm, hpa in zip(slots.vm.tolist(), slots["hpa"].tolist())}
    return base[1], base[2], int(roots["root"][roots.vm == 1][0])


def said(run: Any) -> List[str]:
    points = run.trace.select("checkpoint")
    return [points.text(i) for i in range(len(points)) if points.vm[i] == 1]


@pytest.mark.parametrize("how", ["writes", "writes its shadow, returns",
                                 "writes, with TS set"])
def test_a_task_switch_leads_nowhere(machine: Any, how: str) -> None:
    mine, other, root = places(machine)
    target = {"writes its shadow, returns": root + 0xFF8}
    run = run_with(machine, f"base={mine:#x} target={target.get(how, other + SPARE):#x} "
                   f"root={root if 'returns' in how else 0:#x} ts={int('TS' in how)}")
    attacker = run.json["vms"][0]
    assert attacker["how"] == "UNSUPPORTED"
    assert "task switch by hardware" in attacker["why"] or "TS" in how
    assert said(run) == ["ready"]
    assert run.memory.read_bytes(other + SPARE, 4) != WORD
    assert keeper.changed(run, 2) == 0
    gone = run.trace.select("vm_destroy")
    assert not gone["leaked"].any()


def fenced(machine: Any) -> Any:
    """Three guests of all formats that hold on to their shadows."""
    return machine([f"{name} -- hold=1 ops=300" for name in FORMATS],
                   "trace=memory,sched mmu=shadow slice=3ms", time="2s", exit_log=True)


def blocks(run: Any) -> List[Tuple[int, int]]:
    """(VM, control block): a VM's is the one whose root the trace names."""
    entered = set(exitlog.read(run.dir / "exits.log").vmcb.tolist())
    roots = {vm: each.root for vm, each in judge.roots(run.trace).items()}
    return [(vm, block) for vm, root in roots.items() for block in entered
            if (run.memory.read_u64(block + 0x550) ^ root) & 0xFFFFF000 == 0]


def test_what_a_fence_lets_in(machine: Any, platform: str) -> None:
    """Only outside of long mode, and only where it has to be; each wrong entry is told."""
    if platform == "bochs-vmx":
        return                  # a VMCS cannot be read, and a task switch always exits
    run = fenced(machine)
    found = blocks(run)
    assert [vm for vm, _ in found] == [1, 2, 3]
    assert [fence.holds(run.memory, block) for _, block in found] == \
        [False, platform == "qemu-svm", platform == "qemu-svm"]
    for vm, block in found[1:] if platform == "qemu-svm" else ():
        assert fence.problems(run.trace, run.memory, vm, block) == []
        told_wrong(run, vm, block)


def leaf_of(memory: Any, root: int, address: int) -> int:
    """Where the entry lies that maps an address."""
    for level in LONG4.levels[:-1]:
        root = int(memory.read_table(root)[level.index(address)]) & 0x000F_FFFF_FFFF_F000
    return root + 8 * LONG4.levels[-1].index(address)


def told_wrong(run: Any, vm: int, block: int) -> None:
    """An entry that leads to another VM, to the fence itself, or anywhere else, is told."""
    at = fence.root(run.memory, block)
    slots = run.trace.select("vm_slot")
    base = {who: int(hpa) for who, hpa in zip(slots.vm.tolist(), slots["hpa"].tolist())}
    leaf = leaf_of(run.memory, at, base[vm])
    for where, says in ((base[1], "VM 1's memory"), (at, "leads"), (0x100000, "leads")):
        wrong = Patched(run.memory, leaf, where | 7)
        assert any(says in text for text in fence.problems(run.trace, wrong, vm, block)), says
        assert not fence.holds(wrong, block)
    wrong = Patched(run.memory, leaf, 0)
    assert fence.problems(run.trace, wrong, vm, block) == []    # less is no breach


def test_ts_is_the_guests_own(machine: Any, platform: str) -> None:
    """It may be set; where it would hide a switch, the guest has no shadow meanwhile."""
    run = run_with(machine, "ts=1")
    guest = run.json["vms"][0]
    assert (guest["how"], guest["checks_passed"], guest["checks_failed"]) == ("EXITED", 3, 0)
    roots = run.trace.select("shadow_root")
    modes = [word for word, vm in zip(roots.word("mode"), roots.vm) if vm == 1]
    assert modes[0] == "PAE" and ("OFF" in modes) == (platform == "qemu-svm")
    assert modes[-1] == "PAE"
