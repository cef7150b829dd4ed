"""Canaries in every register that a guest can see, through thousands of switches.

Three canary guests fill general, segment-base, system, x87 and SSE registers with seeded
values, leave by five ways, and look. Rules: no canary differs; the scheduler's records
show at least 10,000 changes from one of the three to another; all ways were used.
"""
from __future__ import annotations

from typing import Dict

import numpy as np
import pytest

pytestmark = pytest.mark.machine

ROUNDS, SWITCHES = 10_000, 10_000
WAYS = ("yield", "out", "cpuid", "spin", "halt")


def three(machine, rounds: int = ROUNDS, seed: int = 1):
    return machine((f"canary -- rounds={rounds}",) * 3, "slice=1ms trace=sched", "100s", seed)


def switches(trace) -> int:
    """How often a VM ran and the next to run was another one."""
    who = trace.select("sched_pick").vm
    who = who[who != 0].astype(np.int64)
    return int(np.count_nonzero(np.diff(who)))


def counts(trace, vm: int) -> Dict[str, int]:
    said = trace.select("checkpoint")
    return {said.text(i): int(said["value"][i])
            for i in np.flatnonzero(said.vm == vm).tolist()}


def test_all_registers_survive_ten_thousand_switches(machine):
    run = three(machine)
    assert run.json["exit_reason"] == "ended" and run.trace.dropped == 0
    checks = run.trace.select("check")
    for vm in (1, 2, 3):
        mine = np.flatnonzero(checks.vm == vm).tolist()
        values = {checks.text(i): int(checks["value"][i]) for i in mine}
        assert {name: values[name] for name in ("gpr", "fpu", "system", "canary")} \
            == {"gpr": 0, "fpu": 0, "system": 0, "canary": 0}
        assert run.json["vms"][vm - 1]["checks_failed"] == 0
    assert switches(run.trace) >= SWITCHES


def test_every_way_out_was_used_and_every_round_made(machine):
    run = three(machine)
    for vm in (1, 2, 3):
        used = counts(run.trace, vm)
        assert set(WAYS) <= set(used) and sum(used[way] for way in WAYS) == ROUNDS
        assert min(used[way] for way in WAYS) > 80


def test_others_values_in_the_registers_would_show(machine):
    """The three carry different seeds: what is one's canary is wrong for another."""
    run = three(machine)
    made = [tuple(counts(run.trace, vm)[way] for way in WAYS) for vm in (1, 2, 3)]
    assert len(set(made)) == 3


def test_many_seeds(machine, torture):
    for seed in range(2, 22 if torture else 3):
        run = three(machine, rounds=2000, seed=seed)
        assert all(vm["checks_failed"] == 0 and vm["how"] == "EXITED"
                   for vm in run.json["vms"])
