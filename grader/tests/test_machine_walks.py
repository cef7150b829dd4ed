"""Page walks of real guests, in every paging mode, held against the machine's RAM.

The VMs still run when the time is up, so the RAM file holds the tables that were
walked. Rules: as many references as the page sizes demand, gPA and hPA known after as
many as the handout says; every walk is the one that the oracle makes of the RAM file;
and the oracle says so when a table in a copy of that file is wrong.
"""
from __future__ import annotations

import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import List, Tuple

import pytest

from grader.oracle import __main__ as judge
from grader.oracle import compare
from grader.oracle.memory import Memory
from grader.oracle.then import Then
from grader.tests import kernels
from viz.walk_data import Walk, Walks

pytestmark = pytest.mark.machine

K4, M2, M4, G1 = 1 << 12, 1 << 21, 1 << 22, 1 << 30
# By mode and page size of the guest, all on nested 4K: references until the gPA, and in all.
# PAE's directory pointers are read, or held by the processor.
LENGTHS = {("LONG4", K4): (20, 24), ("LONG4", M2): (15, 19), ("LONG4", G1): (10, 14),
           ("PAE", K4): (15, 19), ("PAE", M2): (10, 14),
           ("PAE held", K4): (10, 14), ("PAE held", M2): (5, 9),
           ("LEGACY32", K4): (10, 14), ("LEGACY32", M4): (5, 9)}
CASES = {"long": ("walker -- rounds=0 pages=32 size=4k,2m,1g", "LONG4", {K4, M2, G1}),
         "pae": ("walker-pae -- rounds=0 pages=32 size=4k,2m", "PAE", {K4, M2}),
         "legacy": ("{legacy} mem=8M", "LEGACY32", {K4, M4})}


@pytest.fixture(scope="session")
def legacy(tmp_path_factory) -> Path:
    """A kernel in two-level paging, which none of our guests uses."""
    return kernels.build("legacy32", 0x100000, tmp_path_factory.mktemp("legacy32"))


def walked(machine, legacy: Path, name: str, seed: int = 1):
    """A run with one VM that asks for walks until the time is up, and its walks."""
    guest = CASES[name][0].format(legacy=legacy)
    run = machine((guest, "hello"), "slice=1ms trace=walks,memory", "12ms", seed)
    assert run.json["vms"][0]["how"] == "TIME_UP" and run.trace.dropped == 0
    return run, [walk for walk in Walks(run.trace) if walk.vm == 1]


def page_size(walk: Walk) -> int:
    return next((ref.size for ref in reversed(walk.refs) if ref.dim == "GUEST"), 0)


@pytest.mark.parametrize("name", CASES)
def test_as_many_references_as_the_page_sizes_demand(machine, legacy, name):
    _, mode, sizes = CASES[name]
    walks = [walk for walk in walked(machine, legacy, name)[1] if not walk.faulted]
    assert {page_size(walk) for walk in walks} >= sizes - {M4}
    for walk in walks:
        assert walk.mode == mode and walk.complete
        held = " held" if walk.pointers_held else ""
        assert (walk.gpa_refs, walk.total) == LENGTHS[mode + held, page_size(walk)]
        assert [ref.n for ref in walk.refs] == list(range(1, walk.total + 1))


def test_the_classic_walk_has_24_references_in_the_processors_order(machine, legacy):
    walk = next(walk for walk in walked(machine, legacy, "long")[1]
                if not walk.faulted and page_size(walk) == K4)
    order = [(ref.dim, ref.serves or ref.level if ref.dim == "GUEST" else ref.serves)
             for ref in walk.refs]
    expected: List[Tuple[str, int]] = []
    for level in (4, 3, 2, 1):
        expected += [("NESTED", level)] * 4 + [("GUEST", level)]
    assert order == expected + [("NESTED", 0)] * 4
    assert walk.gpa_refs == 20 and walk.total == 24


@pytest.mark.parametrize("name", CASES)
def test_every_walk_is_the_oracles(machine, legacy, name):
    run, walks = walked(machine, legacy, name)
    old = compare.stale(run.trace, walks)
    judged = [walk for walk in walks if walk.number not in old]
    assert len(judged) > 0.6 * len(walks) > 70
    found = {walk.number: compare.compare(walk, run.memory) for walk in judged}
    assert not {number: words for number, words in found.items() if words}
    ends = Counter(walk.fault for walk in judged)
    assert ends["NONE"] > 20 and ends["WRITE"] > 5 and ends["NOT_PRESENT"] > 5


# --- Walks made on a fault ------------------------------------------------------------

FAULTY = ("walker -- rounds=0 pages=32", "walker-pae -- rounds=0 pages=32", "ticker", "greedy")


def faulty(machine):
    """A run that walks its nested faults, and these walks. All VMs live to its end."""
    run = machine(FAULTY, "slice=1ms trace=walks,memory,exits", "30ms")
    assert {vm["how"] for vm in run.json["vms"]} == {"TIME_UP"} and run.trace.dropped == 0
    return run, [walk for walk in Walks(run.trace) if walk.cause == "FAULT"]


def forgiven(walk: Walk) -> int:
    """Bochs says of a guest's table only that it was written; by Intel's manual it was read
    as well (SDM vol. 3C, table 27-7)."""
    return 1 if walk.format == "EPT" and walk.refs[-1].serves else 0


def test_a_nested_fault_is_walked_and_ends_as_the_processor_said(machine):
    run, walks = faulty(machine)
    faults, exits = run.trace.select("nested_fault"), run.trace.select("exit")
    maps = run.trace.select("map")
    assert len(walks) == len(faults) > 100
    assert {(walk.mode, walk.vm) for walk in walks} >= {("LONG4", 1), ("OFF", 2), ("LONG4", 4)}
    for i, walk in enumerate(walks):
        said = exits.index.searchsorted(walk.record) - 1
        assert int(exits["info1"][said]) == walk.error & ~forgiven(walk)
        assert int(exits["info2"][said]) == walk.refs[-1].addr == int(faults["gpa"][i])
        mended = maps.index.searchsorted(walk.record)
        assert int(maps["gpa"][mended]) == walk.refs[-1].addr & ~(K4 - 1)


def test_every_walk_on_a_fault_is_the_oracles(machine):
    run, walks = faulty(machine)
    old = compare.stale(run.trace, walks)
    assert not old
    found = {walk.number: compare.compare(walk, run.memory) for walk in walks}
    assert not {number: words for number, words in found.items() if words}


# --- On a shadow ----------------------------------------------------------------------

MODES = ("LONG4", "PAE", "LEGACY32")

def shadowed(machine, legacy: Path):
    """A run of guests in every paging mode on shadows, each VM's memory, and the walks that went
    through a shadow which is as it was. (The walkers take A and D from their entries after each:
    a run that ends between two rounds has few.)"""
    for time in ("17ms", "13ms", "19ms"):
        found = until(machine, legacy, time)
        modes = Counter(walk.mode for walk in found[2])
        if min(modes[mode] for mode in MODES) > 5:
            break
    return found


def until(machine, legacy: Path, time: str):
    guests = ("walker mmu=shadow -- rounds=0 pages=8 size=4k,2m,1g",
              "walker-pae mmu=shadow -- rounds=0 pages=8 size=4k,2m", f"{legacy} mem=8M mmu=shadow")
    run = machine(guests, "slice=1ms trace=walks,memory", time)
    assert {vm["how"] for vm in run.json["vms"]} == {"TIME_UP"} and run.trace.dropped == 0
    places = judge.memory_places(run.trace)
    return run, places, [walk for walk in Walks(run.trace)
                         if walk.kind == "SHADOW" and walk.refs[-1].dim == "SHADOW"
                         and not compare.compare(walk, run.memory, places[walk.vm])]


def test_every_walk_on_a_shadow_is_the_oracles(machine, legacy):
    """The guest's tables, then the shadow of them, in long mode's format or PAE's."""
    run, _, through = shadowed(machine, legacy)
    assert judge.main(["walk", str(run.dir)]) == 0
    modes = Counter(walk.mode for walk in through)
    assert min(modes[mode] for mode in MODES) > 5, modes
    old = compare.stale(run.trace, list(Walks(run.trace)))
    own = Counter(walk.fault for walk in Walks(run.trace) if walk.kind == "SHADOW"
                  and walk.refs[-1].dim == "GUEST" and walk.number not in old)
    assert min(own[fault] for fault in ("NOT_PRESENT", "WRITE", "USER")) > 5, own


def test_a_wrong_entry_of_either_is_told(machine, legacy):
    run, places, through = shadowed(machine, legacy)
    for mode in MODES:
        walk = next(each for each in through if each.mode == mode)
        for dim in ("GUEST", "SHADOW"):
            ref = [each for each in walk.refs if each.dim == dim][-1]
            wrong = Then(run.memory, {ref.table + walk.width(ref) * ref.index: ref.after ^ 1 << 12})
            assert any(words.startswith(f"reference {ref.n} (")
                       for words in compare.compare(walk, wrong, places[walk.vm]))


# --- What is told ---------------------------------------------------------------------

def test_no_fault_is_walked_unless_walks_are_asked_for_by_name(machine):
    run = machine(FAULTY, "slice=1ms trace=all", "30ms")
    assert len(run.trace.select("nested_fault")) > 100
    walks = list(Walks(run.trace))
    assert walks and {walk.cause for walk in walks} == {"REQUEST"}


def test_the_guest_was_told_what_the_trace_says(machine, legacy):
    run = machine(("walker -- pages=64 size=4k,2m,1g rounds=2",
                   "walker-pae -- pages=64 size=4k,2m rounds=2"))
    checks = run.trace.select("check")
    names = {checks.text(i) for i in range(len(checks))}
    assert {"walk", "denied", "unmapped", "contents", "dirty"} <= names
    assert all(vm["checks_failed"] == 0 for vm in run.json["vms"])


def damaged(run, tmp_path: Path, address: int, value: int) -> Path:
    """A copy of the run in which one u64 of the machine's memory is another."""
    folder = tmp_path / "damaged"
    folder.mkdir(parents=True)
    shutil.copy(run.dir / "trace.bin", folder)
    subprocess.run(["cp", "--sparse=always", str(run.dir / "memory.bin"), str(folder)], check=True,
                   timeout=300)
    with open(folder / "memory.bin", "r+b") as target:
        target.seek(address)
        target.write(struct.pack("<Q", value))
    return folder


@pytest.mark.parametrize("dim,bit", (("GUEST", 12), ("NESTED", 1), ("NESTED", 13), ("GUEST", 0)))
def test_a_wrong_table_is_told(machine, legacy, tmp_path, dim, bit):
    run, walks = walked(machine, legacy, "long")
    old = compare.stale(run.trace, walks)
    walk = next(each for each in walks
                if not each.faulted and page_size(each) == K4 and each.number not in old)
    assert judge.main(["walk", str(run.dir)]) == 0
    ref = [each for each in walk.refs if each.dim == dim][-1]
    address = ref.table + 8 * ref.index
    folder = damaged(run, tmp_path, address, run.memory.read_u64(address) ^ 1 << bit)
    assert judge.main(["walk", str(folder)]) == 1
    with Memory(folder / "memory.bin") as memory:
        assert any(f"reference {ref.n} " in words or "hPA" in words
                   for words in compare.compare(walk, memory))
