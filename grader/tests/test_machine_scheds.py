"""The three schedulers of lab 3 on a machine: each decision is the oracle's, and repeats.

One short run each: two that always want the CPU and one that sleeps between its ticks.
"""
from __future__ import annotations

import subprocess

import numpy as np
import pytest

from grader.experiment import measure
from grader.oracle.share import shares
from grader.oracle.sched import replay
from grader.tests.hostbuild import ROOT, make

pytestmark = pytest.mark.machine

SCHEDSIM = ROOT / "build/sim/schedsim"
MOST_LATENCY = 20_000   # ns: the host's timer fires, the guest exits, the scheduler is asked
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


def test_who_takes_no_extra_time_repays_what_it_overran(machine):
    """VM 1 has 20 ms in each 50 ms: at no deadline has it had more than its slices so far and
    one exit's latency (by how much it overran a slice: 180 ns on qemu-svm), however many
    periods have passed."""
    trace = made(machine, "sedf").trace
    states = trace.select("sched_sedf")
    ends, had = measure.received(trace, 1)
    deadlines = np.unique(states.where(states.vm == 1)["deadline"].astype(np.int64))
    deadlines = deadlines[deadlines <= ends[-1]]
    assert len(deadlines) >= 6
    start = np.interp(deadlines[0], ends, had)
    over = np.interp(deadlines, ends, had) - start - 20_000_000 * np.arange(len(deadlines))
    used = states.where(states.vm == 1)["used"].astype(np.int64)
    latency = used[used < MOST_LATENCY].max()
    assert np.abs(over).max() <= latency + 1, (over, latency)


def test_the_smallest_slice_and_period_are_kept(machine):
    """5 us in each 10 us beside 5 ms in each 10 ms, the whole CPU: turns end late (on bochs-vmx
    by more than a slice), and what is overrun is repaid, so that both have their half."""
    run = machine(("ticker slice=5us period=10us extratime=off -- hz=100",
                   "ticker slice=5ms period=10ms extratime=off -- hz=100"),
                  "sched=sedf trace=sched", "25ms")
    [result] = replay.compare(run.trace)
    assert run.trace.dropped == 0 and result.problems == []
    begin = int(run.trace.select("sched_add")["at"].max()) + 5 * 10**6      # of VM 2's period
    for vm in (1, 2):
        ends, had = measure.received(run.trace, vm)
        got = np.diff(np.interp([begin, begin + 10 * 10**6], ends, had))[0]
        assert abs(got - 5 * 10**6) <= MOST_LATENCY, (vm, got)


@pytest.mark.long
@pytest.mark.parametrize("name, words, parts", [
    ("bvt", ("", "", ""), (1, 1, 1)), ("credit", ("", "", ""), (1, 1, 1)),
    ("bvt", ("mcu_adv=20", "mcu_adv=10", "mcu_adv=5"), (1, 2, 4)),
    ("credit", ("weight=256", "weight=512", "weight=1024"), (1, 2, 4)),
    ("credit", ("cap=10", "cap=30", "cap=60"), (1, 3, 6)),
    ("sedf", ("slice=10ms", "slice=30ms", "slice=60ms"), (1, 3, 6)),
    ("sedf", ("slice=1ms period=10ms", "slice=6ms period=20ms", "slice=60ms"), (1, 3, 6))])
def test_shares_over_three_seconds(machine, name, words, parts):
    run = machine([f"ticker {each} extratime=off -- hz=100" for each in words],
                  f"sched={name} trace=sched", "3300ms")
    [result] = replay.compare(run.trace)
    assert result.problems == []
    got = shares(run.trace, 300 * 10**6, 3300 * 10**6)
    assert all(abs(got[vm] - part / sum(parts)) <= 0.02 for vm, part in enumerate(parts, 1)), got


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


@pytest.mark.parametrize("name, least", [("rr", 0.4), ("bvt warp=10000", 0.22), ("credit", 0.4),
                                         ("sedf", 0.1)])
def test_who_ends_over_and_over_does_not_begin_with_a_new_account(machine, name, least):
    """Making it anew is its own turn. A warp borrows 100 ms once, half of what both have here;
    under sedf, who claims nothing has what is left over."""
    scheduler, _, argument = name.partition(" ")
    run = machine((f"hello restart=1000000 {argument}", "ticker"),
                  f"sched={scheduler} trace=memory,sched", "200ms")
    assert len(run.trace.select("vm_create")) > 20
    charged = run.trace.select("sched_charge")
    ran = [int(charged["ran"][charged.vm == vm].sum()) for vm in (1, 2)]
    assert ran[1] > least * sum(ran) and sum(ran) > 190_000_000, ran
    if scheduler != "rr":
        [result] = replay.compare(run.trace)
        assert result.problems == []
