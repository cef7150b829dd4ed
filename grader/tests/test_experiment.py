"""The experiment's numbers are those of other sources, and its figures show them.

Shares are compared with the oracle's, waits with what the simulator counts itself, and the
tables with the bounds of lab 3's reference text; costs are the machine's own counts.
"""
from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, Dict, List

import pytest

from grader.experiment import live, measure, page, plots, side_by_side, simulate, studies
from grader.kit import experiment
from grader.oracle.share import shares
from grader.tests.hostbuild import make

Tables = Dict[str, List[Any]]


@pytest.fixture(scope="module")
def tool() -> Path:
    make("build/sim/schedsim")
    return simulate.build()


@pytest.fixture(scope="module")
def tables(tool) -> Tables:
    return experiment.simulated(studies.SMALL)


def only(rows: List[Any], **wanted: object) -> List[Any]:
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert found, wanted
    return found


def test_it_repeats(tool, tables):
    assert studies.received_rows(tool, studies.SMALL) == tables["received"]
    assert studies.error_rows(tool, studies.SMALL) == tables["error"]


def test_shares_are_the_oracle_s(tool):
    vms = [f"1 {words} -- work=cpu" for words in studies.weighted("bvt")]
    trace = simulate.run(tool, "sched=bvt time=3300ms", vms).trace
    parts = shares(trace, measure.ROUND, 3300 * 10**6)
    for vm in (1, 2, 3):
        assert abs(measure.share(trace, vm) - parts[vm]) < 1e-9


def test_waits_are_those_that_the_simulator_counts(tool):
    """One that is never preempted waits only after it woke; the first VM runs at once."""
    done = simulate.run(tool, "sched=rr time=3s", [f"1 -- {studies.SLEEPER}", "2 -- work=cpu"])
    found, row = measure.latencies(done.trace, 1), done.rows[0]
    assert len(found) > 100 and found.max() == row["longest_wait_ns"] > 10**7
    assert found.sum() == row["waited_ns"]


def test_errors_are_computed_as_the_paper_says(tool):
    """One that asks for a half beside an equal, and gets it in turns of 10 ms."""
    done = simulate.run(tool, "sched=rr time=2s slice=10ms", ["2 -- work=cpu"])
    assert abs(measure.errors(done.trace, {1: 0.5}, 20 * 10**6)).max() < 1e-6
    assert measure.errors(done.trace, {1: 0.5}, 10 * 10**6).max() == pytest.approx(1)
    assert measure.errors(done.trace, {1: 0.25}, 20 * 10**6).min() == pytest.approx(1)


def test_allocation_is_fair_over_a_period_under_sedf_and_later_under_the_others(tables):
    for period in studies.PERIODS_MS:
        assert only(tables["error"], scheduler=f"SEDF, {period} ms", window_ms=100)[0]["p90"] < 1e-3
    for name in ("BVT", "Credit"):
        short, long = only(tables["error"], scheduler=name)
        assert long["p95"] < short["p95"] / 2


def test_nobody_exceeds_its_slice_or_its_cap(tables):
    """NWC; and who always wants the CPU gets what it asked for, within two points."""
    for row in only(tables["received"], mode="NWC"):
        assert row["received"] <= row["requested"] + 2, row
    for row in only(tables["received"], behaviour="always"):
        assert row["received"] >= row["requested"] - 2, row


def test_a_short_block_forfeits_the_rest_of_a_period(tables):
    """Under sedf without extra time: a burst a period, so less the longer the period is."""
    for percent in studies.SMALL.shares:
        got = [only(tables["received"], scheduler="SEDF", period_ms=period, mode="NWC",
                    behaviour="blocks", requested=percent)[0]["received"]
               for period in studies.PERIODS_MS]
        assert got == sorted(got, reverse=True) and got[-1] < 2


def test_sampling_ticks_pays_the_attacker_and_exact_charging_does_not(tables):
    for row in tables["attack"]:
        if row["charging"] == "Credit, charged by ticks":
            assert row["received"] > row["most"] - 2
        else:
            assert row["received"] < 36


def test_a_boost_beats_a_round(tables):
    median = {row["scheduler"]: row["wait_us"] for row in only(tables["latency"], percent=50)}
    assert median["Credit"] < 10 and median["BVT, warp"] < 10
    assert median["Round robin, 10 ms"] > 10000


@pytest.mark.machine
@pytest.mark.parametrize("name", ["bvt", "sedf", "credit"])
def test_a_decision_costs_o_log_n(machine, name):
    """Instructions of the VMM's own code, counted by the emulator."""
    run = machine(("hello",), f"sched={name} trace=none bench=sched", "20s")
    rows = live.cost_rows(name, run.trace)
    assert [row["vms"] for row in rows] == [10, 30, 100, 300, 1000, 3000, 10000]
    [(_, few, many, growth)] = page.growth(rows)
    assert 50 < few <= many < 5000 and growth < 3, rows
    dearest = {row["vms"]: row["dearest decision"] for row in rows}
    assert dearest[10000] < 3 * dearest[100], rows
    assert all(bool(row["account"]) == (name == "credit") for row in rows)


def test_the_page_shows_all_figures_and_leads_to_what_is_there(tool, tables, tmp_path):
    cost = [{"scheduler": "bvt", "vms": vms, "decision": vms, "dearest decision": 2 * vms,
             "account": 0, "dearest account": 0} for vms in (100, 10000)]
    made = plots.save_all({**tables, "cost": cost}, tmp_path)
    assert made == list(plots.PLOTS)
    for name, rows in {**tables, "cost": cost}.items():
        experiment.write_csv(tmp_path / f"{name}.csv", rows)
    side_by_side.save(tool, tmp_path, "90ms")
    page.save(tmp_path, {**tables, "cost": cost}, made)
    text = (tmp_path / "index.html").read_text()
    links = set(re.findall(r'(?:src|href)="([^":]+)"', text))
    assert links >= {f"{name}.{kind}" for name in made for kind in ("png", "svg", "csv")}
    assert all((tmp_path / link).stat().st_size > 100 for link in links)
    assert "100.00 times" in text
    with open(tmp_path / "attack.csv") as file:
        assert [row["charging"] for row in csv.DictReader(file)] == \
            [row["charging"] for row in tables["attack"]]
    svg = (tmp_path / "error.svg").read_text()
    assert all(f">{label}<" in svg for label, _, _ in studies.variants())
    beside = (tmp_path / "side_by_side.svg").read_text()    # a turn of each VM under credit
    assert "Who ran when: bvt, sedf, credit" in beside and beside.count(">33.3 % of the CPU<") == 3
