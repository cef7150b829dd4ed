"""Memory of all kinds on real machines: what nested tables allow is what the VM was promised.

The guest regions uses read-only, not executable and absent memory and knows what must come
of it; the oracle reads its tables out of the RAM file, in either vendor's format. That the
oracle would find something is tried by making one entry of a copy wrong, each time another.
"""
from __future__ import annotations

import random
from typing import List, Tuple

import pytest

from grader.grading.job import derive
from grader.oracle import isolation, nested, regions
from grader.oracle.paging import EPT, NX, R_EPT, W_EPT, X_EPT, Mode, P, U, W, nested_of
from grader.oracle.seal import mix
from grader.tests.patched import Patched

pytestmark = pytest.mark.machine

SEED = 1
LAYOUTS = [regions.Layout.random(random.Random(derive(SEED, "layout", str(i)))) for i in range(2)]
# No two endings of the same kind of exit; all of them with --torture.
SOME = ("exec-noexec", "table-rom", "stack-rom")


def guest(layout: regions.Layout, more: str) -> str:
    return f"regions {layout.arguments} -- {layout.told} {more}"


def two(machine):
    """Two VMs that stay, each with memory of all kinds."""
    return machine([guest(each, "rounds=6 hold=1") for each in LAYOUTS],
                   "slice=500us trace=memory", "80ms")


def judged(run, memory, vm: int):
    living = {each.vm: each for each in isolation.guests(run.trace) if each.alive}
    form, seed = nested_of(run.json["platform"]), mix(int(run.json["seed"], 16), vm, 0)
    return regions.judge(run.trace, memory, vm, living[vm].root, form, LAYOUTS[vm - 1], seed)


@pytest.mark.everywhere
def test_every_page_is_what_was_promised(machine):
    run = two(machine)
    for vm in (1, 2):
        assert run.json["vms"][vm - 1]["checks_passed"] == 9
        assert run.json["vms"][vm - 1]["checks_failed"] == 0
        assert judged(run, run.memory, vm) == []
    assert isolation.check(run.trace, run.memory) == []


def leaf_of(run, vm: int, kind: str) -> Tuple[int, int, int]:
    """The table, index and entry that map a page of that kind."""
    root = next(each.root for each in isolation.guests(run.trace) if each.alive and each.vm == vm)
    form = nested_of(run.json["platform"])
    part = next(part for part in LAYOUTS[vm - 1].parts[1:] if part.kind == kind)
    ref = nested.walk.walk_nested(run.memory, part.gpa, root, form=form).refs[-1]
    return ref.table, ref.index, ref.entry


@pytest.mark.everywhere
def test_an_entry_that_allows_more_is_told(machine):
    run = two(machine)
    form = nested_of(run.json["platform"])
    write, execute = (1 << 1, 1 << 2) if form is EPT else (W, NX)
    for kind, bit in ((regions.ROM, write), (regions.NOEXEC, execute)):
        table, index, entry = leaf_of(run, 1, kind)
        wrong = judged(run, Patched(run.memory, table + 8 * index, entry ^ bit), 1)
        assert any("may be used rwx" in words for words in wrong)


def narrowed(form: Mode, entry: int) -> List[Tuple[int, str]]:
    """An entry with a right less, and with none, and what is told of it."""
    if form is EPT:
        return [(entry & ~(R_EPT | W_EPT | X_EPT), "is not mapped"),
                (entry & ~W_EPT, "r-x, should be rwx"), (entry & ~X_EPT, "rw-, should be rwx")]
    return [(entry & ~P, "is not mapped"), (entry & ~W, "r-x, should be rwx"),
            (entry & ~U, "---, should be rwx"), (entry | NX, "rw-, should be rwx")]


def test_whatever_is_wrong_with_an_entry_is_told(machine):
    run = two(machine)
    table, index, entry = leaf_of(run, 1, regions.RAM)
    theirs = leaf_of(run, 2, regions.RAM)[2]
    for changed, words in (*narrowed(nested_of(run.json["platform"]), entry),
                           (entry | 1 << 45, "does not know"), (theirs, "is mapped to hPA"),
                           (entry + 4096, "is mapped to hPA")):
        found = judged(run, Patched(run.memory, table + 8 * index, changed), 1)
        assert any(words in each for each in found), (hex(changed), found)
    hole = judged(run, Patched(run.memory, table + 8 * ((index + 64) % 512), entry), 1)
    assert any("where no memory is" in each for each in hole)


@pytest.mark.everywhere
def test_what_ends_it(machine, torture):
    for last, how in regions.LAST.items():
        if last not in SOME and not torture:
            continue
        run = machine((guest(LAYOUTS[0], f"rounds=2 end={last}"),
                       "keeper mem=4M -- pages=8 hz=500 rounds=4"), "slice=500us trace=memory",
                      "60ms", ok=False)
        ended, neighbour = run.json["vms"]
        assert (ended["how"], ended["checks_failed"]) == (how, 0), ended["why"]
        assert (neighbour["how"], neighbour["code"]) == ("EXITED", 0)
