"""A traced walk held against the RAM file: a right one passes, each kind of lie is named."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, List

import pytest

from grader.oracle import compare as judge
from grader.oracle import walk as oracle
from grader.oracle.memory import Memory
from grader.tests.tables import A, D, Machine, P, U, W
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
