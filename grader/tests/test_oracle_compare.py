"""A traced walk held against the RAM file: a right one passes, each kind of lie is named."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, List

import pytest

from grader.oracle import compare as judge
from grader.oracle import walk as oracle
from grader.oracle.memory import Memory
from grader.tests.tables import A, D, Machine, P, Tables, U, W
from viz.tests.synth import TraceWriter
from viz.trace import load
from viz.walk_data import Walk, Walks

GVA = 0x7F12_3456_7ABC


def emit(writer: TraceWriter, machine: Machine, result: oracle.Result, gva: int = GVA,
         access: int = 0, **begin: Any) -> None:
    """Write `result` as an honest VMM would."""
    fields = {"mode": "LONG4", "kind": "NESTED", "cause": "REQUEST", **begin}
    writer.emit("walk_begin", vm=1, gva=gva, access=access, groot=machine.guest.root,
                nroot=machine.nested.root, **fields)
    for ref in result.refs:
        writer.emit("walk_ref", vm=1, n=ref.n, dim=ref.dim, level=ref.level, table=ref.table,
                    index=ref.index, before=ref.entry, after=ref.entry, size=ref.size,
                    serves=ref.serves, addr=ref.addr)
    writer.emit("walk_end", vm=1, gpa=result.gpa or 0, hpa=result.hpa or 0,
                gpa_refs=result.gpa_refs, refs=len(result.refs), fault=result.fault,
                dim=result.dim, level=result.level, error=result.error)


@pytest.fixture
def machine() -> Machine:
    built = Machine()
    built.guest.map(GVA & ~0xFFF, 0x2A000)
    return built


def traced(machine: Machine, path: Path, **kept: Any) -> Walk:
    memory = Memory(machine.ram.save(path / "memory.bin"))
    writer = TraceWriter(path / "trace.bin")
    result = oracle.walk(memory, GVA, kept.get("access", 0), "LONG4", machine.guest.root,
                         machine.nested.root)
    emit(writer, machine, result, **kept)
    return Walks(load(writer.save()))[0]


def differences(walk: Walk, machine: Machine, path: Path) -> List[str]:
    return judge.compare(walk, Memory(machine.ram.save(path / "memory.bin")))


def test_an_honest_walk_passes(machine: Machine, tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    assert len(walk.refs) == 24
    assert differences(walk, machine, tmp_path) == []


@pytest.mark.parametrize("n", range(24))
@pytest.mark.parametrize("name, bit", [("table", 1 << 12), ("index", 1), ("before", 1 << 20),
                                       ("after", 2), ("serves", 1), ("level", 1), ("addr", 1 << 12),
                                       ("size", 1 << 21), ("n", 32)])
def test_any_wrong_field_is_named(n: int, name: str, bit: int, machine: Machine,
                                  tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    walk.refs[n] = replace(walk.refs[n], **{name: getattr(walk.refs[n], name) ^ bit})
    first, *_ = differences(walk, machine, tmp_path)
    assert first.startswith(f"reference {n + 1} (")


@pytest.mark.parametrize("name, value, words", [
    ("gpa", 0x2B000, "the gPA is"), ("hpa", 1, "the hPA is"), ("gpa_refs", 24, "until the gPA"),
    ("total", 23, "the end counts 23"), ("fault", "WRITE", "should be NONE")])
def test_a_wrong_end_is_named(name: str, value: Any, words: str, machine: Machine,
                              tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    setattr(walk, name, value)
    assert words in " ".join(differences(walk, machine, tmp_path))


def test_missing_and_swapped_references(machine: Machine, tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    short = replace(walk, refs=walk.refs[:-1], total=23)
    assert any("23 references were traced" in words
               for words in differences(short, machine, tmp_path))
    refs = list(walk.refs)
    refs[4], refs[5] = refs[5], refs[4]
    assert differences(replace(walk, refs=refs), machine, tmp_path)


def test_accessed_and_dirty_may_be_set_later_and_nothing_else(machine: Machine,
                                                              tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    leaf = walk.refs[19].table + 8 * walk.refs[19].index
    machine.ram.put(leaf, machine.ram.get(leaf) | A | D)
    assert differences(walk, machine, tmp_path) == []
    walk = traced(machine, tmp_path)
    machine.ram.put(leaf, machine.ram.get(leaf) & ~(A | D))      # by the guest itself
    assert differences(walk, machine, tmp_path) == []
    machine.ram.put(leaf, machine.ram.get(leaf) & ~W)
    assert any("memory holds" in words for words in differences(walk, machine, tmp_path))


def test_a_bit_that_the_walk_claims_to_have_set_must_be_there(machine: Machine,
                                                              tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    walk.refs[0] = replace(walk.refs[0], after=walk.refs[0].after | A)
    assert any("memory holds" in words for words in differences(walk, machine, tmp_path))


def test_every_table_entry_matters(machine: Machine, tmp_path: Path) -> None:
    """Corrupt one entry on the way after the other: each is noticed."""
    walk = traced(machine, tmp_path)
    for ref in walk.refs:
        where = ref.table + 8 * ref.index
        good = machine.ram.get(where)
        machine.ram.put(where, good ^ 0x1000)
        assert differences(walk, machine, tmp_path), f"reference {ref.n}"
        machine.ram.put(where, good)


def test_a_fault_may_name_any_level_that_denies(tmp_path: Path) -> None:
    machine = Machine()
    machine.guest.map(GVA & ~0xFFF, 0x2A000, flags=P | U, upper={3: P | U})
    walk = traced(machine, tmp_path, access=1)
    assert (walk.fault, walk.fault_level) == ("WRITE", 3)
    for level, right in ((3, True), (1, True), (2, False), (4, False)):
        found = differences(replace(walk, fault_level=level), machine, tmp_path)
        assert (found == []) == right, level
    assert differences(replace(walk, error=walk.error ^ 4), machine, tmp_path)
    assert differences(replace(walk, fault_dim="NESTED"), machine, tmp_path)


# --- On a shadow ----------------------------------------------------------------------

class Shadowed:
    """A guest whose tables lie in a slot, with a shadow of them; its honest walk."""

    def __init__(self, path: Path, **kept: Any) -> None:
        self.machine, self.path = Machine(), path
        self.machine.guest.map(GVA & ~0xFFF, 0x2A000)
        self.shadow = Tables(self.machine.ram, self.machine.ram.frame)
        self.shadow.map(GVA & ~0xFFF, self.machine.slot + 0x2A000)
        self.places = [(0, 64 * 4096, self.machine.slot)]
        with Memory(self.machine.ram.save(path / "ram")) as memory:
            own = oracle.walk(memory, GVA, 0, "LONG4", self.shadow.root, None)
            guests = oracle.walk(memory, GVA, 0, "LONG4", self.machine.guest.root,
                                 self.machine.nested.root)
        refs = [ref for ref in guests.refs if ref.dim == "GUEST"]
        refs = [replace(ref, serves=0) for ref in refs]
        refs += [replace(ref, dim="SHADOW") for ref in own.refs]
        own.refs = [replace(ref, n=n) for n, ref in enumerate(refs, start=1)]
        own.gpa, own.gpa_refs = 0x2AABC, 4
        writer = TraceWriter(path / "trace.bin")
        emit(writer, self.machine, own, kind="SHADOW", **kept)
        self.walk = replace(Walks(load(writer.save()))[0], nroot=self.shadow.root)

    def differences(self, walk: Walk, places: Any = None) -> List[str]:
        with Memory(self.machine.ram.save(self.path / "ram")) as memory:
            return judge.compare(walk, memory, self.places if places is None else places)


def test_an_honest_walk_of_guest_and_shadow_passes(tmp_path: Path) -> None:
    case = Shadowed(tmp_path)
    assert [ref.dim for ref in case.walk.refs] == ["GUEST"] * 4 + ["SHADOW"] * 4
    assert case.differences(case.walk) == []


@pytest.mark.parametrize("n", range(8))
@pytest.mark.parametrize("name, bit", [("table", 1 << 12), ("index", 1), ("after", 2), ("level", 1)])
def test_each_reference_of_both_is_compared(n: int, name: str, bit: int, tmp_path: Path) -> None:
    case = Shadowed(tmp_path)
    value = getattr(case.walk.refs[n], name) ^ bit
    case.walk.refs[n] = replace(case.walk.refs[n], **{name: value})
    assert case.differences(case.walk)[0].startswith(f"reference {n + 1} (")


def test_a_shadow_that_its_guest_fills_itself_has_no_tables_beside_it(tmp_path: Path) -> None:
    case = Shadowed(tmp_path)
    refs = [replace(ref, n=ref.n - 4) for ref in case.walk.refs[4:]]
    software = replace(case.walk, refs=refs, total=4, gpa_refs=0)
    assert case.differences(software, ()) == []
    assert case.differences(software)               # a guest with tables has to be walked
    assert case.differences(case.walk, ())
    with pytest.raises(judge.NotCovered, match="segment"):
        case.differences(replace(software, gva=0x1000), ())


@pytest.mark.parametrize("event, fields, old", [
    ("shadow_fill", "where", True), ("shadow_page", "shadow", True), ("shadow_zap", "table", True),
    ("shadow_sync", "table", True), ("shadow_unsync", "table", True), ("shadow_write", "gpa", True),
    ("shadow_fill", "", False), ("shadow_zap", "", False), ("shadow_write", "", False)])
def test_a_shadow_that_was_changed_afterwards_accuses_nobody(event: str, fields: str, old: bool,
                                                             tmp_path: Path) -> None:
    case = Shadowed(tmp_path)
    leaf = case.walk.refs[-1]
    place = {"where": leaf.table + 8 * leaf.index, "shadow": leaf.table, "table": 0x5000,
             "gpa": 0x5018}
    writer = TraceWriter(tmp_path / "trace.bin")
    writer.emit("shadow_page", vm=1, table=0x5000, shadow=leaf.table, level=1)
    for _ in range(case.walk.record):
        writer.emit("halt", vm=1)
    names = ("where",) if event == "shadow_fill" else ("gpa",) if event == "shadow_write" else \
        ("table",)
    writer.emit(event, vm=1, **({fields: place[fields]} if fields else dict.fromkeys(names, 0x9000)))
    found = judge.stale(load(writer.save()), [case.walk])
    assert found == ({1: "its shadow was changed afterwards"} if old else {})


def test_what_cannot_be_judged_is_said(machine: Machine, tmp_path: Path) -> None:
    walk = traced(machine, tmp_path)
    with pytest.raises(judge.NotCovered, match="segment"):
        differences(replace(walk, kind="SEGMENT"), machine, tmp_path)
    cut = replace(walk, complete=False)
    assert differences(cut, machine, tmp_path) == ["the trace does not hold the end of this walk"]


@pytest.mark.parametrize("event, fields, word", [
    ("vm_destroy", {}, "destroyed"), ("vm_create", {}, "anew"),
    ("unmap", {"gpa": 0x2A000, "size": 4096}, "changed"), ("unmap", {"gpa": 0x3A000, "size": 4096}, ""),
    ("map", {"gpa": 0, "size": 1 << 30}, "changed")])
def test_stale_walks(event: str, fields: dict, word: str, machine: Machine,
                     tmp_path: Path) -> None:
    memory = Memory(machine.ram.save(tmp_path / "memory.bin"))
    writer = TraceWriter(tmp_path / "trace.bin")
    writer.emit(event, vm=1, **fields)
    emit(writer, machine, oracle.walk(memory, GVA, 0, "LONG4", machine.guest.root,
                                      machine.nested.root))
    writer.emit(event, vm=2, **fields)
    trace = load(writer.save())
    assert judge.stale(trace, list(Walks(trace))) == {}
    writer.emit(event, vm=1, **fields)
    trace = load(writer.save())
    reasons = judge.stale(trace, list(Walks(trace)))
    assert (word in reasons.get(1, "?")) if word else reasons == {}


# --- Walks made on a fault ------------------------------------------------------------

def on_fault(machine: Machine, path: Path, page: int = 0x2A000, **end: Any) -> Walk:
    """The walk that met no mapping of gPA `page`; mended since, and the guest's tables changed."""
    with Memory(machine.ram.save(path / "memory.bin")) as memory:
        leaf = oracle.walk_nested(memory, page, machine.nested.root).refs[-1]
    machine.ram.put(leaf.address, 0)
    walk = traced(machine, path, cause="FAULT", access=1, **end)
    machine.ram.put(leaf.address, leaf.entry)
    machine.guest.map(GVA & ~0xFFF, 0x2B000)
    return walk


@pytest.mark.parametrize("page, refs", [(0x2A000, 24), (0x1000, 4)])
def test_a_walk_on_a_fault_is_judged_by_what_was_there_then(page: int, refs: int, machine: Machine,
                                                            tmp_path: Path) -> None:
    walk = on_fault(machine, tmp_path, page)
    assert (walk.fault, walk.fault_dim, len(walk.refs)) == ("NOT_PRESENT", "NESTED", refs)
    assert differences(walk, machine, tmp_path) == []
    assert differences(replace(walk, cause="REQUEST"), machine, tmp_path)


@pytest.mark.parametrize("n, name, bit, words", [
    (0, "before", 1 << 20, "reference 1 (nested level 4): "),    # nested entries stay
    (17, "table", 1 << 12, "reference 18 ("), (4, "before", 1 << 12, "reference 6 ("),
    (23, "before", P, "reference 24 ("), (23, "addr", 1 << 12, "reference 24 ("),
    (23, "level", 3, "reference 24 (")])
def test_a_lie_about_a_fault_is_named(n: int, name: str, bit: int, words: str, machine: Machine,
                                      tmp_path: Path) -> None:
    walk = on_fault(machine, tmp_path)
    walk.refs[n] = replace(walk.refs[n], **{name: getattr(walk.refs[n], name) ^ bit})
    if name == "before":
        walk.refs[n] = replace(walk.refs[n], after=walk.refs[n].before)
    first, *_ = differences(walk, machine, tmp_path)
    assert first.startswith(words)


@pytest.mark.parametrize("name, value", [("fault", "NONE"), ("fault", "WRITE"), ("fault_level", 2),
                                         ("fault_dim", "GUEST"), ("error", 1 << 32 | 4),
                                         ("error", 1 << 33 | 6), ("gpa_refs", 19)])
def test_a_lie_about_its_end_is_named(name: str, value: Any, machine: Machine,
                                      tmp_path: Path) -> None:
    walk = on_fault(machine, tmp_path)
    assert walk.error == 1 << 32 | 6
    setattr(walk, name, value)
    assert differences(walk, machine, tmp_path)


@pytest.mark.parametrize("gpa, word", [(0x2A000, ""), (0x3A000, ""), (0x1000, "changed")])
def test_the_mapping_that_mends_a_fault_makes_no_walk_stale(gpa: int, word: str, machine: Machine,
                                                            tmp_path: Path) -> None:
    on_fault(machine, tmp_path)
    walks = list(Walks(load(str(tmp_path / "trace.bin"))))
    writer = TraceWriter(tmp_path / "later.bin")
    for _ in range(walks[0].record + 1):
        writer.emit("note", text="before")
    writer.emit("map", vm=1, gpa=gpa, size=4096, hpa=0)
    reasons = judge.stale(load(writer.save()), walks)
    assert (word in reasons.get(1, "?")) if word else reasons == {}
