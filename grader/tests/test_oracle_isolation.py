"""The isolation oracle: two VMs apart pass; each way of reaching too far is named."""
from __future__ import annotations

from pathlib import Path
from typing import Any, List

import pytest

from grader.oracle import isolation
from grader.oracle.memory import Memory
from grader.oracle.walk import walk_nested
from grader.tests.tables import P, Ram, Tables, U, W
from viz.tests.synth import TraceWriter
from viz.trace import load

SIZE = 1 << 20          # of each VM's memory


class Two:
    """Two VMs whose pages all lie in their own slots, until a test spoils it."""

    def __init__(self, path: Path) -> None:
        self.path, self.ram = path, Ram(1 << 23)
        self.tables: List[Tables] = []
        self.slots: List[int] = []
        self.writer = TraceWriter(path / "trace.bin")
        for vm in (1, 2):
            self.add(vm)

    def add(self, vm: int) -> None:
        tables, slot = Tables(self.ram, self.ram.frame), self.ram.frame(SIZE >> 12)
        self.writer.emit("vm_create", vm=vm, memory=SIZE, root=tables.root, args="x")
        self.writer.emit("vm_slot", vm=vm, gpa=0, size=SIZE, hpa=slot)
        for gpa in range(0, SIZE, 0x1000):
            tables.map(gpa, slot + gpa)
            if gpa < 0x4000:
                self.writer.emit("map", vm=vm, gpa=gpa, hpa=slot + gpa, size=0x1000)
        self.tables.append(tables)
        self.slots.append(slot)

    def leaf(self, vm: int, gpa: int) -> int:
        return self.tables[vm - 1].entries[gpa, 1]

    def problems(self) -> List[str]:
        memory = Memory(self.ram.save(self.path / "memory.bin"))
        return isolation.check(load(str(self.writer.save())), memory)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_apart(two: Two) -> None:
    assert two.problems() == []


def test_reach_equals_the_walk(two: Two) -> None:
    """Two oracles agree: what is reached is what a walk finds."""
    memory = Memory(two.ram.save(two.path / "memory.bin"))
    pages = isolation.Reach(memory, two.tables[0].root).pages
    assert len(pages) == SIZE >> 12
    assert all(walk_nested(memory, page.gpa, two.tables[0].root).hpa == page.hpa for page in pages)


@pytest.mark.parametrize("target, words", [
    (lambda two: two.slots[1], "its slot puts it at"),           # the other VM's frame
    (lambda two: two.tables[0].root, "its slot puts it at"),     # its own root: it could write it
    (lambda two: two.slots[0] + 0x2000, "its slot puts it at"),  # its own, at another place
])
def test_a_page_that_lies_elsewhere(two: Two, target: Any, words: str) -> None:
    two.ram.put(two.leaf(1, 0x5000), target(two) | P | W | U)
    (found,) = two.problems()
    assert found.startswith("VM 1: gPA 0x5000") and words in found


def test_a_page_outside_every_slot(two: Two) -> None:
    two.tables[1].map(SIZE + 0x3000, two.slots[1])
    (found,) = two.problems()
    assert "VM 2: gPA 0x103000" in found and "none of its slots" in found


def test_a_large_page_over_the_end(two: Two) -> None:
    upper = two.tables[0].entries
    two.tables[0].map(0, 0, leaf=2)
    assert (0, 2) in upper
    assert any("0x200000 bytes" in text for text in two.problems())


def test_a_shared_table(two: Two) -> None:
    two.ram.put(two.tables[0].root, two.ram.get(two.tables[1].root))
    assert any("serves VM 1 and VM 2" in text for text in two.problems())


def test_a_table_in_guest_memory(two: Two) -> None:
    inside = two.slots[0] + 0x8000
    two.ram.data[inside:inside + 4096] = two.ram.data[two.tables[1].root:two.tables[1].root + 4096]
    two.writer.emit("vm_create", vm=2, memory=SIZE, root=inside, args="x")
    two.writer.emit("vm_slot", vm=2, gpa=0, size=SIZE, hpa=two.slots[1])
    assert any("lies in the memory of VM 1" in text for text in two.problems())


def test_a_loop_in_the_tables_ends(two: Two) -> None:
    two.ram.put(two.tables[0].root + 8, two.tables[0].root | P | W | U)
    assert any("reached twice" in text for text in two.problems())


def test_a_root_that_reaches_nothing(two: Two) -> None:
    two.ram.put(two.tables[0].root, 0)
    assert any("reaches no page" in text for text in two.problems())


def test_a_table_outside_memory(two: Two) -> None:
    two.ram.put(two.tables[0].root + 8, 1 << 30 | P | W | U)
    assert any("lies outside the machine's" in text for text in two.problems())


@pytest.mark.parametrize("shift", [0x1000 - SIZE, SIZE - 0x1000, 0])
def test_overlapping_slots(two: Two, shift: int) -> None:
    two.writer.emit("vm_create", vm=3, root=two.tables[0].root, args="x")
    two.writer.emit("vm_slot", vm=3, gpa=0, size=SIZE, hpa=two.slots[1] + shift)
    assert any("overlaps VM" in text for text in two.problems())


def test_a_slot_that_spans_others_is_not_hidden(two: Two) -> None:
    low = two.slots[0]
    two.writer.emit("vm_create", vm=3, root=two.tables[0].root, args="x")
    two.writer.emit("vm_slot", vm=3, gpa=0, size=4 * SIZE, hpa=low)
    found = [text for text in two.problems() if "overlaps" in text]
    assert len(found) == 2


@pytest.mark.parametrize("fields, words", [
    ({"vm": 1, "gpa": 0x1000, "hpa": 0x123000}, "outside its slots"),
    ({"vm": 7, "gpa": 0x1000, "hpa": 0x123000}, "does not exist")])
def test_a_traced_mapping_elsewhere(two: Two, fields: dict, words: str) -> None:
    two.writer.emit("map", size=0x1000, **fields)
    assert any(words in text for text in two.problems())


def test_dead_vms_are_judged_by_their_mappings_only(two: Two) -> None:
    for vm in (1, 2):
        two.writer.emit("vm_destroy", vm=vm)
        two.ram.put(two.tables[vm - 1].root, 0)
    assert two.problems() == []
    two.writer.emit("map", vm=1, gpa=0, hpa=0, size=0x1000)
    assert two.problems()


def test_a_new_life_has_its_own_slots(two: Two) -> None:
    two.writer.emit("vm_destroy", vm=1)
    two.add(1)
    assert two.problems() == []


def test_nothing_to_judge_is_said(tmp_path: Path) -> None:
    memory = Memory(Ram(0x1000).save(tmp_path / "memory.bin"))
    trace = load(str(TraceWriter(tmp_path / "trace.bin").save()))
    assert "nothing could be judged" in isolation.check(trace, memory)[0]
