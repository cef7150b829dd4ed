"""Tables side by side: the replay of records, reading tables from memory, rows, the picture."""
from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from viz import tables, tables_draw, tables_nested, tables_ram, tables_rows
from viz.__main__ import main
from viz.tables_replay import State, replay
from viz.tables_rows import Row, Side
from viz.tests.synth import TraceWriter, nested_walk
from viz.trace import Trace, load

PAGE, MIB = 4096, 1 << 20
SLOT = 0x40_0000            # the slot's first hPA
ROOT, MID, LOW, LEAF = 0x100_0000, 0x100_1000, 0x100_2000, 0x100_3000
TABLES = {4: 0x1000, 3: 0x2000, 2: 0x3000, 1: 0x4000}
GVA = 0x1000_0000_0000 >> 4     # of the first page: 0x10000000000
LONG, OLD = 3 << 10, 1 << 10    # the mode in a role


class Story:
    """A VM on a shadow: a path of tables is there, and what the test adds."""

    def __init__(self, path: Path, mmu: str = "shadow") -> None:
        self.w = TraceWriter(path)
        self.w.emit("vm_create", vm=1, ns=0, args=f"pager mmu={mmu}", root=0x50_0000)
        self.w.emit("vm_slot", vm=1, gpa=0, size=16 * MIB, hpa=SLOT, access=5)
        for level, at in ((4, ROOT), (3, MID), (2, LOW), (1, LEAF)):
            self.page(TABLES[level], level, at)
        self.w.emit("shadow_root", vm=1, ns=10, groot=0x1000, root=ROOT, mode="LONG4")
        for level, at, below in ((4, ROOT, MID), (3, MID, LOW), (2, LOW, LEAF)):
            index = GVA >> 3 + 9 * level & 511
            self.w.emit("shadow_fill", vm=1, gva=GVA, level=level, gpte=TABLES[level - 1] | 7,
                        after=below | 0x27, where=at + 8 * index)

    def page(self, table: int, level: int, at: int, role: int = LONG) -> None:
        self.w.emit("shadow_page", vm=1, table=table, level=level, role=role | level, shadow=at)

    def fill(self, n: int, gpa: int, bits: int = 0x63, ns: int = 20, shadow_bits: int = 0x63,
             leaf: int = LEAF) -> None:
        self.w.emit("shadow_fill", vm=1, ns=ns, gva=GVA + n * PAGE, level=1, gpte=gpa | bits,
                    after=SLOT + gpa | shadow_bits, where=leaf + 8 * n)

    def stop(self, name: str, ns: int) -> None:
        self.w.emit("checkpoint", vm=1, ns=ns, name=name)

    def trace(self) -> Trace:
        return load(str(self.w.save()))

    def state(self) -> State:
        (found,) = replay(self.trace(), 1, [1 << 60])
        return found

    def pages(self) -> Dict[int, int]:
        """Page of the leaf table -> gPA, as the replay has them."""
        return {row.gva - GVA >> 12: row.guest.to for row in tables_rows.shadow_rows(self.state())}


@pytest.fixture()
def story(tmp_path: Path) -> Story:
    made = Story(tmp_path / "trace.bin")
    for n in range(4):
        made.fill(n, 0x10_0000 + n * PAGE)
    return made


def test_what_was_filled_is_there(story: Story) -> None:
    assert story.pages() == {n: 0x10_0000 + n * PAGE for n in range(4)}
    rows = tables_rows.shadow_rows(story.state())
    assert [row.shadow.to for row in rows] == [SLOT + 0x10_0000 + n * PAGE for n in range(4)]
    assert [row.host.to for row in rows] == [row.shadow.to for row in rows]


@pytest.mark.parametrize("gpa, size, left", [
    (0x4000, 8, [1, 2, 3]), (0x4008, 4, [0, 2, 3]), (0x400C, 8, [0, 3]), (0x4000, 1, [1, 2, 3]),
    (0x5000, 8, [0, 1, 2, 3]), (0x3FF8, 8, [0, 1, 2, 3])])
def test_a_write_drops_the_entries_that_it_meets(story: Story, gpa: int, size: int,
                                                 left: List[int]) -> None:
    story.w.emit("shadow_write", vm=1, ns=30, gpa=gpa, size=size, entries=4 - len(left))
    assert sorted(story.pages()) == left


@pytest.mark.parametrize("level, quadrant, offset, size, gone", [
    (1, 0, 0, 4, [0]), (1, 0, 2044, 8, [511]), (1, 1, 2044, 8, [0]), (1, 1, 0, 4, []),
    (2, 0, 4, 4, [2, 3]), (2, 3, 3072, 4, [0, 1]), (2, 3, 3068, 8, [0, 1]), (2, 1, 0, 4, [])])
def test_a_32_bit_guest_s_entries(level: int, quadrant: int, offset: int, size: int,
                                  gone: List[int]) -> None:
    """4-byte entries: half a table in a shadow of level 1, a quarter, doubled, in one of level 2."""
    from viz.tables_replay import Page
    page = Page(0x4000, level, OLD | quadrant << 4 | level)
    assert list(page.standing_for(offset, size)) == gone


def test_a_dropped_table_takes_what_leads_to_it(story: Story) -> None:
    story.w.emit("shadow_zap", vm=1, ns=30, table=TABLES[2], level=2, entries=1, why="WRITE")
    assert story.pages() == {} and LEAF in story.state().pages


def test_of_two_shadows_the_one_with_so_many_entries_goes(story: Story) -> None:
    story.page(TABLES[1], 1, 0x100_9000, LONG | 1 << 14)
    story.fill(9, 0x20_0000, leaf=0x100_9000)
    story.w.emit("shadow_zap", vm=1, ns=30, table=TABLES[1], level=1, entries=1, why="RECYCLE")
    assert set(story.state().pages) == {ROOT, MID, LOW, LEAF} and len(story.pages()) == 4


def test_what_is_not_recorded_is_said(story: Story) -> None:
    story.w.emit("shadow_unsync", vm=1, ns=30, table=TABLES[1])
    assert story.state().unsynced == {TABLES[1]}
    story.w.emit("shadow_zap", vm=1, ns=31, table=TABLES[1], level=1, entries=1, why="INVLPG")
    story.w.emit("flush", vm=1, ns=32, kind="ADDRESS", addr=GVA + 2 * PAGE + 5)
    unsure = [row.gva - GVA >> 12 for row in tables_rows.shadow_rows(story.state())
              if "not recorded" in row.note]
    assert unsure == [2]
    story.w.emit("shadow_sync", vm=1, ns=40, table=TABLES[1], entries=0)
    assert story.state().unsynced == set()
    story.fill(2, 0x77_7000, ns=41)
    assert not any("not recorded" in row.note for row in tables_rows.shadow_rows(story.state()))
    story.w.emit("shadow_sync", vm=1, ns=42, table=TABLES[1], entries=1)
    assert all("not recorded" in row.note for row in tables_rows.shadow_rows(story.state()))


def test_a_vm_created_anew_has_nothing(story: Story) -> None:
    story.w.emit("vm_create", vm=1, ns=90, args="pager mmu=shadow")
    assert story.state().pages == {} and story.state().slots == []


def test_why_the_shadow_allows_less(story: Story) -> None:
    story.fill(5, TABLES[1], bits=0x63, shadow_bits=0x21)       # a table of its own
    story.fill(6, 0x30_0000, bits=0x23, shadow_bits=0x21)       # not dirty yet
    notes = {row.gva - GVA >> 12: row.note for row in tables_rows.shadow_rows(story.state())}
    assert "guest table, writes exit" in notes[5] and "to set D" in notes[6] and notes[0] == ""


# --- Stops -------------------------------------------------------------------------------------

def changing(path: Path) -> Story:
    """Between two stops: page 1 goes elsewhere, 2 is dropped, 7 is new; 0 and 3 stay."""
    story = Story(path)
    for n in range(4):
        story.fill(n, 0x10_0000 + n * PAGE)
    story.stop("first", 100)
    story.fill(1, 0x55_5000, ns=200)
    story.w.emit("shadow_write", vm=1, ns=201, gpa=0x4010, size=8, entries=1)
    story.fill(7, 0x10_7000, ns=202, bits=0x21, shadow_bits=0x21)
    story.stop("second", 300)
    story.w.emit("vm_end", vm=1, ns=400)
    for level in (4, 3, 2, 1):
        story.w.emit("shadow_zap", vm=1, ns=500, table=TABLES[level], level=level, why="END")
    story.w.emit("vm_destroy", vm=1, ns=600)
    return story


def test_what_changed_between_two_stops(tmp_path: Path) -> None:
    trace = changing(tmp_path / "trace.bin").trace()
    assert [stop.name for stop in tables.stops(trace, 1)] == ["first", "second", "the end"]
    made = tables.picture(trace, None, 1, "second")
    status = {row.gva - GVA >> 12: row.status for row in made.rows}
    assert status == {0: "", 1: "changed", 2: "gone", 3: "", 7: "new"}
    was = next(row for row in made.rows if row.status == "changed")
    assert (was.whose, was.was.to, was.guest.to) == ("guest", 0x10_1000, 0x55_5000)
    assert [(table, status) for table, _, _, _, _, status in made.pages] == [
        (0x1000, ""), (0x2000, ""), (0x3000, ""), (0x4000, "")]
    assert made.provenance.startswith("observed: ") and "first" in made.since
    last = tables.picture(trace, None, 1, None)
    assert not any(row.status for row in last.rows) and len(last.rows) == 4


def test_of_many_shadow_tables_some_are_shown(tmp_path: Path) -> None:
    """Those of other roots are counted only; of the others those that changed come first."""
    story = changing(tmp_path / "trace.bin")
    story.w.emit("vm_create", vm=2)
    trace = load(str(story.w.save()))
    made = tables.picture(trace, None, 1, "second")
    tables_draw.shorten(made, 4)
    assert [page[0] for page in made.pages] == [0x1000, 0x2000]
    assert any("2 more shadow tables of the active root" in note for note in made.notes)
    other = Story(tmp_path / "other.bin")
    other.page(0x9000, 4, 0x200_0000)
    made = tables.picture(other.trace(), None, 1, None)
    assert len(made.pages) == 4
    assert any(note.startswith("1 more shadow tables do not hang") for note in made.notes)


def test_neighbours_become_one_row() -> None:
    rows = [Row(GVA + n * PAGE, PAGE, Side(n * PAGE, "W"), Side(0x900_0000 + n * PAGE, "w"),
                None, status="new" if n == 5 else "") for n in range(8)]
    rows[7] = Row(GVA + 7 * PAGE, PAGE, Side(0x99_9000, "W"), Side(0x900_7000, "w"), None)
    assert [row.count for row in tables_rows.join(rows)] == [5, 1, 1, 1]
    shown, left = tables_draw.choose(tables_rows.join(rows), 2)
    assert [row.status for row in shown] == ["", "new"] and left == 2


@pytest.mark.parametrize("start, pages, words", [
    (0x1000, 1, "0x1000"), (0x10_0000, 3, "0x100000 …2fff"), (0x0, 158, "0x0 …9dfff"),
    (0x7FFF_FFF0_0000, 0x200, "0x7ffffff00000 …8000000fffff"),
    (0x12_3400_0000, 0x1_2100, "0x1234000000 …460fffff"),
    (0xFFFF_8000_0FFF_F000, 2, "0xffff80000ffff000 …10000fff"),
    (0xFFFF_8000_0000_0000, 4, "0xffff800000000000 …3fff")])
def test_a_range_s_end_is_told_by_the_digits_that_differ(start: int, pages: int,
                                                         words: str) -> None:
    row = Row(start, PAGE, Side(0x5000, "W"), None, None, count=pages)
    assert tables_draw.cells(row, False)[0][0] == words


@pytest.mark.parametrize("form, magic", [("svg", "<?xml"), ("html", "<!DOCTYPE html>")])
def test_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture, form: str, magic: str) -> None:
    path = changing(tmp_path / "trace.bin").w.save()
    out = tmp_path / f"t.{form}"
    assert main(["tables", str(path), "--stop", "second", "-o", str(out)]) == 0
    text = out.read_text("utf-8")
    words = re.sub(r"<[^<>]*>", " ", text).replace("&#45;", "-").replace("&#39;", "'")
    assert text.startswith(magic)
    for word in ("Tables of VM 1 (pager), mmu=shadow", "guest table, gPA", "its shadow, hPA",
                 "memory slot: hPA", "changed: guest had gPA 0x101000", "gone", "new", "0x955000",
                 "observed: ", "write-protected"):
        assert word in words, word
    assert main(["tables", str(path), "--list"]) == 0
    assert "second" in capsys.readouterr().out


@pytest.mark.parametrize("words, error", [
    (["--stop", "third"], "there is no stop 'third'"), (["--vm", "5"], "there is no VM 5"),
    (["-o", "t.txt"], "the ending must be one of"),
    (["--rows", "0"], "--rows 0: at least one row"), (["--rows", "-3"], "--rows -3: at least")])
def test_errors(tmp_path: Path, capsys: pytest.CaptureFixture, words: List[str],
                error: str) -> None:
    path = changing(tmp_path / "trace.bin").w.save()
    assert main(["tables", str(path), *words]) == 2
    assert error in capsys.readouterr().err


def test_not_recorded(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    writer = TraceWriter(tmp_path / "t", cmdline="trace=exits")
    writer.emit("vm_create", vm=1, args="pager")
    assert main(["tables", str(writer.save())]) == 2
    assert "run it again with trace=memory" in capsys.readouterr().err


@pytest.mark.parametrize("args, machine", [("vtlb mmu=vtlb", ""), ("vtlb", "mmu=vtlb")])
def test_of_a_guest_that_fills_its_tlb_nothing_is_made_up(
        tmp_path: Path, capsys: pytest.CaptureFixture, args: str, machine: str) -> None:
    """Its CR3 is a name, and the addresses that name its shadow tables are no gPAs."""
    writer = TraceWriter(tmp_path / "t", cmdline=machine)
    writer.emit("vm_create", vm=1, args=args)
    writer.emit("vm_create", vm=2, args="pager mmu=shadow -- mmu=vtlb")
    writer.emit("shadow_page", vm=1, table=0x40_0000, level=1, role=LONG | 9, shadow=LEAF)
    path, out = str(writer.save()), tmp_path / "t.svg"
    assert main(["tables", path, "-o", str(out)]) == 2 and not out.exists()
    assert "VM 1 fills its TLB itself" in capsys.readouterr().err
    assert main(["tables", path, "--vm", "2"]) == 2
    assert "VM 2 has no table then" in capsys.readouterr().err


def test_nested_paging(tmp_path: Path) -> None:
    """The host's mappings, and the guest's page that a walk met before its mapping was made."""
    writer = TraceWriter(tmp_path / "trace.bin")
    writer.emit("vm_create", vm=1, ns=0, args="walker")
    writer.emit("map", vm=1, ns=5, gpa=0x60_0000, hpa=0x90_0000, size=PAGE, access=5)
    nested_walk(writer, vm=1, gva=0x40_0ABC, ns=10)
    writer.emit("checkpoint", vm=1, ns=20, name="a")
    writer.emit("map", vm=1, ns=30, gpa=0x70_0000, hpa=0x80_0000, size=2 * MIB, access=1)
    writer.emit("unmap", vm=1, ns=31, gpa=0x60_0000, size=PAGE)
    made = tables.picture(load(str(writer.save())), None, 1, None)
    walked, mapped = made.rows
    assert (walked.gva, walked.guest.to, walked.host, walked.status) == (
        0x40_0000, 0x60_0000, None, "changed")
    assert (mapped.gva, mapped.host.to, mapped.host.flags, mapped.status) == (
        None, 0x80_0000, "R W", "new")


def test_nested_paging_tells_why_less_is_allowed(tmp_path: Path) -> None:
    """A ROM's slot forbids writing, another executing; what no slot forbids is told as well. The
    same of records and of what is left in memory, in AMD's entries."""
    writer, ram = TraceWriter(tmp_path / "trace.bin"), Ram(tmp_path / "memory.bin")
    writer.emit("vm_create", vm=1, ns=0, args="regions", root=0x1000)
    for at in (0x1000, 0x2000, 0x3000):
        ram.put(at, at + 0x1007)
    slots = {0: (5, 1 | 4), 1: (4, 4), 2: (1, 1), 3: (5, 4)}        # what slot and mapping allow
    for page, (slot, access) in slots.items():
        writer.emit("vm_slot", vm=1, gpa=page * PAGE, size=PAGE, hpa=page << 20, access=slot)
        writer.emit("map", vm=1, ns=5, gpa=page * PAGE, hpa=page << 20, size=PAGE, access=access)
        ram.put(0x4000 + 8 * page, page << 20 | 5 | (access & 1) << 1 | (not access & 4) << 63)
    ram.memory()
    trace = load(str(writer.save()))
    for memory in (None, ram.path):
        notes = [row.note for row in tables.picture(trace, memory, 1, None).rows]
        assert [note.replace("the host's mapping is new", "").lstrip("; ") for note in notes] == [
            "", "not W: its slot is read-only", "not X: its slot is not to be executed",
            "not W, though its slot allows it"]


def large_page(path: Path) -> TraceWriter:
    """The guest's 2M page at gPA 6M; the host has 4K of it, and once a is reached two more."""
    writer = TraceWriter(path)
    writer.emit("vm_create", vm=1, ns=0, args="walker", root=0x1000)
    writer.emit("vm_slot", vm=1, gpa=0, size=16 * MIB, hpa=0, access=5)
    writer.emit("map", vm=1, ns=5, gpa=0x60_0000, hpa=0x90_0000, size=PAGE, access=5)
    nested_walk(writer, vm=1, gva=0x4020_0000, ns=10, guest_leaf=2)
    writer.emit("checkpoint", vm=1, ns=20, name="a")
    for gpa, hpa in ((0x60_1000, 0x90_5000), (0x70_0000, 0x90_7000)):
        writer.emit("map", vm=1, ns=30, gpa=gpa, hpa=hpa, size=PAGE, access=5)
    return writer


def brief(made: tables.Picture) -> List:
    return [(row.gva, row.count, row.guest.to, row.host and row.host.to, row.status)
            for row in tables_rows.join(made.rows)]


def test_a_large_page_is_shown_as_the_host_has_it(tmp_path: Path) -> None:
    """In pieces: what is mapped of it, each where it lies, and what is not."""
    trace = load(str(large_page(tmp_path / "trace.bin").save()))
    at, to = 0x4020_0000, 0x60_0000
    first = tables.picture(trace, None, 1, "a")
    assert brief(first) == [(at, 1, to, 0x90_0000, "new"),
                            (at + PAGE, 511, to + PAGE, None, "new")]
    assert "would exit" in first.rows[1].note
    assert brief(tables.picture(trace, None, 1, None)) == [
        (at, 1, to, 0x90_0000, ""), (at + PAGE, 1, to + PAGE, 0x90_5000, "changed"),
        (at + 2 * PAGE, 254, to + 2 * PAGE, None, ""),
        (at + 256 * PAGE, 1, to + 256 * PAGE, 0x90_7000, "changed"),
        (at + 257 * PAGE, 255, to + 257 * PAGE, None, "")]


def test_a_large_page_in_the_memory_that_is_left(tmp_path: Path) -> None:
    """The same of memory.bin, and pages that the host holds in one piece, or not at all."""
    writer = large_page(tmp_path / "trace.bin")
    ram = Ram(tmp_path / "memory.bin")
    for at in (0x1000, 0x2000):                             # the host's: 0x1000 to 0x4000
        ram.put(at, at + 0x1007)
    ram.put(0x3000 + 8 * 3, 0x4007)
    ram.put(0x3000 + 8 * 5, 0xE0_0087)                      # 2M at gPA 10M
    for index, hpa in ((0, 0x90_0000), (1, 0x90_5000), (256, 0x90_7000)):
        ram.put(0x4000 + 8 * index, hpa | 7)
    ram.put(0x6000, 0x7003)                                 # the guest's: 0x6000, 0x7000, 0x8000
    ram.put(0x7000 + 8 * 1, 0x8003)
    for index, gpa in ((1, 0x60_0000), (2, 0x80_0000), (3, 0xA0_0000)):
        ram.put(0x8000 + 8 * index, gpa | 0x87)
    ram.put(0x8000 + 8 * 4, 0x9003)
    ram.put(0x9000, 0xA0_3003)                              # 4K in the middle of that 2M
    ram.memory()
    writer.emit("walk_begin", vm=1, ns=40, gva=0x5555_0000, groot=0x6000, mode="LONG4",
                kind="NESTED")
    made = tables.picture(load(str(writer.save())), ram.path, 1, None)
    at, to = 0x4020_0000, 0x60_0000
    assert brief(made) == [
        (at, 1, to, 0x90_0000, ""), (at + PAGE, 1, to + PAGE, 0x90_5000, "new"),
        (at + 2 * PAGE, 254, to + 2 * PAGE, None, ""),
        (at + 256 * PAGE, 1, to + 256 * PAGE, 0x90_7000, "new"),
        (at + 257 * PAGE, 255, to + 257 * PAGE, None, ""),
        (0x4040_0000, 1, 0x80_0000, None, ""), (0x4060_0000, 1, 0xA0_0000, 0xE0_0000, "new"),
        (0x4080_0000, 1, 0xA0_3000, 0xE0_3000, "new")]
    assert [row.size for row in tables_rows.join(made.rows)] == [PAGE] * 5 + [2 * MIB] * 2 + [PAGE]


# --- Tables in memory ----------------------------------------------------------------------------

class Ram:
    """A small memory with tables in it."""

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, bytearray(0x20000)

    def put(self, at: int, value: int, width: int = 8) -> None:
        self.data[at:at + width] = struct.pack("<Q", value)[:width]

    def memory(self) -> tables_ram.Memory:
        self.path.write_bytes(self.data)
        return tables_ram.Memory(self.path)


def long4(ram: Ram) -> None:
    ram.put(0x1000, 0x2003)
    ram.put(0x1000 + 8 * 511, 0x2003)
    ram.put(0x2000 + 8 * 2, 0x3003)
    ram.put(0x2000 + 8 * 3, 0xC000_0083)        # 1G
    ram.put(0x3000 + 8 * 5, 0x60_0083)          # 2M
    ram.put(0x3000 + 8 * 6, 0x4003)
    ram.put(0x4000 + 8 * 7, 0x7000 | 1 << 63 | 3)


def pae(ram: Ram) -> None:
    ram.put(0x1020 + 8 * 1, 0x2001)
    ram.put(0x1020 + 8 * 9, 0x2001)             # behind the four
    ram.put(0x2000 + 8 * 1, 0x3003)
    ram.put(0x3000 + 8 * 2, 0x9003)


def legacy(ram: Ram) -> None:
    ram.put(0x1000 + 4 * 1, 0x2003, 4)
    ram.put(0x1000 + 4 * 2, 0x40_0083, 4)       # 4M
    ram.put(0x2000 + 4 * 3, 0x8003, 4)


def ept(ram: Ram) -> None:
    ram.put(0x1000, 0x2007)
    ram.put(0x2000, 0x3007)
    ram.put(0x3000, 0x4004)                     # execute only is present, too
    ram.put(0x4000 + 8 * 1, 0x5034 | 2)


@pytest.mark.parametrize("make, root, form, expected", [
    (long4, 0x1000, tables_ram.LONG4, [
        (2 << 30 | 5 << 21, 2 * MIB, 0x60_0000), (2 << 30 | 6 << 21 | 7 << 12, PAGE, 0x7000),
        (3 << 30, 1 << 30, 0xC000_0000),
        (0xFFFF_FF80_0000_0000 | 2 << 30 | 5 << 21, 2 * MIB, 0x60_0000),
        (0xFFFF_FF80_0000_0000 | 2 << 30 | 6 << 21 | 7 << 12, PAGE, 0x7000),
        (0xFFFF_FF80_0000_0000 | 3 << 30, 1 << 30, 0xC000_0000)]),
    (pae, 0x1020, tables_ram.PAE, [(1 << 30 | 1 << 21 | 2 << 12, PAGE, 0x9000)]),
    (pae, 0x1038, tables_ram.PAE, [(1 << 30 | 1 << 21 | 2 << 12, PAGE, 0x9000)]),   # PWT, PCD
    (legacy, 0x1000, tables_ram.LEGACY32, [(1 << 22 | 3 << 12, PAGE, 0x8000),
                                           (2 << 22, 4 * MIB, 0x40_0000)]),
    (ept, 0x1000, tables_ram.EPT, [(1 << 12, PAGE, 0x5000)])])
def test_tables_are_read_out_of_memory(tmp_path: Path, make: Callable[[Ram], None], root: int,
                                       form: tables_ram.Format, expected: List) -> None:
    ram = Ram(tmp_path / "memory.bin")
    make(ram)
    memory = ram.memory()
    found = list(tables_ram.leaves(memory, root, form))
    assert [(leaf.address, leaf.size, leaf.target) for leaf in found] == expected
    for leaf in found:
        own = tables_ram.entry_at(memory, root, form, lambda at: at, leaf.address + 5)
        assert own == (leaf.entry, leaf.size)
    assert tables_ram.entry_at(memory, root, form, lambda at: at, 0x5555_0000_0000 >> 12) is None


def test_hostile_tables_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 entries each lead to the same next table, and the last one maps nothing, or a page."""
    monkeypatch.setattr(tables_ram, "TABLES", 600)
    ram = Ram(tmp_path / "memory.bin")
    for table in (0x1000, 0x2000, 0x3000):
        for index in range(512):
            ram.put(table + 8 * index, table + 0x1003)
    memory, read = ram.memory(), []
    real, memory.table = memory.table, lambda at: read.append(at) or real(at)
    assert not list(tables_ram.leaves(memory, 0x1000, tables_ram.LONG4)) and memory.cut
    assert len(read) == 600
    ram.put(0x4000, 0x5003)
    again = ram.memory()
    assert len(list(tables_ram.leaves(again, 0x1000, tables_ram.LONG4))) == 600 - 4
    assert again.cut
    monkeypatch.setattr(tables_ram, "MOST", 9)
    few = ram.memory()
    assert len(list(tables_ram.leaves(few, 0x4000, tables_ram.LONG4))) == 0 and not few.cut
    assert len(list(tables_ram.leaves(few, 0x1000, tables_ram.LONG4))) == 9 and few.cut


def test_what_is_left_out_of_hostile_tables_is_said(tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    ram = Ram(tmp_path / "memory.bin")
    writer = large_page(tmp_path / "trace.bin")
    writer.emit("walk_begin", vm=1, ns=40, gva=0, groot=0x6000, mode="LONG4", kind="NESTED")
    trace = load(str(writer.save()))
    for index in range(3):
        ram.put(0x6000 + 8 * index, 0x6003)     # the guest's root maps itself
    ram.memory()
    whole = tables.picture(trace, ram.path, 1, None)
    assert len(whole.rows) == 81 and not any("not all" in note for note in whole.notes)
    for module in (tables, tables_nested):
        monkeypatch.setattr(module, "MOST", 50)
    made = tables.picture(trace, ram.path, 1, None)
    assert len(made.rows) == 51 and any("not all" in note for note in made.notes)
    monkeypatch.setattr(tables, "MOST", 1 << 18)
    monkeypatch.setattr(tables_ram, "TABLES", 20)
    made = tables.picture(trace, ram.path, 1, None)
    assert len(made.rows) < 50 and any("not all" in note for note in made.notes)


def test_at_the_end_of_a_vm_that_lives_memory_counts(tmp_path: Path) -> None:
    """The record says page 0 leads to gPA 0; memory says that the entry is gone, and page 1."""
    ram = Ram(tmp_path / "memory.bin")
    story = Story(tmp_path / "trace.bin")
    for level, at in ((4, 0x8000), (3, 0x9000), (2, 0xA000), (1, 0xB000)):
        story.page(TABLES[level], level, at)
        ram.put(at + 8 * (GVA >> 3 + 9 * level & 511) + 8 * (level == 1),
                SLOT + 0x5000 | 0x21 if level == 1 else at + 0x1000 | 0x27)
    story.w.emit("shadow_root", vm=1, ns=50, groot=0x1000, root=0x8000, mode="LONG4")
    story.fill(0, 0, ns=60, leaf=0xB000)
    story.stop("a", 70)
    trace = story.trace()
    ram.memory()
    made = tables.picture(trace, ram.path, 1, None)
    assert [(row.gva - GVA >> 12, row.shadow.to) for row in made.rows] == [(1, SLOT + 0x5000)]
    assert made.rows[0].guest is None and "no entry any more" in made.rows[0].note
    assert made.provenance.startswith("computed: ") and "memory.bin" in made.provenance
    story.w.emit("vm_end", vm=1, ns=80).emit("vm_destroy", vm=1, ns=81)
    again = tables.picture(story.trace(), ram.path, 1, None)
    assert again.provenance.startswith("observed: ")
