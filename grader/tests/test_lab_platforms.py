"""Every lab on every platform: the reference has full marks on both vendors and both emulators.

`make check` plays a few tests of labs 1 to 3 on Bochs, `make torture` all of all labs, hidden ones
included. What a lab asks of one vendor alone says so in the test itself.
"""
from __future__ import annotations

from pathlib import Path
from typing import Dict, Tuple

import pytest

from grader import labtoml
from grader.grading import grade
from grader.kit import mutant_trial
from grader.labtoml import Lab
from grader.plan import ROOT
from grader.tests import matrix

pytestmark = pytest.mark.machine

LABS = [labtoml.load(path, ROOT) for path in sorted(ROOT.glob("labs/*/lab.toml"))]
OTHERS = [name for name in matrix.ALL if name != matrix.DEFAULT]
# Of each lab, tests whose runs are short.
CHEAP: Dict[int, Tuple[str, ...]] = {
    1: ("test_a_guest_boots", "test_every_mode_starts"),
    2: ("test_a_tick_reaches_its_handler",),
    3: ("test_live_bvt",)}


def graded(lab: Lab, platform: str, folder: Path, only: Tuple[str, ...] = ()) -> Dict[str, object]:
    submission = mutant_trial.submission(ROOT, lab, folder / "s")
    return grade.grade(grade.Job(lab.number, submission, folder / "out", seed=1, only=only,
                                 quiet=True, pictures=False, platform=platform))


def lost(results: Dict[str, object]) -> Dict[str, str]:
    return {test["name"]: test["output"] for test in results["tests"]
            if test["score"] < test["max_score"]}


def labs(numbers) -> list:
    return [pytest.param(lab, id=lab.path.parent.name) for lab in LABS if lab.number in numbers]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("lab", labs(CHEAP))
def test_a_part_of_each_lab_on_the_other_platforms(lab, other, tmp_path):
    results = graded(lab, other, tmp_path, CHEAP[lab.number])
    assert not lost(results)
    assert len(results["tests"]) >= len(CHEAP[lab.number]) and results["score"] > 0
    assert results["extra_data"]["platform"] == other


@pytest.mark.long
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("lab", labs([lab.number for lab in LABS]))
def test_the_reference_has_all_points_on_the_other_platforms(lab, other, tmp_path):
    results = graded(lab, other, tmp_path)
    assert not lost(results)
    assert results["score"] == lab.points
