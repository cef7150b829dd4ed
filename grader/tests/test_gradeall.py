"""Grading a class: what is graded again and what is not, tables, twins, interruptions.

A stand-in takes the place of `grader grade`, so that no machine runs here: it gives a point
for each line of the submission that says `right`.
"""
from __future__ import annotations

import argparse
import csv
import json
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from grader import labtoml, plan
from grader.kit import classlist, gradeall, gradeall_table
from grader.plan import RunError
from grader.tests import toy

STAND_IN = textwrap.dedent('''
    import json, pathlib, sys
    words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    out, source = pathlib.Path(words["--out"]), pathlib.Path(words["--submission"])
    log = pathlib.Path(words["--log"])
    log.write_text(log.read_text() + source.name + "\\n" if log.exists() else source.name + "\\n")
    text = (source / "src/one.c").read_text() if source.is_dir() else "right"
    if "hang" in text and not log.with_name("no-hang").exists():
        import signal
        (out / "half.txt").write_text("half")
        print("working", flush=True)
        signal.pause()
    if "refuse" in text:
        sys.exit("grader: the emulator does not answer")
    points = text.count("right")
    tests = [{"name": "test_a", "score": points, "max_score": 3, "status": "passed", "output": ""},
             {"name": "test_b", "score": 0, "max_score": 1, "status": "failed", "output": "x"}]
    record = {"seeds": {"public": "0x1", "hidden": "0x2", "nonce": "0x3"}, "score": points,
              "machine": {"nestling.elf": "ab"} if "broken" not in text else {},
              "results": [{"name": "test_a", "contradictions": ["they differ"]
                           if "forged" in text else []}]}
    (out / "results.json").write_text(json.dumps({
        "score": points, "execution_time": 1.5, "tests": tests, "output": "",
        "extra_data": {"trusted": True, "max_score": 4}}))
    (out / "record.json").write_text(json.dumps(record))
''')


class Class:
    """A toy project, a folder of submissions, and a command line that grades them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = toy.write(folder / "toy")
        self.submissions, self.out = folder / "in", folder / "out"
        self.submissions.mkdir()
        self.log = folder / "log"
        script = folder / "stand_in.py"
        script.write_text(STAND_IN)
        monkeypatch.setattr(plan, "ROOT", self.root)
        monkeypatch.setattr(gradeall.Course, "_command", lambda course, entry, out: [
            sys.executable, str(script), "--out", str(out), "--submission", str(entry.path),
            "--log", str(self.log)])

    def add(self, name: str, text: str) -> None:
        for file in ("src/one.c", "labs/1-toy/predictions.toml"):
            place = self.submissions / name / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text if file == "src/one.c" else "x = 1\n")

    def grade(self, *words: str) -> int:
        parser = argparse.ArgumentParser()
        gradeall.add(parser.add_subparsers())
        options = parser.parse_args(["grade-all", "--lab", "1", "--submissions",
                                     str(self.submissions), "--out", str(self.out), "--jobs", "1",
                                     *words])
        return options.work(options)

    def table(self) -> "dict[str, dict[str, str]]":
        with open(self.out / "results.csv", newline="") as file:
            return {row["name"]: row for row in csv.DictReader(file)}

    @property
    def graded(self) -> "list[str]":
        """What was graded since the last look."""
        names = self.log.read_text().split() if self.log.exists() else []
        self.log.write_text("")
        return sorted(names)


@pytest.fixture()
def course(tmp_path, monkeypatch) -> Class:
    made = Class(tmp_path, monkeypatch)
    made.add("ada", "int right; int right2;\n")
    made.add("bob", "int right;\n")
    return made


def test_a_folder_becomes_a_table(course, capsys):
    assert course.grade() == 0
    row = course.table()["ada"]
    assert (row["score"], row["max_score"], row["test_a"], row["test_b"]) == ("2", "4", "2", "0")
    assert (row["built"], row["trusted"], row["contradictions"]) == ("yes", "yes", "0")
    assert (row["seed_hidden"], row["nonce"]) == ("0x2", "0x3")
    said = capsys.readouterr()
    assert "2 of 2 graded, on average 1.5 points" in said.out
    assert "1 of 2" in said.err and "2 of 2  bob: 1 points" in said.err


def test_archives_are_submissions_too(course):
    with zipfile.ZipFile(course.submissions / "eve.zip", "w") as archive:
        archive.writestr("src/one.c", "int x;\n")
    (course.submissions / "notes.txt").write_text("not one\n")
    course.grade()
    assert set(course.table()) == {"ada", "bob", "eve"}


def test_what_is_graded_is_not_graded_again_until_something_changes(course):
    course.grade()
    assert course.graded == ["ada", "bob"]
    course.grade()
    assert course.graded == []
    course.add("bob", "int right, right1, right2;\n")
    course.grade()
    assert course.graded == ["bob"] and course.table()["bob"]["score"] == "3"
    course.grade("--seed", "5")
    assert course.graded == ["ada", "bob"]
    (course.root / "labs" / "1-toy" / "hidden" / "test_h.py").write_text("# another test\n")
    course.grade("--seed", "5")
    assert course.graded == ["ada", "bob"]


def test_one_that_was_killed_is_done_again_and_the_others_are_not(course):
    course.add("carol", "int hang;\n")
    original = gradeall.Course._run

    def kill_carol(self, command, lock):
        if "carol" not in str(command):
            return original(self, command, lock)
        kill_when_it_works(command, lock)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradeall.Course, "_run", kill_carol)
        with pytest.raises(KeyboardInterrupt):
            course.grade()
    assert (course.out / "carol" / "half.txt").exists()
    assert not (course.out / "carol" / gradeall.DONE).exists() and course.graded
    course.log.with_name("no-hang").write_text("")
    assert course.grade() == 0
    assert course.graded == ["carol"] and "carol" in course.table()


def kill_when_it_works(command, lock) -> None:
    """Start a grading that hangs, and kill it."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=(lock,))
    assert child.stdout.readline() == "working\n"
    child.kill()
    child.wait()


def test_an_interruption_ends_the_gradings_that_run(course):
    course.add("carol", "int hang;\n")
    options = argparse.Namespace(jobs=1, lab=1, tests="all", seed=None, records=None,
                                 disposable=False, out=course.out)
    running = gradeall.Course(options, [], "kit")
    child = subprocess.Popen([sys.executable, "-c", "import signal; print(1, flush=True); "
                              "signal.pause()"], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    running.children.add(child)
    running._stop()
    assert child.wait() == -signal.SIGTERM
    assert running._run(["true"], 0) == (-1, "interrupted")


def test_what_cannot_be_graded_is_told_and_tried_again(course, capsys):
    course.add("dan", "int refuse;\n")
    (course.submissions / "eve.zip").write_text("no zip\n")
    assert course.grade() == 2
    table, said = course.table(), capsys.readouterr().out
    assert table["dan"]["error"] == "the emulator does not answer" and table["eve"]["error"]
    assert "dan: not graded: the emulator does not answer" in said
    assert course.graded == ["ada", "bob", "dan"]
    course.grade()
    assert course.graded == ["dan"]


def test_a_regrade_tells_whose_score_differs(course, tmp_path, capsys):
    course.grade()
    first, course.out = course.out, tmp_path / "again"
    assert course.grade("--records", str(first)) == 0
    course.add("bob", "int right, right1;\n")
    assert course.grade("--records", str(first)) == 1
    assert "bob: 2 points, 1 before" in capsys.readouterr().out
    assert course.table()["bob"]["before"] == "1"
    course.add("new", "int right;\n")
    with pytest.raises(RunError, match="new has no record to repeat"):
        course.grade("--records", str(first))


def test_equal_program_text_is_shown_and_untouched_files_are_nobodys(course):
    given = (course.root / "src" / "one.c").read_text()
    from grader.kit import regions
    course.add("bob", "/* mine */ int right;\nint right2;")
    course.add("x1", regions.strip(given, "one.c", 1))
    course.add("x2", regions.strip(given, "one.c", 1) + "\n")
    course.grade()
    table = course.table()
    assert table["ada"]["same_as"] == "bob: src/one.c" and table["bob"]["same_as"] == (
        "ada: src/one.c")
    assert table["ada"]["hash src/one.c"] == table["bob"]["hash src/one.c"] != "as given"
    assert table["x1"]["hash src/one.c"] == "as given" and table["x1"]["same_as"] == ""
    assert (course.out / "index.html").read_text().count("every file is as it was given") == 2


def test_flags(course):
    course.add("liar", "int right; // broken forged\n")
    course.grade()
    row = course.table()["liar"]
    assert row["built"] == "no" and row["contradictions"] == "1"
    page = (course.out / "index.html").read_text()
    assert "does not build" in page and "contradict each other in 1 tests" in page


def test_names_do_no_harm(course):
    for name in ("=1+2", "<b>x", "a b", ".hidden", "-rf"):
        course.add(name, "int right;\n")
    course.grade()
    assert set(course.table()) == {"ada", "bob", "'=1+2", "<b>x", "a b", "'-rf"}
    page = (course.out / "index.html").read_text()
    assert "<b>" not in page and "&lt;b&gt;x" in page
    folders = {entry.folder for entry in classlist.find(course.submissions)}
    assert len(folders) == 6 and not [name for name in folders if set(name) & set("<>= /")]


@pytest.mark.parametrize("spoil, what", [
    (lambda folder: (folder / "ada.tar").write_text(""), "two submissions are named ada"),
    (lambda folder: [entry.rename(folder.parent / entry.name) for entry in folder.iterdir()],
     "holds no submission"),
])
def test_a_folder_that_cannot_be_meant_is_told(course, spoil, what):
    spoil(course.submissions)
    with pytest.raises(RunError, match=what):
        course.grade()


def test_the_command_that_is_run_is_one_that_parses(course, monkeypatch, tmp_path):
    from grader import __main__ as grader_main
    monkeypatch.undo()
    options = argparse.Namespace(jobs=1, lab=1, tests="all", seed="0x5", records=None,
                                 disposable=True, out=tmp_path)
    entry = classlist.Entry("ada", Path("in/ada"))
    words = gradeall.Course(options, [entry], "kit")._command(entry, tmp_path / "ada")
    parsed = grader_main._parse(words[3:])
    assert (parsed.lab, parsed.seed, parsed.disposable, parsed.tests) == (1, 5, True, "all")


def test_three_hundred_are_no_burden_to_list(tmp_path):
    root = toy.write(tmp_path / "toy")
    for number in range(300):
        place = tmp_path / "in" / f"s{number:03}" / "src"
        place.mkdir(parents=True)
        (place / "one.c").write_text(f"int a{number % 100};\n")
    entries = classlist.find(tmp_path / "in")
    classlist.examine(entries, root, labtoml.find(root, 1))
    same = classlist.twins(entries)
    assert len(entries) == 300 and same["s000"] == {"src/one.c": ["s100", "s200"]}
    rows = [gradeall_table.Row(entry.name, entry.folder, same_as=same[entry.name])
            for entry in entries]
    gradeall_table.write(rows, labtoml.find(root, 1), tmp_path)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 301
    assert json.dumps(same)
