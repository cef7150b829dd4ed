"""Gradings from end to end, on a small lab: scores, dependencies, who is told what, regrades."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Dict

import pytest

from grader.grading import sandbox
from grader.plan import ROOT, RunError
from grader.tests import scratchlab
from grader.tests.scratchlab import by_name, graded

pytestmark = pytest.mark.machine

PUBLIC = '''
@points(4, hint="0.1")
def test_boots(lab):
    """A guest boots."""
    run = lab.run("hello")
    lab.measure("exits", len(run.exits))
    lab.picture(run, "timeline")
    expect(run.json["status"] == 0, "hello did not end well")

@points(2, hint="0.2", needs="test_boots")
def test_wrong(lab):
    """This is never right."""
    run = lab.run("hello")
    lab.picture(run, "walk", vm=1)
    expect(len(run.exits) < 5, f"expected less than 5 exits, saw {len(run.exits)}")

@points(1, needs=["test_wrong"])
def test_after(lab):
    """This comes after it."""
    lab.run("ticker -- hz=100 ticks=5")
'''
HIDDEN = '''
@points(3, hint="0.3", needs="test_boots")
def test_secret(lab):
    """Hidden: other numbers."""
    expect(lab.seed == 1, f"expected 1, saw the seed {lab.seed:#x}")
    expect(lab.random("a").random() != lab.random("b").random(), "the same numbers twice")
'''


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Dict[str, Any]:
    """One grading of the reference that several tests look at."""
    folder = tmp_path_factory.mktemp("first")
    root = scratchlab.tree(folder, PUBLIC, HIDDEN)
    handed_in = scratchlab.submission(folder)
    (handed_in / "conftest.py").write_text("raise SystemExit('executed')\n")
    (handed_in / "Makefile").write_text("$(shell touch executed)\n")
    before = {key: os.environ.get(key) for key in ("PYTEST_ADDOPTS", "PYTHONPATH")}
    os.environ.update(PYTEST_ADDOPTS="--nonsense", PYTHONPATH=str(handed_in))
    try:
        results = graded(folder, root, handed_in, pictures=True)
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
    return {"folder": folder, "root": root, "handed in": handed_in, "results": results,
            "tests": by_name(results), "out": folder / "out",
            "record": json.loads((folder / "out/record.json").read_text())}


def test_points_are_given_and_lost(first):
    assert {name: test["score"] for name, test in first["tests"].items()} == {
        "test_boots": 4, "test_wrong": 0, "test_after": 0, "test_secret": 0}
    assert first["results"]["score"] == 4
    assert [test["max_score"] for test in first["results"]["tests"]] == [4, 2, 1, 3]
    assert first["results"]["extra_data"]["max_score"] == 10


def test_what_needs_a_lost_test_is_not_tried(first):
    after = first["tests"]["test_after"]
    assert "not tried" in after["tags"] and "needs test_wrong" in after["output"]
    runs = {each["name"]: each["runs"] for each in first["record"]["results"]}
    assert runs["test_after"] == [] and runs["test_boots"] == runs["test_wrong"] != []


def test_a_lost_test_says_what_where_and_how_again(first):
    said = first["tests"]["test_wrong"]["output"]
    assert said.startswith("This is never right.\nexpected less than 5 exits, saw ")
    assert "handouts/lab0.md, section 0.2" in said
    assert f"make grade LAB={scratchlab.LAB} SUBMISSION=. ONLY=test_wrong" in said
    assert "grader run --guest hello" in said


def test_a_hidden_test_tells_its_title_and_hint_only(first):
    secret = first["tests"]["test_secret"]
    assert secret["output"] == "Hidden: other numbers.\nRead on: handouts/lab0.md, section 0.3"
    kept, = [each for each in first["record"]["results"] if each["name"] == "test_secret"]
    assert "saw the seed" in kept["message"]
    hidden_seed = first["record"]["seeds"]["hidden"]
    for name in ("results.json", "report.html", "junit.xml", "build.log"):
        text = (first["out"] / name).read_text()
        assert hidden_seed not in text and "saw the seed" not in text


@pytest.mark.parametrize("tell, message, hint", (("message", True, True),
                                                 ("nothing", False, False)))
def test_the_lab_says_what_is_told_of_hidden_tests(tmp_path, tell, message, hint):
    root = scratchlab.tree(tmp_path, "", HIDDEN.replace(', needs="test_boots"', ""),
                           f'[hidden]\ntell = "{tell}"\n')
    results = graded(tmp_path, root, scratchlab.submission(tmp_path), seed=7)
    said = by_name(results)["test_secret"]["output"]
    assert ("expected 1, saw the seed" in said) == message
    assert ("section 0.3" in said) == hint and "Hidden: other numbers." in said
    for name in ("report.html", "junit.xml"):
        assert ("saw the seed" in (tmp_path / "out" / name).read_text()) == message


def test_nothing_of_the_submission_is_executed(first):
    assert not list(first["folder"].rglob("executed"))
    assert "conftest.py" in first["results"]["output"]


def test_the_files_are_what_other_programs_expect(first):
    tests = first["results"]["tests"]
    fields = {"name", "number", "score", "max_score", "status", "output", "visibility", "tags"}
    assert all(set(test) == fields for test in tests)
    assert [test["number"] for test in tests] == ["1", "2", "3", "4"]
    assert {test["visibility"] for test in tests} == {"visible"}
    assert json.loads((first["out"] / "results.json").read_text()) == first["results"]
    suite = ElementTree.parse(first["out"] / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "1")


def test_the_report_shows_predictions_and_pictures(first):
    text = (first["out"] / "report.html").read_text()
    assert "How many exits?" in text and ">700<" in text
    assert text.count("data:image/png;base64,") == 1 and "ou predicted 700" not in text
    assert "How many exits? You predicted 700, measured: " in first["results"]["output"]
    assert "http" not in text.replace("http-equiv", "")
    predicted, = first["results"]["extra_data"]["predictions"]
    assert predicted["predicted"] == 700 and predicted["measured"] > 100


def test_only_what_is_said_stays(first):
    names = {path.name for path in first["out"].iterdir()}
    assert names == {".nestling-grading", "results.json", "junit.xml", "report.html", "record.json",
                     "build.log", "judge.log", "runs", "machine"}
    assert not list((first["out"] / "runs").rglob("memory.bin"))


def test_a_regrade_by_the_record_is_the_same(first, tmp_path):
    again = graded(tmp_path, first["root"], first["handed in"],
                   record=first["out"] / "record.json")
    record = json.loads((tmp_path / "out/record.json").read_text())
    assert record["seeds"] == first["record"]["seeds"]
    assert "regraded by its record: nothing differs" in again["output"]
    traces = [{path.parent.name: path.read_bytes() for path in out.rglob("trace.bin")}
              for out in (tmp_path / "out", first["out"])]
    assert traces[0] == traces[1] != {}


def test_without_a_record_hidden_seeds_are_fresh_and_a_seed_fixes_them(first, tmp_path):
    seeds = []
    for number, seed in enumerate((None, 7, 7)):
        place = tmp_path / str(number)
        place.mkdir()
        graded(place, first["root"], first["handed in"], seed=seed, only=("test_secret",))
        record = json.loads((place / "out/record.json").read_text())
        assert [case["name"] for case in record["cases"]] == ["test_boots", "test_secret"]
        seeds.append((record["seeds"]["public"], record["seeds"]["hidden"]))
    assert seeds[0] != seeds[1] == seeds[2] and seeds[1][0] == "0x7"
    assert seeds[0] != (first["record"]["seeds"]["public"], first["record"]["seeds"]["hidden"])


def test_public_tests_alone(first, tmp_path):
    results = graded(tmp_path, first["root"], first["handed in"], tests="public",
                     only=("test_boots",))
    assert list(by_name(results)) == ["test_boots"]


# --- Submissions that go wrong -------------------------------------------------------

def test_a_missing_file_costs_everything_and_is_named(first, tmp_path):
    handed_in = scratchlab.submission(tmp_path)
    (handed_in / "vmm/exit_msr.c").unlink()
    results = graded(tmp_path, first["root"], handed_in)
    assert results["score"] == 0
    assert "vmm/exit_msr.c is missing" in results["output"]
    assert all("vmm/exit_msr.c is missing" in test["output"] for test in results["tests"])
    assert not list((tmp_path / "out/runs").iterdir())


def test_what_does_not_build_scores_nothing_and_shows_why(first, tmp_path):
    handed_in = scratchlab.submission(tmp_path, exit_msr="#error not yet\n")
    results = graded(tmp_path, first["root"], handed_in)
    assert results["score"] == 0 and "does not build" in results["output"]
    assert "not yet" in (tmp_path / "out/build.log").read_text()
    assert "not yet" in (tmp_path / "out/report.html").read_text()


def test_where_there_is_no_sandbox_the_score_says_so(first, tmp_path):
    kind = sandbox.LIMITS_ONLY
    results = graded(tmp_path, first["root"], first["handed in"], sandbox=kind,
                     only=("test_boots",))
    assert results["score"] == 4 and results["extra_data"]["trusted"] is False
    assert "not to be trusted" in results["output"]
    again = graded(tmp_path, first["root"], first["handed in"], sandbox=kind, disposable=True,
                   only=("test_boots",))
    assert again["extra_data"]["trusted"] is True and "disposable" in again["output"]


# --- The grader's own failures --------------------------------------------------------

def grade_command(first, out: Path, *more: str) -> subprocess.Popen:
    words = [sys.executable, "-c", "import sys; from grader.tests import scratchlab as s; "
             "from pathlib import Path; from grader.grading import grade; "
             "grade.grade(grade.Job(s.LAB, Path(sys.argv[1]), Path(sys.argv[2]), "
             "root=Path(sys.argv[3])))"]
    return subprocess.Popen(words + [str(first["handed in"]), str(out), str(first["root"])],
                            cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_killed_while_it_works_it_leaves_nobody_and_grades_the_same_again(first, tmp_path):
    out = tmp_path / "out"
    process = grade_command(first, out)
    for line in process.stderr:
        if line.startswith("test 1"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    results = graded(tmp_path, first["root"], first["handed in"])
    assert results["score"] == 4 and not (out / "work").exists()
    mine = str(out).encode()
    left = [name for name in filter(str.isdigit, os.listdir("/proc"))
            if mine in _cmdline(name)]
    assert left == []


def _cmdline(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("tests, said", (
    ("@points(1)\ndef test_a(lab):\n    pass\n" * 1 + "def test_b(lab):\n    pass\n", "no @points"),
    ("@points(1, needs='test_x')\ndef test_a(lab):\n    pass\n", "needs test_x"),
    ("syntax error\n", "rror")))
def test_a_broken_lab_is_the_graders_failure(tmp_path, tests, said):
    root = scratchlab.tree(tmp_path, tests)
    with pytest.raises(RunError, match=said):
        graded(tmp_path, root, scratchlab.submission(tmp_path))


def test_a_kit_that_does_not_build_is_the_graders_failure(tmp_path):
    """Nobody gets 0 for what stands in a file that is not the student's."""
    root = scratchlab.tree(tmp_path, PUBLIC)
    (root / "build").unlink()   # it is everybody's
    shutil.copytree(ROOT / "build/obj", root / "build/obj")
    shutil.copytree(ROOT / "build/guests", root / "build/guests")
    with (root / "vmm/exit_cpuid.c").open("a") as students:
        students.write("#error half done\n")
    assert graded(tmp_path, root, scratchlab.submission(tmp_path), only=("test_boots",))["score"] == 4
    with (root / "vmm/sched/rr.c").open("a") as kits:
        kits.write("#error half done\n")
    with pytest.raises(RunError, match="the kit itself does not build.*: vmm/sched/rr "):
        graded(tmp_path, root, scratchlab.submission(tmp_path))


def test_a_folder_of_somebody_elses_is_not_cleared(first, tmp_path):
    (tmp_path / "out/runs").mkdir(parents=True)
    (tmp_path / "out/runs/mine").write_text("x")
    with pytest.raises(RunError, match="no grading left"):
        graded(tmp_path, first["root"], first["handed in"])
    assert (tmp_path / "out/runs/mine").read_text() == "x"
    with pytest.raises(RunError, match="holds the kit itself"):
        scratchlab.grade.grade(scratchlab.grade.Job(scratchlab.LAB, first["handed in"], ROOT,
                                                    root=first["root"], quiet=True))


def fields_of(title: str) -> set:
    """The fields that a table of formats.md names below this text."""
    text = (ROOT / "handouts/formats.md").read_text().split("## 7.")[1].split(title)[1]
    rows = [line for line in text.split("\n\n| ")[1].splitlines() if line.startswith("|")][1:]
    return {name.strip() for row in rows for name in row.split("|")[1].split(",")}


def test_the_formats_page_tells_of_every_field(first):
    assert fields_of("**results.json**") == set(first["results"]["tests"][0])
    assert fields_of("**record.json**") == set(first["record"])
    page = (ROOT / "handouts/formats.md").read_text()
    assert all(f"`{name}`" in page for name in first["results"]["extra_data"])
    assert all(f"`{name}`" in page for name in set(first["results"]) - {"extra_data",
                                                                       "output_format"})
