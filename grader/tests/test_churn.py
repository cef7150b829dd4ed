"""The cost of shadow and nested paging: the guest's accesses are the model's, sums add up.

One round of short runs in each mode is made; what they count is held against formulas, what
the guest did against its own report.
"""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from grader import plan
from grader.experiment import churn, churn_plot, simulate
from grader.experiment.churn import SMALL, Size
from grader.experiment.studies import Row
from grader.tests.hostbuild import make
from viz import tables, tables_rows
from viz.tables_ram import Memory
from viz.tables_replay import replay
from viz.trace import load

SMALL_LIVE = "churn mmu=shadow mem=24M -- changes=50 pages=64 accesses=1000000"
GOLDEN = 0x9E3779B97F4A7C15     # what one number adds to splitmix64's state


@pytest.fixture(scope="module")
def tool() -> Path:
    make("build/sim/tlbsim")
    return simulate.build(tool=churn.TOOL)


@pytest.fixture(scope="module")
def made(tool: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuple[Path, List[Row]]:
    out = tmp_path_factory.mktemp("churn")
    return out, churn.rows(SMALL, out, tool, lambda text: None)


def by_key(rows: List[Row]) -> Dict[Tuple[object, object], Row]:
    return {(row["mode"], row["changes_per_1000"]): row for row in rows}


def test_the_guest_makes_the_accesses_that_the_model_gets(made: Tuple[Path, List[Row]]) -> None:
    """Its generator's last state tells how often it drew a number: once for each decision, once
    for each access, once for each change."""
    for changes in SMALL.changes:
        wanted = list(churn.stream(SMALL, 128, changes))
        drawn = SMALL.accesses + len(wanted)
        trace = load(str(made[0] / "runs" / f"churn-nested-128-{changes}" / "trace.bin"))
        points = trace.select("checkpoint")
        states = [int(points["value"][i]) for i in range(len(points)) if points.text(i) == "end"]
        assert states == [1 + drawn * GOLDEN & churn.MASK]
        share = sum(kind == "p" for kind, _ in wanted) / SMALL.accesses
        assert abs(share - changes / 1000) < 0.03
        assert {page for kind, page in wanted if kind == "a"} == set(range(128))


def test_the_table(made: Tuple[Path, List[Row]]) -> None:
    rows = by_key(made[1])
    assert set(rows) == {(mode, changes) for mode in churn.MODES for changes in SMALL.changes}
    for (mode, changes), row in rows.items():
        assert row["references"] == (24 if mode == "nested" else 4)
        assert row["misses"] == rows["nested", changes]["misses"]
        for c in SMALL.prices:
            assert row[f"total_c{c}"] == pytest.approx(
                row["instructions"] + c * row["misses"] * row["references"])
    # Nobody pays for a table that does not change; changes cost exits with shadow paging alone.
    quiet, busy = SMALL.changes
    assert rows["shadow", quiet]["instructions"] == pytest.approx(
        rows["nested", quiet]["instructions"], rel=0.05)
    assert rows["shadow", busy]["instructions"] > 1.5 * rows["nested", busy]["instructions"]
    assert rows["nested", busy]["instructions"] < 2 * rows["nested", quiet]["instructions"]


def test_misses(tool: Path) -> None:
    """64 entries: all of 64 pages fit, of 128 about a half; a change costs one miss more."""
    size = Size(accesses=4000, tlb=(8, 8))
    assert churn.misses(tool, size, 64, 0) == 0
    assert churn.misses(tool, size, 128, 0) == pytest.approx(2000, rel=0.1)
    changes = sum(kind == "p" for kind, _ in churn.stream(size, 64, 100))
    assert 0.5 * changes < churn.misses(tool, size, 64, 100) <= changes


@pytest.mark.parametrize("nested, shadow, where", [
    ((10, 10, 10), (0, 20, 40), 5.0), ((10, 10, 10), (20, 30, 40), 0.0),
    ((10, 10, 10), (0, 5, 9), None), ((10, 20, 30), (10, 20, 60), 10.0)])
def test_crossings(nested: tuple, shadow: tuple, where: object) -> None:
    size = Size(changes=(0, 10, 20), pages=(1,), prices=(0,))
    rows: List[Row] = [
        {"mode": mode, "pages": 1, "changes_per_1000": rate, "total_c0": cost}
        for mode, costs in (("nested", nested), ("shadow", shadow))
        for rate, cost in zip(size.changes, costs)]
    assert churn.crossing(size, rows, 1, 0) == where


@pytest.mark.parametrize("quiet, where, words", [
    ((10, 10), 0.0, "as soon as anything changes"), ((10, 11), 0.0, "always"),
    ((10, 5), 12.345, "12.3"), ((10, 5), "", "never")])
def test_the_rate_from_which_shadow_costs_more(quiet: tuple, where: object, words: str) -> None:
    rows: List[Row] = [{"mode": mode, "pages": 1, "changes_per_1000": rate, "total_c5": cost + rate}
                       for mode, cost in zip(churn.MODES, quiet) for rate in (0, 50)]
    crossing: Row = {"pages": 1, "c": 5, "changes_per_1000": where}
    assert churn_plot.from_where(crossing, rows) == words


def test_the_figure_and_the_page(made: Tuple[Path, List[Row]], tmp_path: Path) -> None:
    tables = {"churn": made[1], "crossings": churn.crossings(SMALL, made[1])}
    assert churn_plot.save(tables, SMALL, tmp_path) == ["churn"]
    picture = (tmp_path / "churn.svg").read_text()
    for words in ("nested paging, 24 references a miss", "shadow paging, 4 references a miss",
                  "c = 5", "observed: ", "computed: references of a walk", "modelled: ",
                  "does not fit in the TLB"):
        assert words in picture, words
    page = (tmp_path / "index.html").read_text()
    observed, rest = page.split("<b>Computed</b>")
    assert "references of a walk" not in observed and "references of a walk" in rest
    assert page.count("<tr><td>128 pages</td>") == len(SMALL.prices)
    assert (tmp_path / "churn.png").read_bytes().startswith(b"\x89PNG")


def test_the_records_tell_what_is_in_memory(tmp_path: Path) -> None:
    """viz tables: a shadow replayed from its records is the one that lies in memory.bin, but for
    what it says that it is not sure of."""
    live = SMALL_LIVE
    done = subprocess.run([sys.executable, "-m", "grader", "run", "--quiet", "--option", "trace=all",
                           "--time", "14ms", "--out", str(tmp_path), "--guest", live],
                          cwd=plan.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    trace = load(str(tmp_path / "trace.bin"))
    (state,) = replay(trace, 1, [trace.t1])
    told = {row.gva: row for row in tables_rows.shadow_rows(state)}
    found = {row.gva: row for row in
             tables_rows.shadow_rows_of_memory(state, Memory(tmp_path / "memory.bin"))}
    sure = {gva: row for gva, row in told.items() if "not recorded" not in row.note}
    assert len(sure) > 60 and set(sure) <= set(found) <= set(told)
    for gva, row in sure.items():
        there = found[gva]
        assert (row.shadow.to, row.guest.to) == (there.shadow.to, there.guest.to), hex(gva)
        assert there.host.to == there.shadow.to
        if not row.shadow.flags.startswith("W"):     # protecting is not recorded, allowing is
            assert there.shadow.flags.startswith("w")
    made = tables.picture(trace, tmp_path / "memory.bin", 1, None)
    assert made.provenance.startswith("computed: ") and {"changed", ""} <= {
        row.status for row in made.rows}
