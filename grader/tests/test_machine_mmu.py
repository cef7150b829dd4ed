"""Guests that torture their own page tables, under every mmu= and on every platform.

pager holds what comes of each operation against a model of its own (guests/README.md); it
is sealed, and here it is asked that all of it was done. The tables that the processor used
are read from the RAM file at seeded stops, in the middle of a run too, and held against the
composition gVA -> gPA -> hPA (grader/oracle/mmu). `make check` does 100,000 operations in
all, `make torture` 2,000,000 over 50 seeds on each platform, two thirds of them on a shadow.
"""
from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from grader.oracle import isolation
from grader.oracle.mmu import judge
from grader.tests import debugger
from grader.tests.patched import Patched
from viz.trace import Trace

pytestmark = pytest.mark.machine

MMUS = ("nested", "shadow")
FORMATS = ("pager", "pager-pae", "pager32")
CHECK = (2, {"nested": 12_000, "shadow": 4_800})    # seeds, operations of each of three guests
TORTURE = (50, {"nested": 4_400, "shadow": 9_000})      # 2,010,000 in all
OPTION = "trace=memory mmu={} slice=5ms tracebuf=190M"
# The mix: each kind is at least so many per mille of all operations (half of its weight).
KINDS = {"access": 150, "map": 100, "unmap": 20, "remap": 25, "protect": 30, "age": 25,
         "switch": 20, "fork": 5, "cow": 20, "large": 15, "split": 10, "self": 5, "share": 10,
         "raw": 20, "mode": 10, "flush": 10, "stale": 15, "fresh": 5, "data": 15, "pair": 10}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        seeds = (TORTURE if metafunc.config.getoption("--torture") else CHECK)[0]
        metafunc.parametrize("seed", range(1, seeds + 1))
    if "mmu" in metafunc.fixturenames:
        metafunc.parametrize("mmu", MMUS)


def told(trace: Trace, vm: int) -> Dict[str, int]:
    """The last value of each checkpoint of a VM."""
    points = trace.select("checkpoint")
    return {points.text(i): int(points["value"][i]) for i in np.nonzero(points.vm == vm)[0]}


def check_mix(trace: Trace, vm: int, ops: int) -> None:
    """All was done, in the proportions that are stated, and enough of it came to something."""
    done = told(trace, vm)
    assert sum(done[kind] for kind in KINDS) == ops == done["stop"] - 1
    few = {kind: done[kind] for kind, least in KINDS.items() if done[kind] < ops * least / 1000}
    assert not few, f"VM {vm}: {few}"
    assert done["ok"] > 0.12 * ops and done["faults"] > 0.12 * ops
    assert done["leftout"] < 0.15 * ops and done["old/new"] > 0.008 * ops


def check_seals(trace: Trace, vm: int, ops: int, stops: int = 1000) -> None:
    checks = trace.select("check")
    mine = checks.where(checks.vm == vm)
    assert len(mine) == 2 + ops // stops        # the library's own, one a stop, one at the end
    assert np.array_equal(mine["value"], mine["expected"]) and mine["sealed"].all()


def test_tortured_tables(machine: Any, torture: bool, mmu: str, seed: int) -> None:
    ops = (TORTURE if torture else CHECK)[1][mmu]
    run = machine([f"{name} -- ops={ops}" for name in FORMATS], OPTION.format(mmu), time="900s",
                  seed=seed, ok=False, timeout=3600)
    said = [line for line in run.console.splitlines() if "pager: " in line]
    for vm in run.json["vms"]:
        assert (vm["how"], vm["code"], vm["checks_failed"]) == ("EXITED", 0, 0), said
    for vm in (1, 2, 3):
        check_seals(run.trace, vm, ops)
        check_mix(run.trace, vm, ops)
    assert run.trace.dropped == 0 or torture
    uses = {"nested": "nested_fault", "shadow": "shadow_fill"}[mmu]
    assert len(run.trace.select(uses)) > 1000
    shadowed = set(run.trace.select("shadow_root").vm.tolist())
    assert shadowed == ({1, 2, 3} if mmu == "shadow" else set())


def test_a_small_pool_is_recycled(machine: Any, torture: bool) -> None:
    """As few shadow pages as may be, and one more path: all of them are used over and over."""
    ops = 10_000 if torture else 700
    run = machine([f"{name} shadowpages={pages} -- ops={ops}"
                   for name, pages in zip(FORMATS, (32, 36, 32))],
                  OPTION.format("shadow"), time="900s", seed=8, ok=False, timeout=3600)
    assert [(vm["how"], vm["code"]) for vm in run.json["vms"]] == [("EXITED", 0)] * 3
    zaps = run.trace.select("shadow_zap")
    recycled = np.array(zaps.word("why")) == "RECYCLE"
    assert all(np.count_nonzero(recycled & (zaps.vm == vm)) > 100 for vm in (1, 2, 3))


# --- The tables themselves, at a stop ---------------------------------------------------------

def held(machine: Any, mmu: str, seed: int) -> Any:
    """Three VMs that stop after a seeded number of operations, all flushed, until the end.

    The second has nested tables whatever the others have: mmu= is each VM's own.
    """
    rng = np.random.default_rng(seed)
    guests = [f"{name} {'mmu=nested' if vm == 2 else ''} -- hold=1 ops={rng.integers(300, 1800)}"
              for vm, name in enumerate(FORMATS, 1)]
    run = machine(guests, f"trace=memory,sched mmu={mmu} slice=3ms", time="3s", seed=seed)
    assert all(told(run.trace, vm).get("root") for vm in (1, 2, 3)), "the time is too short"
    return run


def test_the_tables_at_a_stop(machine: Any, mmu: str, seed: int) -> None:
    run = held(machine, mmu, seed)
    assert run.trace.dropped == 0
    assert judge.check(run.trace, run.memory) == []
    verdicts = judge.judge(run.trace, run.memory)
    assert [each.kind for each in verdicts] == [mmu, "nested", mmu]
    assert all(each.pages > 15 for each in verdicts)
    assert isolation.check(run.trace, run.memory) == []
    if mmu == "shadow":
        guest_root = judge.roots(run.trace)
        assert guest_root[1].groot == told(run.trace, 1)["root"]
        assert {vm: guest_root[vm].mode for vm in (1, 3)} == {1: "LONG4", 3: "LEGACY32"}


def wrong_entries(run: Any, vm: int) -> List[Tuple[str, int, int]]:
    """For one VM: (what is wrong, where, the entry), of a page that it may only read."""
    memory = run.memory
    guest = next(each for each in isolation.guests(run.trace) if each.vm == vm)
    other = next(each for each in isolation.guests(run.trace) if each.vm != vm)
    pages = judge.reached(run.trace, memory, guest, judge.roots(run.trace).get(vm)).pages
    page = next(each for each in pages if each.size == 0x1000)
    entry = memory.read_u64(page.where)
    frame = 0x000FFFFFFFFFF000
    wrong = [("another VM's frame", page.where, entry & ~frame | other.slots[0].hpa),
             ("another frame", page.where, entry ^ 0x1000),
             ("outside", page.where, entry & ~frame | (memory.size - 0x1000)),
             ("a table", page.where, entry & ~frame | guest.root)]
    readable = [each for each in pages if not each.write and each.size == 0x1000]
    if vm in judge.roots(run.trace) and readable:
        word = memory.read_u64(readable[0].where)
        wrong.append(("a right too many", readable[0].where, word | 2))
    return wrong


def test_tables_made_wrong_are_told(machine: Any, mmu: str) -> None:
    """Each wrong entry alone, in what a run left."""
    run = held(machine, mmu, 1)
    told_wrong = 0
    for vm in (1, 2, 3):
        for what, where, entry in wrong_entries(run, vm):
            found = judge.check(run.trace, Patched(run.memory, where, entry))
            assert any(text.startswith(f"VM {vm}") for text in found), (vm, what, found)
            told_wrong += 1
    assert told_wrong >= (14 if mmu == "shadow" else 12)


def test_stops_in_the_middle_of_a_run(mmu: str, torture: bool, tmp_path: Any) -> None:
    """The machine is stopped by a breakpoint where a guest reaches a checkpoint (QEMU only):
    all is flushed there, the tables are as they should be. Breakpoints make QEMU slow."""
    for number, name in enumerate(FORMATS if torture else FORMATS[:1]):
        out = tmp_path / name
        stops = 2 + number          # begin, then a stop each 60 operations
        session = debugger.debug(out, [f"{name} -- ops=1000 stops=60"],
                                 ["break testport_checkpoint"] + ["continue"] * stops,
                                 f"trace=memory,sched mmu={mmu}", time="20s")
        (verdict,) = judge.judge(session.trace, session.memory)
        assert (verdict.kind, verdict.wrong) == (mmu, []) and verdict.pages > 1000
