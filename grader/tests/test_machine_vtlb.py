"""Guests that fill their TLB themselves (mmu=vtlb), on every platform.

vtlb (guests/README.md) knows what must come of each of its accesses, and is sealed. Here it is
asked that misses and faults are as many as it counted, that what it filled stayed as long as
there was room for it, and that the tables, which the processor used, hold nothing that was not
asked for (grader/oracle/mmu/software.py). One run for all.
"""
from __future__ import annotations

from typing import Any, Dict, List

import numpy as np
import pytest

from grader.oracle import isolation
from grader.oracle.mmu import judge
from grader.tests.patched import Patched
from grader.tests.test_machine_mmu import told

pytestmark = [pytest.mark.machine, pytest.mark.everywhere]

VMS = {1: "vtlb -- hold=1", 2: "vtlb32 -- hold=1", 3: "vtlb32 -- hold=1 pae=0",
       4: "vtlb shadowpages=32 -- hold=1"}
WRITES = {1: 7 / 8, 2: 6 / 7, 3: 6 / 7, 4: 7 / 8}     # of the calls that are to be refused


@pytest.fixture(scope="module")
def run(machine: Any, torture: bool) -> Any:
    ops = 50_000 if torture else 600
    made = machine([f"{text} ops={ops}" for text in VMS.values()],
                   "trace=memory,sched mmu=vtlb slice=3ms tracebuf=190M",
                   time="4s" if torture else "60ms", seed=6)
    assert made.trace.dropped == 0
    assert all("vanished" in told(made.trace, vm) for vm in VMS), "the time is too short"
    return made


def of(records: Any, vm: int) -> Any:
    return records.where(records.vm == vm)


def test_all_was_as_the_guest_expects(run: Any) -> None:
    for vm in VMS:
        checks = of(run.trace.select("check"), vm)
        assert len(checks) == 3 and checks["sealed"].all()
        assert np.array_equal(checks["value"], checks["expected"]), run.console


def test_misses_are_the_guests(run: Any) -> None:
    """Each of them, and nothing else, by the trace and by its own count."""
    for vm in VMS:
        said = told(run.trace, vm)
        faults, writes = (of(run.trace.select(name), vm) for name in ("shadow_fault", "vtlb_write"))
        seen = faults.where(~faults["hidden"].astype(bool))
        assert len(seen) == said["misses"] + said["faults"]
        assert np.count_nonzero(writes["result"] == 0) == said["misses"] > 200
        assert np.count_nonzero(writes["result"]) == round(said["refused"] * WRITES[vm]) > 20
        missed = ~(seen["error"] & np.uint64(1)).astype(bool)
        assert np.count_nonzero(missed) == said["misses"] + said["unmapped"]
        hidden = faults.where(faults["hidden"].astype(bool))
        assert len(hidden) and (hidden["gva"] < 1 << 30).all()


def test_entries_stay_while_there_is_room(run: Any) -> None:
    """Through all of the guest's MOV CR3; with few tables they vanish, and come again."""
    assert [told(run.trace, vm)["vanished"] for vm in (1, 2, 3)] == [0, 0, 0]
    assert told(run.trace, 4)["vanished"] > 100
    roots = run.trace.select("shadow_root")
    assert all(len(of(roots, vm)) > 20 for vm in VMS)


def test_the_tables_hold_what_was_asked_for(run: Any) -> None:
    assert judge.check(run.trace, run.memory) == []
    verdicts = judge.judge(run.trace, run.memory)
    assert [each.kind for each in verdicts] == ["vtlb"] * 4
    assert all(each.pages > 15 for each in verdicts)
    assert isolation.check(run.trace, run.memory) == []


def wrong_entries(run: Any, vm: int) -> Dict[str, List[int]]:
    """What is wrong: where, and the entry; of a page in the TLB and one in the segment."""
    guest = next(each for each in isolation.guests(run.trace) if each.vm == vm)
    pages = judge.reached(run.trace, run.memory, guest, judge.roots(run.trace)[vm]).pages
    low = next(each for each in pages if each.address < 1 << 30)
    high = next(each for each in pages if each.address >= 1 << 30)
    wrong = {}
    for name, page in (("segment", low), ("TLB", high)):
        entry = run.memory.read_u64(page.where)
        wrong[f"{name}: another frame"] = [page.where, entry ^ 0x1000]
        wrong[f"{name}: other rights"] = [page.where, entry ^ 4]
        wrong[f"{name}: not its own"] = [page.where, entry & 0xFFF | 0x1000]
    return wrong


def test_tables_made_wrong_are_told(run: Any) -> None:
    for vm in VMS:
        for what, (where, entry) in wrong_entries(run, vm).items():
            found = judge.check(run.trace, Patched(run.memory, where, entry))
            assert any(text.startswith(f"VM {vm} (vtlb)") for text in found), (vm, what, found)
