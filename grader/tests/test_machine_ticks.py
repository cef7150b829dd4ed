"""Virtual time on a real run: every view of TSC and PIT with every lost-tick policy.

One run a cell, with seeded neighbours and slices. A ticker and a probe share the cell's
arguments. Rules: the timer oracle finds nothing wrong; delivered + backlog + discarded
= due at every record; what the ticker counted is what was delivered; what each policy
promises holds; and the probe's ratios are those of the cell's clocks, worked out from
the scheduler's records and the probe's own TSC span.
"""
from __future__ import annotations

import random

import numpy as np
import pytest

from grader.oracle import timer
from grader.oracle.timekeeping import READING, checkpoints, life_of, spans, totals, waits

pytestmark = pytest.mark.machine

VIEWS = ("wall", "apparent")
POLICIES = ("discard", "merge", "delay", "slew")
CELLS = [(tsc, pit, policy) for tsc in VIEWS for pit in VIEWS for policy in POLICIES]
TICKER, PROBE = 1, 2
HZ, TICKS = 1000, 104
PROBE_HZ, PERIODS = 50, 4
PPM = 10 ** 6
UNSEEN = 20_000     # ns: a gap in the TSC below this hides any wait of a slice


def run_cell(machine, tsc: str, pit: str, policy: str):
    seeded = random.Random(f"{tsc} {pit} {policy}")
    view = f"tsc={tsc} pit={pit} ticks={policy}"
    spin, slice_us = seeded.randrange(20000, 200000), seeded.randrange(700, 1300)
    guests = (f"ticker {view} -- hz={HZ} ticks={TICKS}",
              f"probe {view} -- hz={PROBE_HZ} windows=2 ticks={PERIODS // 2}",
              f"greedy -- spin={spin}")
    return machine(guests, f"slice={slice_us}us trace=sched,time", "340ms",
                   seed=seeded.randrange(1, 1 << 63))


@pytest.fixture(params=CELLS, ids="-".join)
def cell(request, machine):
    """(run, tsc, pit, policy)."""
    return (run_cell(machine, *request.param), *request.param)


def backlogs(trace, vm: int) -> np.ndarray:
    records = trace.select("timer_due")
    return records["backlog"][records.vm == vm].astype(np.int64)


def test_the_oracle_and_the_sums_agree(cell):
    run, _, pit, policy = cell
    assert run.trace.dropped == 0
    assert timer.check(run.trace) == []
    for event in ("timer_due", "timer_delivered", "timer_dropped"):
        each = run.trace.select(event)
        sums = each["delivered"] + each["backlog"] + each["discarded"]
        assert (sums == each["due"]).all()
    programs = run.trace.select("timer_program")
    words = {(vm, way, view) for vm, way, view in
             zip(programs.vm.tolist(), programs.word("policy"), programs.word("view"))}
    assert {(TICKER, policy.upper(), pit.upper()), (PROBE, policy.upper(), pit.upper())} <= words


def test_the_guest_counts_what_was_delivered(cell):
    run = cell[0]
    for vm in (TICKER, PROBE):
        assert run.json["vms"][vm - 1]["how"] == "EXITED", "the time is too short for this cell"
    said = [value for name, value, _ in checkpoints(run.trace, TICKER) if name == "ticks"]
    assert said[-1] == TICKS == totals(run.trace, TICKER)["delivered"]
    assert np.all(np.diff(said) >= 0) and len(said) > 1


def test_the_policy_keeps_its_promise(cell):
    run, _, pit, policy = cell
    seen, backlog = totals(run.trace, TICKER), backlogs(run.trace, TICKER)
    life = life_of(run.trace, TICKER)
    stolen = life.stolen_at(life.changes[-1][1])
    periods = stolen * HZ // 10 ** 9                # ticks that fell due meanwhile, if wall
    longest = max(waits(life)) * HZ // 10 ** 9 + 1
    assert longest > 1 and periods > 10, "the neighbours take nothing: this shows nothing"
    left = seen["due"] - seen["delivered"] - seen["dropped"]
    if pit == "apparent":
        assert seen["dropped"] == 0 and backlog.max() == 1 and left <= 1
    elif policy == "discard":
        assert abs(seen["dropped"] - periods) <= periods // 2 and left <= 1
    elif policy == "merge":
        assert 0 < seen["dropped"] < periods and backlog.max() <= longest + 1 and left <= 1
    elif policy == "delay":
        assert seen["dropped"] == 0 and periods // 4 < left <= periods
        assert backlog.max() == left or backlog.max() == left + 1
    else:       # caught up again after each wait, but for what the last one left
        assert seen["dropped"] == 0 and backlog.max() <= 2 * longest + 1 and left <= longest


def test_the_probe_sees_the_clocks_of_the_cell(cell):
    run, tsc, pit, _ = cell
    measured = spans(run.trace, PROBE, tsc == "wall")
    views = {"wall": measured.wall, "apparent": measured.apparent}
    assert views["wall"] > 2 * views["apparent"] or pit == tsc
    said = {name: value for name, value, _ in checkpoints(run.trace, PROBE)}
    expected = PPM * measured.tsc / views[pit]
    slack = expected * (measured.doubt + 40 * READING * (tsc != pit)) / views[pit]
    assert abs(said["tsc/pit"] - expected) <= slack
    if tsc == pit:
        assert abs(said["tsc/pit"] - PPM) <= PPM * READING / views[pit]


def test_the_probe_sees_the_ticks_of_the_policy(cell):
    run, _, pit, policy = cell
    said = {name: value for name, value, _ in checkpoints(run.trace, PROBE)}
    assert said["periods"] == PERIODS
    assert said["tick/pit"] == said["ticks"] * PPM // PERIODS
    lost = totals(run.trace, PROBE)["dropped"]
    if policy == "discard" and pit == "wall":
        assert PERIODS - said["ticks"] in (lost, lost - 1)     # one may be before the window
        assert lost > 0
    else:       # never away for as long as a period: no tick is more than late
        assert said["ticks"] == PERIODS and lost == 0


def test_the_tsc_shows_waits_or_hides_them(cell):
    run, tsc, _, _ = cell
    said = {name: value for name, value, _ in checkpoints(run.trace, PROBE)}
    each = waits(life_of(run.trace, PROBE))[1:]     # the first came before it looked
    assert min(each) > 5 * UNSEEN
    if tsc == "wall":
        assert said["gapmax"] >= min(each) and said["holes"] >= len(each) // 2
    else:
        assert said["gapmax"] < UNSEEN


@pytest.mark.parametrize("slice_ns", (101333, 211111, 307001))
def test_no_tick_comes_twice_however_a_slice_ends(machine, slice_ns):
    """QEMU 7.2 delivers an interrupt put in by EVENTINJ again if its time budget ends then."""
    guests = [f"ticker tsc=apparent pit=apparent -- hz={hz} ticks=3000"
              for hz in (30000, 31111, 32222)]
    run = machine(guests, f"slice={slice_ns}ns trace=sched,time", "2s", exit_log=True)
    for vm in (1, 2, 3):
        said = [value for name, value, _ in checkpoints(run.trace, vm) if name == "ticks"]
        assert said[-1] == totals(run.trace, vm)["delivered"] == 3000
    by_eventinj = sum(": INTR" in line for line in run.exits)
    assert by_eventinj < 90, "interrupts are to go in as virtual ones, but for a few"
