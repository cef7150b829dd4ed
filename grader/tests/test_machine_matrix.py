"""Every guest on every platform, in few runs: what holds on one machine holds on all three.

The four mixtures of test_machine_exits.py are run on each platform with the emulator's
log of exits; everything that can be judged by such a run is judged: the log, self-checks,
how each VM ended, clocks, frames, walks, tables. What the guests report, apart from
times, must be the same everywhere. The tests of single things run on all platforms too,
with --torture; differences that are right are listed in grader/platform_differences.toml.
"""
from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from grader.oracle import compare, exitlog, isolation, timer
from grader.tests import matrix
from grader.tests.test_machine_exits import MIXTURES, made
from viz.walk_data import Walks

pytestmark = [pytest.mark.machine, pytest.mark.everywhere]

# The other guests of ours that judge themselves, each made short. masker (in the ways that
# leave interrupts on) because of what platform_differences.toml says of interrupts off.
OURS = (("stepper -- steps=60", "behind", "keeps", "asker", "lines -- rounds=1", "counter -- rounds=1",
         "keeper mem=4M -- rounds=4 hz=500 pages=32",
         "watched -- pages=2", "bench -- batches=1 rounds=8 pages=32", "yielder -- rounds=100",
         "masker tsc=apparent pit=apparent -- rounds=2 most=4 ways=6",
         "probe -- hz=200 windows=1 ticks=2", "stray -- how=hlt"), "slice=1ms")
LIVING = (("walker mem=8M -- rounds=0 pages=64 size=4k,2m,1g", "walker-pae mem=8M -- rounds=0",
           "ticker mem=4M,2M@0x100000000 -- hz=500", "hello32 mem=2M restart=1000"),
          "slice=500us trace=memory,sched,walks", "30ms")


def test_every_vm_ends_as_its_arguments_say(machine):
    run = made(machine, "modes")
    for vm in run.json["vms"]:
        assert (vm["how"], vm["code"], vm["checks_failed"]) == ("EXITED", 0, 0), vm
        assert vm["checks_passed"] > 0
    ended = [vm["how"] for vm in made(machine, "ends").json["vms"]]
    assert ended == ["TRIPLE_FAULT"] * 3 + ["BAD_ENTRY", "EXITED"]


def test_the_other_guests_of_ours_pass(machine):
    run = machine(*OURS, "5s", exit_log=True, ok=False)
    for vm in run.json["vms"][:-1]:
        assert (vm["how"], vm["code"], vm["checks_failed"]) == ("EXITED", 0, 0), vm
    assert run.json["vms"][-1]["how"] == "HALTED" and run.trace.dropped == 0
    assert sum(vm["checks_passed"] > 0 for vm in run.json["vms"]) >= 8
    assert exitlog.disagreements(exitlog.read(run.dir / "exits.log"), run.trace) == []


def test_no_clock_is_wrong_and_no_frame_is_lost(machine):
    for name in MIXTURES:
        run = made(machine, name)
        assert run.trace.dropped == 0
        assert len(run.trace.select("timer_due")) == 0 or timer.check(run.trace) == []
        assert not run.trace.select("vm_destroy")["leaked"].any()


def reports(run: Any) -> List[Tuple[int, str, int]]:
    """The self-checks of a run: VM, name, how often it passed. Values may be times."""
    checks = run.trace.select("check")
    passed = (checks["value"] == checks["expected"]) & (checks["sealed"] != 0)
    names = [(int(vm), checks.text(i)) for i, vm in enumerate(checks.vm)]
    return sorted((*who, int(np.count_nonzero(passed[[each == who for each in names]])))
                  for who in set(names))


@pytest.fixture(scope="session")
def told(machine_folder: Any) -> Dict[str, Any]:
    """mixture -> what its guests reported on the platform that came first."""
    return {}


@pytest.mark.parametrize("name", ("modes", "ends"))
def test_the_guests_report_the_same_on_all_platforms(machine, told, name):
    run = made(machine, name)
    assert reports(run) == told.setdefault(name, reports(run)) and len(reports(run)) > 1


def living(machine: Any) -> Any:
    guests, option, time = LIVING
    run = machine(guests, option, time, exit_log=True)
    assert {vm["how"] for vm in run.json["vms"]} == {"TIME_UP"} and run.trace.dropped == 0
    return run


def test_no_vm_reaches_what_is_not_its_own(machine):
    run = living(machine)
    assert isolation.check(run.trace, run.memory) == []
    assert len([guest for guest in isolation.guests(run.trace) if guest.alive]) >= 3


def test_every_walk_is_the_oracles(machine):
    run = living(machine)
    walks = list(Walks(run.trace))
    old = compare.stale(run.trace, walks)
    judged = [walk for walk in walks if walk.number not in old]
    assert len(judged) > 100 and {walk.cause for walk in judged} == {"REQUEST", "FAULT"}
    found = {walk.number: compare.compare(walk, run.memory) for walk in judged}
    assert not {number: words for number, words in found.items() if words}


# --- The list of differences ----------------------------------------------------------------

def test_the_list_of_differences_names_tests_that_there_are():
    tests = set()
    for path in (matrix.DATA.parent / "tests").glob("test_*.py"):
        tests |= {f"{path.name}::{line[4:line.index('(')]}"
                  for line in path.read_text().splitlines() if line.startswith("def test_")}
    assert matrix.listed(tests) == []
    for each in matrix.differences():
        assert each.what and each.reason and each.platforms
        assert set(each.platforms) < set(matrix.ALL)


def test_the_handout_shows_the_list_of_differences():
    text = (matrix.DATA.parents[1] / "handouts" / "platforms.md").read_text()
    shown = [line for line in text.splitlines() if line.startswith("| ")]
    assert [row for row in matrix.rows() if row not in shown] == []
    assert len([row for row in shown if row.startswith(("| qemu-", "| bochs-"))]) \
        >= len(matrix.rows())
