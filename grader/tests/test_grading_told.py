"""What a grading says first: real failures, then the rest; and what a run that hangs shows."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from grader.grading import told
from grader.grading.api import Failed
from grader.grading.cli import summary
from grader.grading.lab import Lab
from grader.grading.plugin import FAILED, NOT_TRIED, PASSED
from grader.grading.verdict import first_error

HANGS = "it hangs: more than 20,000 exits in a row are IO"


def grading(*rows: Any, broken: str = "") -> Any:
    """A grading of tests (name, status, needs)."""
    cases = [{"name": name, "needs": list(needs), "hidden": False, "hint": "1.4", "points": 2,
              "title": f"Title of {name}."} for name, _, needs in rows]
    results = {name: {"name": name, "function": name.split("[")[0], "status": status, "repeat": [],
                      "contradictions": [], "message": f"why {name}"} for name, status, _ in rows}
    lab = SimpleNamespace(tell="hint", tell_hint=lambda hidden: True, number=1,
                          handout="handouts/lab1.md", visibility="visible")
    return SimpleNamespace(cases=cases, results=results, broken=broken, lab=lab,
                           seeds=SimpleNamespace(public=1))


CHAIN = (("test_fine", PASSED, []), ("test_boots", FAILED, []),
         ("test_a", NOT_TRIED, ["test_fine", "test_boots"]), ("test_b[2]", NOT_TRIED, ["test_a"]),
         ("test_other", FAILED, []), ("test_c", NOT_TRIED, ["test_other"]))


def contents(made: Any, remarks: str = "") -> Dict[str, Any]:
    tests = [told.test(made, number, case) for number, case in enumerate(made.cases, 1)]
    return {"tests": tests, "output": remarks, "score": 2, "execution_time": 3.0,
            "extra_data": {"lab": 1, "max_score": 12, "built": not made.broken,
                           "not_tried": told.not_tried(made)}}


def test_tests_that_were_not_tried_are_told_by_what_stands_in_their_way():
    assert told.not_tried(grading(*CHAIN)) == {"test_boots": ["test_a", "test_b[2]"],
                                               "test_other": ["test_c"]}


def test_real_failures_come_first_and_the_rest_in_a_line():
    lines = summary(contents(grading(*CHAIN)), Path("out"))
    heads = [line.split()[-1] for line in lines if line.startswith(("LOST", "ok"))]
    assert heads == ["test_boots", "test_other", "test_fine"]
    assert "2 tests not tried (they need test_boots)" in lines
    assert "1 test not tried (they need test_other)" in lines
    said = "\n".join(lines)
    assert "why test_boots" in said and "why test_a" not in said
    assert said.count("Read on") == 2


def test_what_was_not_tried_says_nothing_of_where_to_read_on():
    made = grading(*CHAIN)
    assert told.message(made, made.cases[2], made.results["test_a"]) == ["why test_a"]


def test_what_does_not_build_is_said_once_with_the_first_error():
    log = ("vmm/vcpu.c: In function 'x':\nvmm/vcpu.c:7:3: warning: odd\n"
           "vmm/vcpu.c:9:3: error: expected ';' before '}' token\nvmm/vcpu.c:11:1: error: two\n")
    error = first_error(log)
    assert error == "vmm/vcpu.c:9:3: error: expected ';' before '}' token"
    assert first_error("ld: x.o: in function `f':\na.c:3: undefined reference to `g'\n") \
        == "a.c:3: undefined reference to `g'"
    made = grading(*((name, FAILED, needs) for name, _, needs in CHAIN),
                   broken=f"it does not build; the first error: {error}")
    lines = summary(contents(made, made.broken), Path("out"))
    said = "\n".join(lines)
    assert said.count("does not build") == said.count(error) == 1
    assert lines[0] == ("6 tests not tried: it was not built; all that the compiler said is in "
                        "out/build.log")
    assert "Read on" not in said and "LOST" not in said


@pytest.mark.parametrize("reason, drawn", [("timeout", 1), ("panic", 1), ("todo", 0)])
def test_a_run_that_hangs_is_drawn_though_no_test_came_to_ask(reason: str, drawn: int) -> None:
    made = SimpleNamespace(json={"exit_reason": reason, "status": None, "trace": {"records": 9}},
                           sentence=HANGS)
    lab = Lab("test_x", 1, SimpleNamespace(make=lambda *_: made))  # type: ignore[arg-type]
    with pytest.raises(Failed, match="20,000 exits"):
        lab.run("hello")
    pictures: List[Any] = lab.pictures
    assert [(each.run, each.kind) for each in pictures] == [(made, "timeline")] * drawn


@pytest.mark.parametrize("count, said", [
    (2, "not looked at, since lab 5 does not take them: a.c, b.c"),
    (82, "not looked at, since lab 5 does not take them: 82 files, such as a.c")])
def test_files_that_are_not_taken_are_named_unless_there_are_many(count: int, said: str) -> None:
    made = SimpleNamespace(
        broken="", job=SimpleNamespace(tests="public", only=()), cases=[],
        box=SimpleNamespace(trusted=True, disposable=False), lab=SimpleNamespace(number=5, points=0),
        taken=SimpleNamespace(problems={}, ignored=["a.c", "b.c"], ignored_count=count))
    assert told.remarks(made) == [said]
