"""A guest whose own page tables are as wrong as can be harms nobody but itself.

hostile's class tables (guests/README.md): circles, tables in code, in devices and where
nothing is, reserved bits, garbage, code run in a table's page; under nested tables and under
shadows. Each access through them is announced at a port, so that the emulator's own log
tells how many there were. `make check` makes 50,000 in all, `make torture` 1,000,000 over 20
seeds on each platform, half of them on shadows.
"""
from __future__ import annotations

from typing import Any

import pytest

from grader.oracle.mmu import judge as mmu_judge
from grader.tests import test_machine_hostile as hostile

pytestmark = pytest.mark.machine

MMUS = ("nested", "shadow")
HOSTILE = ("hostile mem=2M restart=1000000 checks=ignore watchdog=20ms mmu={} "
           "-- deaths=3 classes=0x800 actions=1000000")
# Seeds, then for each mmu= the accesses of each, and the virtual time that suffices.
CHECK = (1, {"nested": (38_000, "600ms"), "shadow": (12_000, "330ms")})
TORTURE = (20, {"nested": (25_000, "700ms"), "shadow": (25_000, "700ms")})
USE, ACTION = 12, 11                # classes of the announcements


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        seeds = (TORTURE if metafunc.config.getoption("--torture") else CHECK)[0]
        metafunc.parametrize("seed", range(1, seeds + 1))
    if "mmu" in metafunc.fixturenames:
        metafunc.parametrize("mmu", MMUS)


def test_the_neighbours_of_wrong_tables(machine: Any, platform: str, torture: bool, mmu: str,
                                        seed: int) -> None:
    """The neighbours' checks are those of a run without it, their code is whole, the host went
    on, no frame is lost, and whatever the tables in use reach is their own VM's."""
    least, time = (TORTURE if torture else CHECK)[1][mmu]
    option, log = hostile.how_counted(platform, torture, seed)
    run = machine((HOSTILE.format(mmu), *hostile.NEIGHBOURS), option, time=time, seed=seed,
                  exit_log=log, ok=False, timeout=3600)
    counts = hostile.counted(run, option, log)
    print(f"{counts.get(USE, 0)} accesses in {counts.get(ACTION, 0)} actions, "
          f"{run.trace.select('vm_destroy').vm.size} ends")
    hostile.judge(run, hostile.peace(machine, seed))
    for verdict in mmu_judge.judge(run.trace, run.memory):
        assert verdict.strangers() == []
    assert mmu_judge.check_tables(mmu_judge.judge(run.trace, run.memory)) == []
    assert counts.get(USE, 0) >= least
    shadowed = len(run.trace.select("shadow_fill")) > 1000
    assert shadowed == (mmu == "shadow")
