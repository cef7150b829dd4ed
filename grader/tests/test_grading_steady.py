"""The same submission and seed: the same verdict, however often and however busy the machine is.

Three gradings, of which the second and the third share the CPUs with processes that do
nothing but spin.  Points and messages must be the same, to the nanosecond of virtual time;
the nonces differ, as they must.
"""
from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest

from grader import labtoml
from grader.grading import grade
from grader.kit import mutant_trial, mutants
from grader.plan import ROOT
from grader.tests import scratchlab

pytestmark = pytest.mark.machine

LABS = [labtoml.load(path, ROOT) for path in sorted(ROOT.glob("labs/[12]-*/lab.toml"))]
GRADINGS = 3

PUBLIC = '''
@points(4)
def test_timers(lab):
    """Two timers and one who never halts, from a seed."""
    run = lab.run("ticker -- hz=%d" % lab.random("hz").randint(50, 300), "ticker -- hz=250",
                  "greedy", time="200ms")
    delivered = run.trace.select("timer_delivered")
    expect(False, f"so many deliveries: {len(delivered)}, at {int(delivered.ns.sum())} ns in all")

@points(6)
def test_right(lab):
    """A guest boots."""
    expect(lab.run("hello").json["status"] == 0, "hello did not end well")
'''


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that spin."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(number)]
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()


def verdicts(do: Callable[[Path], Dict[str, Any]], folder: Path) -> List[Dict[str, Any]]:
    """What each grading found, with one more spinning process at each."""
    found = []
    for number in range(GRADINGS):
        place = folder / str(number)
        place.mkdir()
        with busy(number * (os.cpu_count() or 1) // 2):
            results = do(place)
        tests = {test["name"]: (test["score"], test["output"].replace(str(place), ""))
                 for test in results["tests"]}
        found.append({"score": results["score"], "tests": tests})
    return found


def test_three_gradings_are_one(tmp_path):
    root = scratchlab.tree(tmp_path, PUBLIC)
    handed_in = scratchlab.submission(tmp_path)
    first, *others = verdicts(lambda place: scratchlab.graded(place, root, handed_in, seed=5),
                              tmp_path)
    assert first["score"] == 6
    assert "so many deliveries" in first["tests"]["test_timers"][1]
    assert others == [first] * (GRADINGS - 1)


@pytest.mark.long
@pytest.mark.parametrize("lab", [pytest.param(lab, id=lab.path.parent.name) for lab in LABS])
@pytest.mark.parametrize("wrong", [False, True], ids=["reference", "mutant"])
def test_three_gradings_of_a_lab_are_one(tmp_path, lab, wrong):
    mutant = mutants.load_all(ROOT, lab)[0]
    changed = {mutant.file: mutant.text} if wrong else {}
    handed_in = mutant_trial.submission(ROOT, lab, tmp_path / "s", changed)
    first, *others = verdicts(
        lambda place: grade.grade(grade.Job(lab.number, handed_in, place / "out", seed=5,
                                            quiet=True)), tmp_path)
    assert (first["score"] == lab.points) != wrong
    assert others == [first] * (GRADINGS - 1)
