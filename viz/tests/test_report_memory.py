"""The report of a run with a shadow: exits by cause, a walk of each kind, tables, commands."""
from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Dict, List

import pytest

from viz import report, report_memory
from viz.report_facts import Run, gather
from viz.tests import walks
from viz.tests.synth import TraceWriter, nested_walk
from viz.tests.test_report import Page
from viz.tests.test_tables import Story, changing

EXITS = [("EXCEPTION", 1, 100), ("EXCEPTION", 1, 300), ("EXCEPTION", 0, 50), ("INVLPG", None, 70)]


def exits_of_both(writer: TraceWriter) -> None:
    """Three page faults of VM 1, two of them hidden, and an INVLPG; a nested fault of VM 2."""
    for reason, hidden, takes in EXITS:
        writer.emit("exit", vm=1, ns=writer.now + 10, reason=reason)
        if hidden is not None:
            writer.emit("shadow_fault", vm=1, hidden=hidden)
        writer.emit("entry", vm=1, ns=writer.now + takes)
    writer.emit("exit", vm=2, ns=writer.now + 10, reason="NESTED").emit("nested_fault", vm=2)


def shadow_run(path: Path, mmu: str = "shadow") -> Path:
    """VM 1 on a shadow that changes between its stops `first` and `second`, VM 2 without; walks
    of both, the nested ones longer."""
    writer = (changing(path) if mmu == "shadow" else Story(path, mmu)).w
    writer.emit("vm_create", vm=2, args="churn mmu=nested")
    exits_of_both(writer)
    walks.shadow_hidden(writer)
    walks.shadow_pair(writer)
    nested_walk(writer, vm=2, ns=writer.now, nested_leaf=2)
    nested_walk(writer, vm=2, ns=writer.now)
    return writer.save()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("a run")
    shadow_run(folder / "trace.bin")
    return gather(str(folder))


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return report.render(run)


def cells(page: str, table: str) -> List[List[str]]:
    """The words of a table's rows."""
    body = page[page.index(table):].split("</table>")[0]
    return [[re.sub("<[^>]*>", "", cell).strip() for cell in re.findall(
        r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)] for row in body.split("<tr")[1:]]


def test_exits_are_told_by_their_causes(page: str) -> None:
    head, *rows = cells(page, '<table id="exit-causes">')
    assert head[1:5] == ["VM 1, shadow", "each", "VM 2, nested", "each"]
    told = {row[0]: row[1:5] for row in rows}
    assert told == {"hidden": ["2", "200 ns", "0", ""], "reflected": ["1", "50 ns", "0", ""],
                    "invlpg": ["1", "70 ns", "0", ""], "nested": ["0", "", "1", ""],
                    "all": ["4", "", "1", ""]}
    reasons = {row[0]: row[1:] for row in cells(page, '<table id="exit-counts">')[1:]}
    assert reasons["EXCEPTION"] == ["3", "0"] and reasons["all"] == ["4", "1"]


def test_a_walk_of_each_kind_is_drawn(page: str, run: Run) -> None:
    """Not the longest alone; of each kind the longest that did not fault."""
    made = report_memory.walks(run.trace)
    assert [each.kind for each in made] == ["SHADOW", "NESTED"]
    assert [len(each.figure.steps) for each in made] == [8, 24]
    assert [each.figure.title.split(",")[0] for each in made] == ["VM 1", "VM 2"]
    assert {(each.figure.count, each.figure.faults) for each in made} == {(4, 1)}
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids)) and page.count("<svg") == 2
    assert "VM 1: shadow tables" in parsed.words and "VM 2: nested tables" in parsed.words


def test_the_tables_stand_side_by_side(page: str) -> None:
    """At the stop before the end, since at the end nothing has changed."""
    words = Page(page).words
    assert "mmu=shadow, at checkpoint 'second'" in words and "since checkpoint 'first'" in words
    assert "its shadow, hPA" in words and "changed: guest had gPA 0x101000" in words
    assert page.count('<tr class="changed">') == 1 and ".tables tr.changed" in page


def test_a_vm_whose_paging_is_off_at_the_end(tmp_path: Path) -> None:
    """It has host memory, and no shadow: each row has as many cells as the head. Without either,
    that is said."""
    for mapped in (True, False):
        story = Story(tmp_path / "trace.bin")
        story.w.emit("shadow_root", vm=1, ns=40, groot=0, root=0, mode="OFF")
        for n in range(3 * mapped):
            story.w.emit("map", vm=1, ns=50 + n, gpa=n << 12, hpa=0x100_0000 + (n << 12), size=4096,
                         access=7)
        story.w.save()
        page = report.render(gather(str(tmp_path)))
        assert ("it has no table then" in page) != mapped
        if mapped:
            rows = cells(page, "Marked: what changed")
            assert len(rows) > 1 and len({len(row) for row in rows}) == 1


def test_the_commands_are_those_that_show_more(page: str, run: Run) -> None:
    given = [shlex.split(re.sub("&#39;", "'", found)) for found in
             re.findall(r"<code>/usr/bin/python3 (-m viz (?:exits|tables) .*?)</code>", page)]
    assert [words[2] for words in given] == ["exits", "tables", "tables"]
    assert all(run.path in words for words in given) and " " in run.path


def test_too_many_changes_are_left_to_the_command(run: Run,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_memory, "RECORDS", 3)
    (told,) = report_memory.side_by_side(run)
    assert told.made is None and "too many for this page" in told.problem


@pytest.mark.parametrize("mmu, vms, causes", [("shadow", [1], [1, 2]), ("vtlb", [], [1, 2])])
def test_a_guest_that_fills_its_tlb_has_no_tables(tmp_path: Path, mmu: str, vms: List[int],
                                                  causes: List[int]) -> None:
    told = gather(str(shadow_run(tmp_path / "trace.bin", mmu)))
    assert [each.vm for each in report_memory.side_by_side(told)] == vms
    assert list(report_memory.by_cause(told)) == causes


def test_nothing_of_it_where_no_vm_ran_on_a_shadow(run_path: Path, tmp_path: Path) -> None:
    found: Dict[str, Run] = {"nested": gather(str(run_path))}
    writer = TraceWriter(tmp_path / "t.bin", cmdline="trace=sched")
    found["not recorded"] = gather(str(writer.emit("vm_create", vm=1, args="x mmu=shadow").save()))
    for told in found.values():
        assert report_memory.by_cause(told) == {} and report_memory.side_by_side(told) == []
    text = report.render(found["not recorded"])
    assert "exit-causes" not in text and "side by side" not in text and "Not drawn" in text
