"""make autograder: the upload for Gradescope is run as Gradescope runs it; handin, score.

The layout is Gradescope's: the archive below source/, run_autograder copied beside it,
submission/ and results/; only /autograder itself is somewhere else.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from grader import labtoml, plan
from grader.kit import autograder, handin, objects, score
from grader.plan import ROOT, RunError
from grader.tests import toy


@pytest.fixture()
def root(tmp_path) -> Path:
    return toy.write(tmp_path / "toy")


def unpack(archive: Path, folder: Path) -> None:
    """As unzip does, with modes."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
        for entry in file.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777)


# --- What is in the archives ----------------------------------------------------------

def test_an_upload_has_its_two_scripts_at_the_top_and_no_solution(root, tmp_path):
    out = tmp_path / "lab2.zip"
    autograder.pack(root, 2, out)
    unpack(out, tmp_path / "source")
    assert sorted(os.listdir(tmp_path / "source")) == ["nestling", "run_autograder", "setup.sh"]
    for name in ("setup.sh", "run_autograder"):
        assert os.access(tmp_path / "source" / name, os.X_OK)
        subprocess.run(["bash", "-n", str(tmp_path / "source" / name)], check=True)
    project = tmp_path / "source" / "nestling"
    said = "\n".join(path.read_text() for path in project.rglob("*") if path.is_file())
    assert "secret_of_two" not in said and "secret_of_one" in said
    assert (project / "labs/2-toy/hidden/test_h.py").is_file()
    assert not (project / "labs/1-toy/hidden").exists() and not list(project.rglob("mutants"))
    assert "@LAB@" not in said and "--lab 2 " in (tmp_path / "source/run_autograder").read_text()


def test_a_tarball_has_one_folder_with_the_same_project(root, tmp_path):
    zipped = autograder.pack(root, 2, tmp_path / "lab2.zip")
    autograder.pack(root, 2, tmp_path / "grader-lab2.tar.gz")
    with tarfile.open(tmp_path / "grader-lab2.tar.gz") as archive:
        names = set(archive.getnames())
    assert names == {"grader-lab2/" + path[len("nestling/"):] for path in zipped
                     if path.startswith("nestling/")}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_equal_projects_give_equal_archives(root, tmp_path, name):
    for folder in ("one", "two"):
        autograder.pack(root, 1, tmp_path / folder / name)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_other_endings_and_labs_are_refused(root, tmp_path):
    with pytest.raises(RunError, match="ends in .zip"):
        autograder.pack(root, 1, tmp_path / "a.rar")
    with pytest.raises(RunError, match="there is no lab 9"):
        autograder.pack(root, 9, tmp_path / "a.zip")


def test_what_grades_a_class_is_complete_in_an_upload():
    """Every module of the kit that those in the upload import is in the upload."""
    from grader.kit import tree
    files = autograder.project(ROOT, 0, "")
    for path in files:
        if path.startswith("grader/kit/") and path.endswith(".py"):
            for module in tree._imports((ROOT / path).read_text()):
                wanted = module.replace(".", "/") + ".py"
                if module.startswith("grader.kit.") and (ROOT / wanted).is_file():
                    assert wanted in files, f"{path} imports {module}"


# --- The upload at work ------------------------------------------------------------------

@pytest.mark.machine
def test_the_upload_grades_as_gradescope_runs_it(tmp_path, torture):
    base, kept = tmp_path / "autograder", tmp_path / "tmp"
    autograder.pack(ROOT, 0, tmp_path / "lab0.zip")
    unpack(tmp_path / "lab0.zip", base / "source")
    assert torture or objects.lend(base / "source" / "nestling") > 50
    shutil.copy(base / "source" / "run_autograder", base / "run_autograder")
    kept.mkdir()
    (base / "results").mkdir()
    prediction = base / "submission" / "labs" / "0-first-hour" / "predictions.toml"
    prediction.parent.mkdir(parents=True)
    prediction.write_text("greedy = 50\n")
    environment = {"PATH": os.environ["PATH"], "AUTOGRADER_BASE": str(base), "TMPDIR": str(kept),
                   "PYTHON": sys.executable}
    done = subprocess.run([str(base / "run_autograder")], cwd=base, env=environment, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((base / "results" / "results.json").read_text())
    lab = labtoml.find(ROOT, 0)
    assert results["score"] == lab.points > 0
    for test in results["tests"]:
        assert {"name", "score", "max_score", "output", "visibility"} <= set(test)
        assert test["status"] in ("passed", "failed")
        assert test["visibility"] in ("visible", "hidden", "after_due_date", "after_published")
    assert not list(kept.iterdir()), "run_autograder leaves litter"


# --- The other small commands --------------------------------------------------------------

def test_handin_packs_the_students_files_and_nothing_else(root, tmp_path):
    lab = labtoml.find(root, 1)
    handin.pack(root, lab, tmp_path / "lab1.zip")
    with zipfile.ZipFile(tmp_path / "lab1.zip") as archive:
        assert archive.namelist() == list(lab.files)
        assert archive.read("src/one.c") == (root / "src" / "one.c").read_bytes()
    with pytest.raises(RunError, match="in lab 0 there is nothing to hand in"):
        handin.pack(root, labtoml.find(root, 0), tmp_path / "lab0.zip")


def test_score_prints_one_json_object_and_its_exit_code_tells(monkeypatch, tmp_path, capsys):
    from grader import __main__ as grader_main
    from grader.grading import grade

    def stand_in(job):
        print("progress")
        assert job.tests == "public" and job.lab == 0
        return {"score": 3, "tests": [
            {"name": "test_a", "score": 3, "max_score": 3, "status": "passed", "output": "",
             "tags": []},
            {"name": "test_b", "score": 0, "max_score": 1, "status": "failed", "output": "why",
             "tags": []}], "extra_data": {"trusted": True}}

    monkeypatch.setattr(grade, "grade", stand_in)
    words = ["score", "--lab", "0", "--submission", str(tmp_path)]
    assert grader_main.main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["score"], said["max_score"], said["trusted"]) == (3, 4, True)
    assert said["tests"][1] == {"name": "test_b", "score": 0, "max_score": 1, "status": "failed",
                                "output": "why"}
    assert grader_main.main([*words, "--least", "75"]) == 0
    assert grader_main.main([*words, "--least", "76"]) == 1
    monkeypatch.setattr(grade, "grade", refuse)
    capsys.readouterr()
    assert grader_main.main(words) == 2
    assert capsys.readouterr().out == ""


def refuse(job):
    raise plan.RunError("the emulator does not answer")
