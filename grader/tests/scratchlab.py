"""A small lab of its own to grade: a tree with the project in it, and labs/98-scratch."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Dict

from grader.grading import grade
from grader.plan import ROOT

LAB = 98
COPIED = ("kernel", "vmm", "guests")    # time stamps included: nothing is built anew
LINKED = ("viz", "grader", "handouts", "build")
FILES = ("vmm/exit_cpuid.c", "vmm/exit_msr.c")
PREDICTIONS = f"labs/{LAB}-scratch/predictions.toml"

TOML = f"""
[lab]
number = {LAB}
name = "scratch"
title = "Scratch"
hours = 1
handout = "handouts/lab0.md"
[run]
option = ""
time = "1s"
guests = ["hello"]
[student]
files = ["vmm/exit_cpuid.c", "vmm/exit_msr.c", "{PREDICTIONS}"]
[points]
total = 10
[predict]
exits = "How many exits?"
"""


def tree(folder: Path, public: str, hidden: str = "", toml: str = "") -> Path:
    """The root of a tree whose only lab is the scratch lab with these tests."""
    root = folder / "tree"
    lab = root / "labs" / f"{LAB}-scratch"
    (lab / "hidden").mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name)
    shutil.copy2(ROOT / "Makefile", root / "Makefile")
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    (lab / "lab.toml").write_text(TOML + toml)
    (lab / "predictions.toml").write_text("")
    head = "from grader.grading import expect, points\n"
    (lab / "test_public.py").write_text(head + public)
    if hidden:
        (lab / "hidden" / "test_hidden.py").write_text(head + hidden)
    return root


def submission(folder: Path, **changes: str) -> Path:
    """The reference's files as a submission; changes: file name without folder -> its text."""
    place = folder / "submission"
    for name in FILES:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_text()
        path.write_text(changes.get(path.stem, text))
    predictions = place / PREDICTIONS
    predictions.parent.mkdir(parents=True, exist_ok=True)
    predictions.write_text("exits = 700\n")
    return place


def graded(folder: Path, root: Path, handed_in: Path, **options: Any) -> Dict[str, Any]:
    """Grade it, without pictures unless they are asked for; results.json's contents."""
    job = grade.Job(LAB, handed_in, folder / "out", root=root, quiet=True,
                    **{"pictures": False, **options})
    return grade.grade(job)


def by_name(results: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    """The tests of results.json by their names."""
    return {test["name"]: test for test in results["tests"]}
