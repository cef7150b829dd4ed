"""What belongs to whom: nested tables seen from outside, and every frame given back.

The isolation oracle reads the tables of living VMs in the RAM file. Frames: each end of
a VM reports none leaked, and as much memory is free as after every other end.
"""
from __future__ import annotations

import numpy as np
import pytest

from grader.oracle import isolation
from grader.oracle.paging import nested_of
from grader.tests.patched import Patched

pytestmark = pytest.mark.machine

THREE = ("walker mem=8M -- rounds=0 pages=64", "ticker mem=4M,2M@0x100000000 -- hz=500",
         "hello32 mem=2M restart=1000", "canary mem=16M -- rounds=1000000 spin=100")


def three(machine):
    return machine(THREE, "slice=500us trace=memory,sched", "40ms")


def test_no_vm_reaches_what_is_not_its_own(machine):
    run = three(machine)
    guests = isolation.guests(run.trace)
    living = [guest for guest in guests if guest.alive]
    assert {guest.vm for guest in living} >= {1, 2, 4} and len(guests) > len(living)
    assert isolation.check(run.trace, run.memory) == []
    form = nested_of(run.json["platform"])
    reach = {guest.vm: isolation.Reach(run.memory, guest.root, form) for guest in living}
    assert all(len(reach[vm].pages) > 5 for vm in (1, 2, 4))   # 3 may be just born
    frames = [page.hpa for each in reach.values() for page in each.pages]
    assert len(frames) == len(set(frames))


def leaf(memory, form, root: int, gpa: int):
    """The level-1 table and index that map a gPA."""
    table = root & form.root_mask
    for level in form.levels[:-1]:
        table = int(memory.read_table(table)[level.index(gpa)]) & form.root_mask
    return table, form.levels[-1].index(gpa)


def test_one_entry_that_reaches_a_neighbour_is_told(machine):
    run = three(machine)
    one, other = [guest for guest in isolation.guests(run.trace)
                  if guest.alive and guest.vm in (1, 2)]
    form = nested_of(run.json["platform"])
    theirs = isolation.Reach(run.memory, other.root, form).pages[0].hpa
    page = isolation.Reach(run.memory, one.root, form).pages[5]
    table, index = leaf(run.memory, form, one.root, page.gpa)
    entry = int(run.memory.read_table(table)[index])
    assert entry & form.root_mask == page.hpa
    wrong = isolation.check(run.trace, Patched(run.memory, table + 8 * index,
                                               entry & 0xFFF | theirs))
    assert any(f"VM {one.vm}" in words and hex(theirs) in words for words in wrong)


REBORN = {"triple fault": "crash mem=2M restart=30 -- how=ud",
          "no tables": "crash mem=3M restart=30 -- how=pf",
          "two slots": "hello mem=5M,1M@0x200000000 restart=30",
          "its own tables": "walker mem=8M restart=30 -- pages=8",
          "refused entry": "hello32 mem=2M restart=30 break=asid",
          "hostile": "hostile mem=2M restart=30 checks=ignore -- deaths=100"}


@pytest.mark.parametrize("name", REBORN)
def test_the_same_memory_is_free_after_each_end(machine, name):
    """Beside a ticker that has touched all its pages before the second end."""
    run = machine((REBORN[name], "ticker mem=4M -- hz=1000"), "slice=1ms trace=memory", "120ms",
                  ok=False)
    ended, created = run.trace.select("vm_destroy"), run.trace.select("vm_create")
    assert len(ended) == 31 and run.trace.dropped == 0, "the time is too short"
    assert np.count_nonzero(created.vm == 1) == 31
    assert created["generation"][created.vm == 1].tolist() == list(range(31))
    assert not ended["leaked"].any()
    maps = run.trace.select("map")
    settled = int(maps.index[maps.vm == 2].max())
    free = ended["free"][ended.index > settled]
    assert len(free) > 20 and len(set(free.tolist())) == 1
    pages = run.trace.select("vm_slot")
    pages = int(pages["size"][(pages.vm == 1) & (pages.index < ended.index[0])].sum()) // 4096
    assert (ended["freed"] > pages).all()


def test_a_lack_of_memory_ends_one_vm_and_gives_back_all(machine):
    """Two that fit, and a third that is born again when one of them has gone."""
    run = machine(("ticker mem=8M -- hz=500 ticks=20", "hello mem=190M restart=3",
                   "ticker mem=4M -- hz=500 ticks=20"), "slice=1ms trace=memory", "1s")
    ended = run.trace.select("vm_destroy")
    assert len(ended) == 6 and not ended["leaked"].any()
    assert all(vm["how"] == "EXITED" and vm["code"] == 0 for vm in run.json["vms"])
    hello = ended.where(ended.vm == 2)
    assert len(set(hello["freed"].tolist())) == 1 and int(hello["freed"][0]) > 190 * 256
