"""The three schedulers of lab 3 on a machine: each decision is the oracle's, and repeats.

One short run each: two that always want the CPU and one that sleeps between its ticks.
"""
from __future__ import annotations

import subprocess

import pytest

from grader.oracle.share import shares
from grader.oracle.sched import replay
from grader.tests.hostbuild import ROOT, make

pytestmark = pytest.mark.machine

SCHEDSIM = ROOT / "build/sim/schedsim"
NAMES = ("bvt", "sedf", "credit")
GUESTS = ("ticker weight=512 mcu_adv=5 slice=20ms period=50ms extratime=off -- hz=100",
          "greedy slice=10ms period=100ms", "ticker -- hz=250 halt=1")


def made(machine, name: str):
    return machine(GUESTS, f"sched={name} trace=sched,time", "400ms")


@pytest.mark.parametrize("name", NAMES)
def test_live_decisions_are_the_oracle_s(machine, name):
    run = made(machine, name)
    assert run.trace.dropped == 0 and run.trace.header.cmdline.startswith(f"sched={name}")
    [result] = replay.compare(run.trace)
    assert result.problems == [] and result.scheduler == name
    assert result.picks > 100 and result.kinds["BLOCK"] > 10 and result.kinds["WAKE"] > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_live_run_s_calls_repeat_its_decisions(machine, name):
    run = made(machine, name)
    make(str(SCHEDSIM.relative_to(ROOT)))
    done = subprocess.run([str(SCHEDSIM), "replay", str(run.dir / "trace.bin")], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[0]) == len(run.trace.select("sched_pick"))


@pytest.mark.parametrize("name, first, second", [
    ("bvt", 2 / 3, 1 / 3), ("credit", 2 / 3, 1 / 3), ("sedf", 0.4, 0.58)])
def test_each_gets_what_it_asked_for(machine, name, first, second):
    """By weight; under sedf a slice of its period, and what is over to who takes extra time."""
    parts = shares(made(machine, name).trace)
    assert abs(parts[1] - first) < 0.05 and abs(parts[2] - second) < 0.05, parts
    assert parts.get(0, 0) < 0.02


def test_more_than_the_whole_cpu_is_refused_in_words(machine):
    run = machine(("ticker slice=60ms", "ticker slice=41ms"), "sched=sedf", "100ms", ok=False)
    assert run.json["exit_reason"] == "refused"
    assert "a slice of 41000000 ns in each 100000000 ns is refused: with those of the other " \
        "VMs it would be more than the whole CPU" in run.console


def test_parameters_change_at_run_time_or_are_refused_in_words(machine):
    """Weights 1:1, then 3:1; under sedf a slice that does not fit beside the other's."""
    run = machine(("ticker change=200ms:weight=768", "ticker"), "sched=credit trace=sched", "500ms")
    [result] = replay.compare(run.trace)
    assert result.problems == [] and result.kinds["sched_set"] == 1
    before, after = (shares(run.trace, start, start + 180 * 10**6) for start in
                     (10 * 10**6, 300 * 10**6))
    assert abs(before[1] - 0.5) < 0.1 and abs(after[1] - 0.75) < 0.1, (before, after)
    run = machine(("ticker slice=30ms change=50ms:slice=60ms/60ms:slice=50ms", "ticker slice=50ms"),
                  "sched=sedf trace=sched", "200ms")
    [result] = replay.compare(run.trace)
    assert result.problems == [] and result.kinds["sched_set"] == 1
    assert "[1 ticker] keeps its parameters: a slice of 60000000 ns in each 100000000 ns is " \
        "refused: with those of the other VMs it would be more than the whole CPU" in run.console
