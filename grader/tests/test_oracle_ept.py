"""The walk oracle and the isolation oracle on extended page tables, built by hand.

What an entry means is taken from Intel's SDM, volume 3C, 28.2.2 and 28.2.3, what a
violation says from table 27-7; what is the same in both formats is test_oracle_walk.py's.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grader.oracle import compare, isolation
from grader.oracle import walk as oracle
from grader.oracle.memory import Memory
from grader.oracle.paging import EPT, LONG4
from grader.tests.tables import PS, Machine, P, Ram, Tables, U
from grader.tests.tables import W as WRITABLE
from grader.tests.test_oracle_compare import emit
from viz.tests.synth import TraceWriter
from viz.trace import load
from viz.walk_data import Walks

R, W, X = 1, 2, 4
WB, IPAT = 6 << 3, 1 << 6
A, D = 1 << 8, 1 << 9
GVA, GPA, FRAME = 0x7F12_3456_7ABC, 0x2A000, 0x3A000
WRITE, USER, EXECUTE = oracle.WRITE, oracle.USER, oracle.EXECUTE


@pytest.fixture
def machine() -> Machine:
    """Nested entries of the helper say 7, which is R, W and X; only the type is to be added."""
    built = Machine()
    for (gpa, level), where in built.nested.entries.items():
        if level == 1:
            built.ram.put(where, built.ram.get(where) | WB)
    built.guest.map(GVA & ~0xFFF, GPA)
    return built


def run(machine: Machine, path: Path, access: int = 0) -> oracle.Result:
    with Memory(machine.ram.save(path / "memory.bin")) as memory:
        return oracle.walk(memory, GVA, access, "LONG4", machine.guest.root, machine.nested.root,
                           form=EPT)


def nested(entry: int, access: int, path: Path, level: int = 1, serves: int = 0) -> oracle.Result:
    """A walk of GPA alone, with that entry at that level."""
    ram = Ram(1 << 20)
    tables = Tables(ram, ram.frame)
    tables.map(GPA, FRAME, flags=R | W | X | WB)
    ram.put(tables.entries[GPA, level], entry)
    with Memory(ram.save(path / "memory.bin")) as memory:
        walker = oracle.Walker(memory, form=EPT)
        try:
            walker.result.hpa = walker.nested(GPA, tables.root, access, serves)
        except oracle._Fault:
            pass
        return walker.result


def test_24_references(machine: Machine, tmp_path: Path) -> None:
    result = run(machine, tmp_path)
    assert (len(result.refs), result.gpa_refs, result.fault) == (24, 20, "NONE")
    assert result.hpa == machine.slot + GPA + (GVA & 0xFFF)


def test_rights_do_not_depend_on_the_privilege(machine: Machine, tmp_path: Path) -> None:
    """There is no U bit: bit 2 is X, and what is not to be executed may be read by users."""
    for where in machine.nested.entries.values():
        machine.ram.put(where, machine.ram.get(where) & ~X)
    assert run(machine, tmp_path, USER).fault == "NONE"
    result = run(machine, tmp_path, EXECUTE)
    assert (result.fault, result.dim, len(result.refs)) == ("EXECUTE", "NESTED", 24)


def test_one_walk_sets_its_bits_where_ept_has_them(machine: Machine, tmp_path: Path) -> None:
    assert {ref.ad for ref in run(machine, tmp_path).refs if ref.dim == "NESTED"} == {A | D}
    assert {ref.ad for ref in run(machine, tmp_path).refs if ref.dim == "GUEST"} == {0x60}


def test_directory_pointers_are_no_references(machine: Machine, tmp_path: Path) -> None:
    """A PAE guest: the pointer is where it is for AMD, but the processor has it already."""
    root, directory, table = (machine.guest_frame() for _ in range(3))
    machine.ram.put(machine.slot + root + 8, directory | P)
    machine.ram.put(machine.slot + directory + 8 * 5, table | P | WRITABLE)
    machine.ram.put(machine.slot + table + 8 * 7, 0x9000 | P | WRITABLE)
    gva = 1 << 30 | 5 << 21 | 7 << 12 | 0x123
    with Memory(machine.ram.save(tmp_path / "memory.bin")) as memory:
        ends = [oracle.walk(memory, gva, 0, "PAE", root, machine.nested.root, form=form)
                for form in (EPT, LONG4)]
    assert [(end.gpa_refs, len(end.refs), end.gpa) for end in ends] == [
        (10, 14, 0x9123), (15, 19, 0x9123)]
    assert [ref.n for ref in ends[0].refs] == list(range(1, 15))


@pytest.mark.parametrize("entry, read, write, execute", [
    (0, "NOT_PRESENT", "NOT_PRESENT", "NOT_PRESENT"),
    (FRAME | WB | 1 << 63, "NOT_PRESENT", "NOT_PRESENT", "NOT_PRESENT"),
    (FRAME | R | WB, "NONE", "WRITE", "EXECUTE"),
    (FRAME | R | W | WB, "NONE", "NONE", "EXECUTE"),
    (FRAME | X | WB, "READ", "WRITE", "NONE"),              # execute-only
    (FRAME | R | W | X | WB | A | D | IPAT | 1 << 63, "NONE", "NONE", "NONE"),
    (FRAME | R | W | X, "NONE", "NONE", "NONE"),            # uncacheable
    (FRAME | W | WB, "RESERVED", "RESERVED", "RESERVED"),
    (FRAME | W | X | WB, "RESERVED", "RESERVED", "RESERVED"),
    (FRAME | R | 2 << 3, "RESERVED", "RESERVED", "RESERVED"),
    (FRAME | R | 3 << 3, "RESERVED", "RESERVED", "RESERVED"),
    (FRAME | R | 7 << 3, "RESERVED", "RESERVED", "RESERVED"),
    (FRAME | R | WB | 1 << 45, "RESERVED", "RESERVED", "RESERVED"),
])
def test_entries_of_pages(entry: int, read: str, write: str, execute: str, tmp_path: Path) -> None:
    ends = [nested(entry, access, tmp_path) for access in (0, WRITE, EXECUTE)]
    assert [end.fault for end in ends] == [read, write, execute]


@pytest.mark.parametrize("level, entry, fault", [
    (4, 0x1000 | R | W | X | 1 << 3, "RESERVED"), (4, 0x1000 | R | W | X | PS, "RESERVED"),
    (3, 0x1000 | R | W | X | IPAT, "RESERVED"), (2, 0x1000 | R | W | X | WB, "RESERVED"),
    (2, R | WB | PS, "NONE"), (2, 0x1000 | R | WB | PS, "RESERVED"),
    (3, R | WB | PS, "NONE"), (3, 0x20_0000 | R | WB | PS, "RESERVED"),
    (2, R | PS | 2 << 3, "RESERVED")])
def test_entries_above_the_last_level(level: int, entry: int, fault: str, tmp_path: Path) -> None:
    result = nested(entry, 0, tmp_path, level)
    assert (result.fault, result.level) == (fault, level if fault != "NONE" else 0)


@pytest.mark.parametrize("entry, access, serves, error", [
    (0, 0, 0, 0x181), (0, WRITE, 0, 0x182), (0, EXECUTE, 0, 0x184), (0, WRITE, 3, 0x083),
    (FRAME | R | WB, WRITE, 0, 0x18A), (FRAME | R | WB, WRITE, 1, 0x08B),
    (FRAME | X | WB, 0, 0, 0x1A1), (FRAME | R | W | WB, EXECUTE, 0, 0x19C),
    (FRAME | W | WB, WRITE, 0, 0)])
def test_what_a_violation_says(entry: int, access: int, serves: int, error: int,
                               tmp_path: Path) -> None:
    assert nested(entry, access, tmp_path, serves=serves).error == error


# --- Held against a trace ---------------------------------------------------------------

def traced(machine: Machine, path: Path, **begin: str):
    """An honest walk of an EPT machine, as the trace tells it, and the memory."""
    writer = TraceWriter(path / "trace.bin", platform="bochs-vmx")
    result = run(machine, path)
    emit(writer, machine, result, **begin)
    return Walks(load(writer.save()))[0], Memory(path / "memory.bin")


def test_an_honest_walk_passes_as_ept_only(machine: Machine, tmp_path: Path) -> None:
    leaf = machine.nested.entries[GPA, 1]
    machine.ram.put(leaf, machine.ram.get(leaf) & ~X)       # for NPT: not a user's
    walk, memory = traced(machine, tmp_path, format="EPT")
    assert walk.format == "EPT" and compare.compare(walk, memory) == []
    assert compare.compare(replace(walk, format="NPT"), memory)


def test_a_and_d_are_forgiven_where_ept_has_them(machine: Machine, tmp_path: Path) -> None:
    walk, memory = traced(machine, tmp_path, format="EPT")
    leaf = machine.nested.entries[GPA, 1]
    for bits, told in ((A | D, False), (0x20, True)):
        machine.ram.put(leaf, machine.ram.get(leaf) ^ bits)
        found = compare.compare(walk, Memory(machine.ram.save(tmp_path / "later.bin")))
        assert bool(found) == told
        machine.ram.put(leaf, machine.ram.get(leaf) ^ bits)


def test_a_wrong_qualification_is_told(machine: Machine, tmp_path: Path) -> None:
    machine.ram.put(machine.nested.entries[GPA, 1], 0)
    walk, memory = traced(machine, tmp_path, format="EPT")
    assert (walk.error, compare.compare(walk, memory)) == (0x181, [])
    (found,) = compare.compare(replace(walk, error=0x182), memory)
    assert found == "the exit qualification is 0x182 (write, gVA known, final), should be 0x181 (read, gVA known, final)"


def test_a_faults_missing_entry_is_taken_from_its_walk(machine: Machine, tmp_path: Path) -> None:
    """It was filled in after the walk: with R, which NPT calls P."""
    leaf = machine.nested.entries[GPA, 1]
    full = machine.ram.get(leaf)
    machine.ram.put(leaf, 0)
    walk, _ = traced(machine, tmp_path, format="EPT", cause="FAULT")
    machine.ram.put(leaf, full & ~R & ~W)                   # execute-only: present without R
    memory = Memory(machine.ram.save(tmp_path / "later.bin"))
    assert compare.compare(walk, memory) == []
    present = replace(walk, refs=[*walk.refs[:-1], replace(walk.refs[-1], before=X, after=X)])
    assert compare.compare(present, memory)


# --- Isolation ---------------------------------------------------------------------------

def test_reach_sees_pages_that_are_present_without_bit_0(tmp_path: Path) -> None:
    ram = Ram(1 << 20)
    tables = Tables(ram, ram.frame)
    tables.map(GPA, FRAME, flags=X | WB)
    tables.map(0x4000_0000, 0, leaf=3, flags=R | W | X | WB)
    memory = Memory(ram.save(tmp_path / "memory.bin"))
    pages = isolation.Reach(memory, tables.root, EPT).pages
    assert [(page.gpa, page.hpa, page.size) for page in pages] == [
        (GPA, FRAME, 1 << 12), (0x4000_0000, 0, 1 << 30)]
    assert len(isolation.Reach(memory, tables.root).pages) == 1


@pytest.mark.parametrize("name, told", [("bochs-vmx", True), ("bochs-svm", False)])
def test_the_platform_says_the_format(name: str, told: bool, tmp_path: Path) -> None:
    """An execute-only mapping of another VM's frame is a breach on EPT, and none on NPT."""
    ram, writer = Ram(1 << 20), TraceWriter(tmp_path / "trace.bin", platform=name)
    slots = [ram.frame(4), ram.frame(4)]
    for vm, slot in enumerate(slots, 1):
        tables = Tables(ram, ram.frame)
        writer.emit("vm_create", vm=vm, memory=0x4000, root=tables.root, args="x")
        writer.emit("vm_slot", vm=vm, gpa=0, size=0x4000, hpa=slot)
        tables.map(0, slot, flags=P | WRITABLE | U | WB)
        tables.map(0x1000, slots[0] + 0x1000, flags=X | WB)
    found = isolation.check(load(str(writer.save())), Memory(ram.save(tmp_path / "m")))
    assert bool(found) == told
    assert not told or "VM 2: gPA 0x1000" in found[0]
