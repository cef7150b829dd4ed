"""The walk oracle on tables built by hand: counts, order, addresses, faults, and that it can fail."""
from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.oracle import walk as oracle
from grader.oracle.memory import Memory, OutsideMemory
from grader.tests.tables import NX, PS, A, D, Machine, P, Ram, Tables, U, W

GVA = 0x7F12_3456_7ABC
WRITE, USER, EXECUTE = oracle.WRITE, oracle.USER, oracle.EXECUTE


def saved(machine: Machine, path: Path) -> Memory:
    return Memory(machine.ram.save(path / "memory.bin"))


def run(machine: Machine, path: Path, gva: int = GVA, access: int = 0, mode: str = "LONG4",
        **kept: bool) -> oracle.Result:
    with saved(machine, path) as memory:
        return oracle.walk(memory, gva, access, mode, machine.guest.root, machine.nested.root,
                           oracle.Settings(**kept))


@pytest.fixture
def machine() -> Iterator[Machine]:
    built = Machine()
    built.guest.map(GVA & ~0xFFF, 0x2A000)
    yield built


def test_memory_reads_and_refuses(tmp_path: Path) -> None:
    ram = Ram(0x2000)
    ram.put(0x1FF8, 0x1122_3344_5566_7788)
    with Memory(ram.save(tmp_path / "m")) as memory:
        assert memory.read_u64(0x1FF8) == 0x1122_3344_5566_7788
        assert memory.read_u32(0x1FFC) == 0x1122_3344
        for outside in (0x1FF9, 0x2000, -8, 1 << 60):
            with pytest.raises(OutsideMemory, match="outside the machine's 0x2000 bytes"):
                memory.read_u64(outside)


def test_24_references(machine: Machine, tmp_path: Path) -> None:
    result = run(machine, tmp_path)
    assert (len(result.refs), result.gpa_refs, result.fault) == (24, 20, "NONE")
    assert result.gpa == 0x2A000 | (GVA & 0xFFF)
    assert result.hpa == machine.slot + result.gpa
    order = [(ref.dim[0], ref.level, ref.serves) for ref in result.refs]
    expected = [item for s in (4, 3, 2, 1)
                for item in [("N", n, s) for n in (4, 3, 2, 1)] + [("G", s, 0)]]
    assert order == expected + [("N", n, 0) for n in (4, 3, 2, 1)]
    assert [ref.n for ref in result.refs] == list(range(1, 25))


def test_entries_lie_where_the_reference_says(machine: Machine, tmp_path: Path) -> None:
    for ref in run(machine, tmp_path).refs:
        assert machine.ram.get(ref.address) == ref.entry
        assert ref.index == (ref.addr >> {4: 39, 3: 30, 2: 21, 1: 12}[ref.level]) & 511


@pytest.mark.parametrize("guest_leaf, nested_leaf, gpa_refs, refs",
                         [(1, 1, 20, 24), (1, 2, 16, 19), (2, 1, 15, 19), (2, 2, 12, 15),
                          (3, 1, 10, 14), (3, 2, 8, 11)])
def test_counts_with_large_pages(guest_leaf: int, nested_leaf: int, gpa_refs: int, refs: int,
                                 tmp_path: Path) -> None:
    machine = Machine(1 << 24, pages=1024, nested_leaf=nested_leaf)
    page = {1: 1 << 12, 2: 1 << 21, 3: 1 << 30}[guest_leaf]
    offset = 0x12_3456
    machine.guest.map(0x4000_0000 + offset // page * page, offset // page * page, guest_leaf)
    result = run(machine, tmp_path, 0x4000_0000 + offset)
    assert (result.gpa_refs, len(result.refs), result.fault) == (gpa_refs, refs, "NONE")
    assert result.hpa == machine.slot + 0x12_3456


def test_one_gigabyte_both_ways_takes_eight(tmp_path: Path) -> None:
    machine = Machine()
    machine.nested = Tables(machine.ram, machine.ram.frame)
    machine.nested.map(0, 0, leaf=3)
    guest = Tables(machine.ram, machine.ram.frame)
    guest.map(0x8000_0000, 0, leaf=3)
    machine.guest = guest
    result = run(machine, tmp_path, 0x8012_3456)
    assert (result.gpa_refs, len(result.refs), result.hpa) == (6, 8, 0x12_3456)


def test_unpaged_guest_has_one_row(machine: Machine, tmp_path: Path) -> None:
    result = run(machine, tmp_path, 0x3123, mode="OFF")
    assert (result.gpa_refs, len(result.refs), result.hpa) == (0, 4, machine.slot + 0x3123)


def test_pae_guest(machine: Machine, tmp_path: Path) -> None:
    root = machine.guest_frame() | 0x20            # a root needs 32 bytes of alignment only
    directory, table = machine.guest_frame(), machine.guest_frame()
    machine.ram.put(machine.slot + root + 8 * 2, directory | P)
    machine.ram.put(machine.slot + directory + 8 * 5, table | P | W | U)
    machine.ram.put(machine.slot + table + 8 * 7, 0x9000 | P | W | U)
    machine.guest.root = root
    gva = 2 << 30 | 5 << 21 | 7 << 12 | 0x123
    result = run(machine, tmp_path, gva, mode="PAE")
    assert (result.gpa_refs, len(result.refs), result.gpa) == (15, 19, 0x9123)
    assert result.refs[4].table == machine.slot + root and result.refs[4].index == 2
    machine.ram.put(machine.slot + root + 8 * 2, directory | P | W)
    assert run(machine, tmp_path, gva, mode="PAE").fault == "RESERVED"


def test_legacy_guest_with_4m_pages(machine: Machine, tmp_path: Path) -> None:
    root, table = machine.guest_frame(), machine.guest_frame()
    machine.guest.root = root
    machine.ram.put(machine.slot + root + 4 * 3, table | P | W, 4)
    machine.ram.put(machine.slot + table + 4 * 1023, 0x5000 | P | W, 4)
    machine.ram.put(machine.slot + root + 4 * 4, P | W | PS, 4)
    small = run(machine, tmp_path, 3 << 22 | 1023 << 12 | 4, mode="LEGACY32")
    assert (small.gpa, small.gpa_refs, len(small.refs)) == (0x5004, 10, 14)
    large = run(machine, tmp_path, 4 << 22 | 0x1234, mode="LEGACY32")
    assert (large.gpa, large.gpa_refs, large.refs[4].size) == (0x1234, 5, 4 << 20)
    plain = run(machine, tmp_path, 4 << 22 | 0x1234, mode="LEGACY32", pse=False)
    assert plain.refs[4].size == 0 and plain.gpa_refs != 5


def test_pse_40_takes_address_bits_from_the_entry() -> None:
    from grader.oracle.paging import LEGACY32, frame
    entry = 0x0040_0000 | 0x03 << 13 | PS | P
    assert frame(LEGACY32, LEGACY32.levels[0], entry, True) == 3 << 32 | 0x0040_0000


@pytest.mark.parametrize("flags, access, kept, fault, error", [
    (0, 0, {}, "NOT_PRESENT", 0),
    (0, WRITE | USER, {}, "NOT_PRESENT", 6),
    (P | U, WRITE, {}, "WRITE", 3),
    (P | U, WRITE, {"wp": False}, "NONE", 0),
    (P | U, WRITE | USER, {"wp": False}, "WRITE", 7),
    (P | W, USER, {}, "USER", 5),
    (P | W | U | NX, EXECUTE, {}, "EXECUTE", 17),
    (P | W | U | NX, 0, {"nxe": False}, "RESERVED", 9),
    (P | W | U, EXECUTE, {"smep": True}, "EXECUTE", 17),
    (P | W | U, 0, {"smap": True}, "USER", 1),
    (P | W, 0, {"smap": True}, "NONE", 0),
    (P | W | U | 1 << 51, 0, {}, "RESERVED", 9),
])
def test_guest_faults(flags: int, access: int, kept: dict, fault: str, error: int,
                      tmp_path: Path) -> None:
    machine = Machine()
    machine.guest.map(GVA & ~0xFFF, 0x2A000, flags=flags)
    result = run(machine, tmp_path, access=access, **kept)
    assert (result.fault, result.error) == (fault, error)
    if fault != "NONE":
        assert (result.dim, result.level, len(result.refs)) == ("GUEST", 1, 20)


@pytest.mark.parametrize("leaf, bit, fault", [
    (2, 13, "RESERVED"), (2, 20, "RESERVED"), (2, 12, "NONE"), (3, 13, "RESERVED"),
    (3, 29, "RESERVED"), (3, 12, "NONE"), (1, 7, "NONE"), (1, 39, "NOT_PRESENT")])
def test_reserved_bits_of_large_pages(leaf: int, bit: int, fault: str, tmp_path: Path) -> None:
    """5.3.4 and 5.3.5: below a large page's frame all bits but PAT must be 0."""
    machine = Machine()
    machine.guest.map(0, 0, leaf, flags=P | W | U | 1 << bit)
    assert run(machine, tmp_path, 0).fault == fault


def test_reserved_bits_above_the_leaves(machine: Machine, tmp_path: Path) -> None:
    entry = machine.guest.entries[GVA & ~0xFFF, 4]
    machine.ram.put(entry, machine.ram.get(entry) | PS)
    result = run(machine, tmp_path)
    assert (result.fault, result.level, result.error) == ("RESERVED", 4, 9)


def test_reserved_bits_of_the_older_formats() -> None:
    """Figures of 5.2: PAE entries 62..52, its 2M pages 20..13, 4M pages 21; A of a PDPE is QEMU's."""
    from grader.oracle.paging import LEGACY32, PAE
    zero = [(level.zero, level.zero_page) for level in PAE.levels + LEGACY32.levels]
    assert zero == [(0xFFF0_0000_0000_01C6, 0), (0x7FF0_0000_0000_0000, 0x1F_E000),
                    (0x7FF0_0000_0000_0000, 0), (0, 0x20_0000), (0, 0)]


@pytest.mark.parametrize("level", [4, 3, 2])
def test_a_right_needs_every_level(level: int, tmp_path: Path) -> None:
    machine = Machine()
    machine.guest.map(GVA & ~0xFFF, 0x2A000, upper={level: P | U})
    result = run(machine, tmp_path, access=WRITE)
    assert (result.fault, result.denials) == ("WRITE", [("WRITE", level)])


def test_non_canonical(machine: Machine, tmp_path: Path) -> None:
    result = run(machine, tmp_path, 1 << 47)
    assert (result.fault, result.refs) == ("NON_CANONICAL", [])


def test_nested_fault_in_the_walk_and_at_its_end(machine: Machine, tmp_path: Path) -> None:
    with saved(machine, tmp_path) as memory:
        leaf = oracle.walk_nested(memory, 0x2A000, machine.nested.root).refs[-1].address
        table = oracle.walk_nested(memory, machine.guest.root, machine.nested.root).refs[-1].address
    machine.ram.put(leaf, 0)
    result = run(machine, tmp_path, access=EXECUTE)
    assert (result.fault, result.dim, len(result.refs)) == ("NOT_PRESENT", "NESTED", 24)
    assert result.error == oracle.ERROR_FINAL | 4 | 16
    machine.ram.put(table, machine.ram.get(table) & ~W)    # a guest's walk counts as a write
    result = run(machine, tmp_path)
    assert (result.fault, len(result.refs)) == ("WRITE", 4)
    assert result.error == oracle.ERROR_IN_WALK | 1 | 2 | 4


def test_table_outside_memory(machine: Machine, tmp_path: Path) -> None:
    machine.ram.put(machine.nested.root, 0x40_0000_0000 >> 4 | P | W | U)
    result = run(machine, tmp_path)
    assert (result.fault, result.dim, result.level) == ("NO_MEMORY", "NESTED", 3)


def test_nested_wants_user(machine: Machine, tmp_path: Path) -> None:
    machine.ram.put(machine.nested.root, machine.ram.get(machine.nested.root) & ~U)
    assert run(machine, tmp_path).fault == "USER"


@given(gva=st.integers(0, (1 << 47) - 1), frame=st.integers(16, 60),
       high=st.booleans(), flags=st.sampled_from([P | W | U, P | U, P, P | W | A | D]))
@settings(max_examples=40, deadline=None)
def test_any_address(gva: int, frame: int, high: bool, flags: int,
                     tmp_path_factory: pytest.TempPathFactory) -> None:
    """For any address the oracle equals what was mapped: a model of two dictionaries."""
    gva |= ((1 << 17) - 1) << 47 if high else 0
    machine = Machine(1 << 21)
    machine.guest.map(gva & ((1 << 48) - 1) & ~0xFFF, frame << 12, flags=flags)
    result = run(machine, tmp_path_factory.mktemp("any"), gva)
    assert result.hpa == machine.slot + (frame << 12 | gva & 0xFFF)
    assert len(result.refs) == 24
