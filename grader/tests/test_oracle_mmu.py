"""The composition oracle on tables made by hand: right ones pass, each wrong entry is told.

A guest of two slots with long-mode tables, a shadow of them, and a second VM whose frames
it must not reach. Every rule of grader/oracle/mmu is broken once.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional

import pytest

from grader.oracle.memory import Memory
from grader.oracle.mmu import judge, pager, pieces
from grader.oracle.mmu.guest import Nowhere, Place, Tables as View, Vm, settings_of
from grader.tests.tables import A, D, NX, P, PS, Ram, Tables, U, W
from viz.tests.synth import TraceWriter
from viz.trace import load

SIZE = 1 << 22                      # of the first VM's memory
FULL = P | W | U | A | D
WP, PG, LMA = 1 << 16, 1 << 31, 1 << 10
NXE = 1 << 11
GVA = 0x40000000                    # four pages, each with other rights
RIGHTS = {0: FULL, 1: P | U | A, 2: P | W | A | D | NX, 3: P | W | U | A}
LARGE = 0x80000000                  # a page of 2 MiB


class World:
    """A VM under shadow paging whose shadow is right, until a test spoils it."""

    def __init__(self, path: Path) -> None:
        self.path, self.ram = path, Ram(1 << 24)
        self.writer = TraceWriter(path / "trace.bin")
        self.slot = self.ram.frame(SIZE >> 12, align=1 << 21)
        self.theirs = self.ram.frame(16)
        self.nested = Tables(self.ram, self.ram.frame)
        self.next = 0x200000        # guest tables lie in the second half of the slot
        self.guest = Tables(self.ram, self.take, lambda gpa: self.slot + gpa)
        self.shadow = Tables(self.ram, self.ram.frame)
        self.cr0, self.efer = WP | PG | 1, NXE | LMA
        upper = {level: FULL for level in (2, 3, 4)}
        for n, rights in RIGHTS.items():
            self.guest.map(GVA + n * 0x1000, n * 0x1000, flags=rights, upper=upper)
            self.shadow.map(GVA + n * 0x1000, self.slot + n * 0x1000, flags=self.less(rights))
        self.guest.map(LARGE, 0x000000, leaf=2, flags=FULL, upper=upper)
        self.shadow.map(LARGE + 0x3000, self.slot + 0x3000, flags=FULL)
        self.tell(1, self.nested.root, SIZE, self.slot)
        self.tell(2, Tables(self.ram, self.ram.frame).root, 0x10000, self.theirs)

    @staticmethod
    def less(rights: int) -> int:
        """What a shadow may give: no W before D is set."""
        return rights if rights & D else rights & ~W

    def take(self) -> int:
        self.next += 0x1000
        return self.next - 0x1000

    def tell(self, vm: int, root: int, size: int, hpa: int) -> None:
        self.writer.emit("vm_create", vm=vm, memory=size, root=root, args="x")
        self.writer.emit("vm_slot", vm=vm, gpa=0, size=size, hpa=hpa, access=7)
        if vm == 2:
            self._other(root).map(0, hpa, flags=FULL)

    def _other(self, root: int) -> Tables:
        tables = Tables(self.ram, self.ram.frame)
        tables.root = root
        return tables

    def leaf(self, n: int) -> int:
        return self.shadow.entries[GVA + n * 0x1000, 1]

    def problems(self, root: Optional[int] = None) -> List[str]:
        self.writer.emit("shadow_root", vm=1, groot=self.guest.root, mode="LONG4", cr0=self.cr0,
                         cr4=0x20, efer=self.efer,
                         root=self.shadow.root if root is None else root)
        memory = Memory(self.ram.save(self.path / "memory.bin"))
        return judge.check(load(str(self.writer.save())), memory)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_right_shadow(world: World) -> None:
    assert world.problems() == []


@pytest.mark.parametrize("n, bits, words", [
    (1, W, "may be written by a user, the guest's tables forbid it"),
    (1, W, "may be written by the supervisor"),
    (2, U, "may be read by a user"),
    (3, W, "D is clear"),
])
def test_more_rights(world: World, n: int, bits: int, words: str) -> None:
    world.ram.put(world.leaf(n), world.ram.get(world.leaf(n)) | bits)
    assert any(words in text for text in world.problems())


def test_code_that_must_not_run(world: World) -> None:
    world.ram.put(world.leaf(2), world.ram.get(world.leaf(2)) & ~NX)
    assert any("executed by the supervisor" in text for text in world.problems())
    world.efer = LMA                # without NXE the guest's own entry is a reserved one
    assert any("reserved bits" in text for text in world.problems())


def test_writes_of_the_supervisor_without_wp(world: World) -> None:
    """CR0.WP = 0: U off and W on gives the supervisor what it has, and users nothing."""
    world.ram.put(world.guest.entries[GVA + 0x1000, 1], 0x1000 | P | U | A | D)
    world.ram.put(world.leaf(1), world.slot + 0x1000 | P | W)
    assert any("the supervisor" in text for text in world.problems())
    world.cr0 &= ~WP
    assert world.problems() == []
    world.ram.put(world.leaf(1), world.slot + 0x1000 | P | W | U)
    assert any("written by a user" in text for text in world.problems())


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_an_entry_that_was_not_accessed(world: World, level: int) -> None:
    where = world.guest.to_host(0) + world.guest.entries[GVA, level] - world.slot
    world.ram.put(where, world.ram.get(where) & ~A)
    assert any("A is clear" in text for text in world.problems())


def test_another_frame(world: World) -> None:
    world.ram.put(world.leaf(0), world.slot + 0x9000 | FULL)
    (found,) = world.problems()
    assert "gPA 0x0 is at" in found


def test_another_vms_frame(world: World) -> None:
    world.ram.put(world.leaf(0), world.theirs | FULL)
    assert any("not this VM's" in text for text in world.problems())


def test_a_page_that_the_guest_has_not(world: World) -> None:
    world.shadow.map(GVA + 0x7000, world.slot, flags=FULL)
    assert any("leads nowhere: the entry of level 1 is not present" in text
               for text in world.problems())


def test_a_page_too_large(world: World) -> None:
    world.shadow.map(GVA, world.slot, leaf=2, flags=FULL)
    assert any("larger than the guest's page" in text for text in world.problems())


def test_a_large_page_may_stay_large(world: World) -> None:
    world.shadow.map(LARGE, world.slot, leaf=2, flags=FULL)
    assert world.problems() == []


def test_a_table_that_can_be_written_unseen(world: World) -> None:
    table = world.guest.entries[GVA, 1] - world.slot & ~0xFFF
    world.guest.map(GVA + 0x5000, table, flags=FULL)
    world.shadow.map(GVA + 0x5000, world.slot + table, flags=FULL)
    assert any("unseen" in text for text in world.problems())
    world.writer.emit("shadow_unsync", vm=1, table=table)
    assert world.problems() == []           # known to be out of step
    world.writer.emit("shadow_sync", vm=1, table=table)
    assert any("unseen" in text for text in world.problems())
    world.writer.emit("shadow_unsync", vm=1, table=table)
    assert world.problems() == []
    world.writer.emit("vm_destroy", vm=1)
    world.tell(1, world.nested.root, SIZE, world.slot)
    assert any("unseen" in text for text in world.problems())       # that was another life


def test_an_upper_table_must_always_be_watched(world: World) -> None:
    table = world.guest.entries[GVA, 2] - world.slot & ~0xFFF
    world.guest.map(GVA + 0x5000, table, flags=FULL)
    world.shadow.map(GVA + 0x5000, world.slot + table, flags=FULL)
    world.writer.emit("shadow_unsync", vm=1, table=table)
    assert any("level 2" in text and "unseen" in text for text in world.problems())


def test_a_table_in_the_guests_memory(world: World) -> None:
    inside = world.slot + 0x300000
    world.ram.data[inside:inside + 4096] = \
        world.ram.data[world.shadow.root:world.shadow.root + 4096]
    assert any("lies in the memory of VM 1" in text for text in world.problems(inside))


def test_a_slot_that_forbids(world: World) -> None:
    world.writer.emit("vm_slot", vm=1, gpa=0, size=SIZE, hpa=world.slot, access=2)
    found = world.problems()
    assert any("written by a user, the memory slot forbids it" in text for text in found)
    assert any("executed by a user, the memory slot forbids it" in text for text in found)


def test_without_paging_the_nested_table_counts(world: World) -> None:
    world.nested.map(0x5000, world.slot + 0x5000, flags=P | W | U)
    assert world.problems(root=0) == []
    world.nested.map(0x6000, world.slot + 0x5000, flags=P | W | U)
    assert any("gPA 0x6000" in text and "its slot puts it at" in text
               for text in world.problems(root=0))


def test_nested_rights_beyond_the_slots(world: World) -> None:
    world.nested.map(0x5000, world.slot + 0x5000, flags=P | W | U | D)
    world.writer.emit("vm_slot", vm=1, gpa=0, size=SIZE, hpa=world.slot, access=2)
    found = world.problems(root=0)
    for words in ("may be written", "may be executed", "has been written"):
        assert any(words in text for text in found)


def test_nobody_alive_is_said(tmp_path: Path) -> None:
    memory = Memory(Ram(0x1000).save(tmp_path / "memory.bin"))
    trace = load(str(TraceWriter(tmp_path / "trace.bin").save()))
    assert "nothing could be judged" in judge.check(trace, memory)[0]


# --- The other modes' tables ----------------------------------------------------------------

def view(tmp_path: Path, mode: str, put: Any, cr4: int = 0x10) -> View:
    """Guest tables at gPA = hPA, root at 0x1000."""
    ram = Ram(1 << 20)
    put(ram)
    memory = Memory(ram.save(tmp_path / "memory.bin"))
    return View(Vm(1, [Place(0, 1 << 20, 0)]), memory, 0x1000, mode, settings_of(WP, cr4, NXE))


def test_two_levels(tmp_path: Path) -> None:
    def put(ram: Ram) -> None:
        ram.put(0x1000 + 4 * 256, 0x2000 | FULL, 4)
        ram.put(0x2000 + 4 * 3, 0x5000 | FULL & ~W, 4)
        ram.put(0x1000 + 4 * 257, 0x00000000 | FULL | PS, 4)
    tables = view(tmp_path, "LEGACY32", put)
    leads = tables.leads(0x40003123)
    assert (leads.gpa, leads.size, leads.write, leads.user) == (0x5123, 0x1000, False, True)
    assert tables.leads(0x40412345).gpa == 0x12345
    without = view(tmp_path, "LEGACY32", put, cr4=0)        # PS is ignored: a table at 0
    assert isinstance(without.leads(0x40412345), Nowhere)


def test_pae(tmp_path: Path) -> None:
    def put(ram: Ram) -> None:
        ram.put(0x1000 + 8, 0x2000 | P)                     # pointers have no rights
        ram.put(0x2000, 0x3000 | FULL)
        ram.put(0x3000 + 8 * 5, 0x7000 | P | A | NX)
    leads = view(tmp_path, "PAE", put).leads(0x40005010)
    assert (leads.gpa, leads.write, leads.user, leads.execute) == (0x7010, False, False, False)


# --- What never ends ----------------------------------------------------------------------

class Told:
    """A run of which there is only a trace."""

    def __init__(self, trace: Any) -> None:
        self.trace = trace


@pytest.mark.parametrize("addresses, hidden, told", [
    ([GVA], True, True), ([GVA, LARGE], True, True), ([GVA + n * 0x1000 for n in range(9)], True, False),
    ([GVA], False, False)])
def test_hidden_faults_that_never_end_are_told(tmp_path: Path, addresses: List[int], hidden: bool,
                                               told: bool) -> None:
    writer = TraceWriter(tmp_path / "trace.bin")
    writer.emit("shadow_fill", vm=1, gva=GVA, level=1, gpte=0x27, before=0, after=0x5021, where=0x9000)
    for n in range(pager.SAME + 20):
        writer.emit("shadow_fault", vm=1, gva=addresses[n % len(addresses)], error=2, hidden=hidden)
    words = pager.again(Told(load(str(writer.save()))))
    assert bool(words) == told
    assert not told or f"gVA {GVA:#x}, error 0x2, filled with 0x5021" in words


@pytest.mark.parametrize("role, entry, wrong", [
    (0x9, 0xE7, True), (0x40009, 0xE7, False), (0x40009, 0xA7, True), (0x9, 0xA7, False), (0x1, 0x67, False)])
def test_a_piece_tells_whether_its_page_was_dirty(tmp_path: Path, role: int, entry: int, wrong: bool) -> None:
    writer = TraceWriter(tmp_path / "trace.bin")
    writer.emit("shadow_page", vm=1, table=0, shadow=0x7000, level=1, role=role)
    writer.emit("shadow_fill", vm=1, gva=LARGE, level=2, gpte=entry, before=0, after=0x7027, where=0x9000)
    assert bool(pieces.problems(load(str(writer.save())))) == wrong
