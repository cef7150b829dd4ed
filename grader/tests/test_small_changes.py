"""One constant or operator of the schedulers changed: one of our checks sees it, or says why not.

The checks are those of grader/kit/small_trial.py: random workloads whose traces the oracle
agrees with, and the unit tests.  Here a sample is tried; with --torture everything.
"""
from __future__ import annotations

import random
from typing import List

import pytest

from grader.kit import small_trial
from grader.kit.small_changes import Change, all_changes
from grader.kit.small_trial import FILES, Trial
from grader.tests.hostbuild import make

SAMPLE, SEED = 8, 3
SOURCE = """#include "a<b.h" /* 1 < 2 */
#define C (50 * MCU) // 3
static bool f(const struct x *p)
{
    return !p->n && p->k[0x10] >= 7ull - '9'; /* "8" */
}
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    for target in sorted({check.target for checks in FILES.values() for check in checks}):
        make(target)
    return Trial(tmp_path_factory.mktemp("changes"))


def problems(trial: Trial, changes: List[Change]) -> List[str]:
    equal = small_trial.listed()
    found = [small_trial.wrong(each, trial.caught_by(each), equal) for each in changes]
    return [each for each in found if each]


def test_constants_and_operators_are_changed_and_nothing_else():
    changes = all_changes("f.c", SOURCE)
    assert [(each.line, each.old, each.new) for each in changes] == [
        (2, "50", "51"), (2, "50", "49"), (2, "*", "/"),
        (5, "!", ""), (5, "&&", "||"), (5, "0x10", "17"), (5, "0x10", "15"), (5, ">=", ">"),
        (5, "7ull", "8ull"), (5, "7ull", "6ull"), (5, "-", "+")]
    assert changes[1].text == "#define C (49 * MCU) // 3"
    assert changes[7].apply(SOURCE) == SOURCE.replace(">=", ">")


def test_what_is_listed_as_unseen_is_there(trial):
    there = {(each.file, each.text) for file in FILES for each in trial.changes(file)}
    assert not [key for key in small_trial.listed() if key not in there]


def test_a_sample_of_changes_is_caught(trial):
    equal = small_trial.listed()
    changes = [each for file in FILES for each in trial.changes(file)
               if (each.file, each.text) not in equal]
    assert not problems(trial, random.Random(SEED).sample(changes, SAMPLE))


def test_a_change_that_no_check_sees_is_told(trial, monkeypatch):
    """One that changes nothing, as if nobody had listed it; and one that is caught, as if listed."""
    monkeypatch.setitem(FILES, "vmm/sched/bvt.c", FILES["vmm/sched/bvt.c"][:1])
    changes = {each.text: each for each in trial.changes("vmm/sched/bvt.c")}
    unseen, seen = changes["if (u->bvt.avt <= bvt.svt)"], changes["return 11 * C;"]
    assert "no check sees" in (small_trial.wrong(unseen, trial.caught_by(unseen), {}) or "")
    by = trial.caught_by(seen)
    assert by and by in (small_trial.wrong(seen, by, {(seen.file, seen.text): "why"}) or "")


@pytest.mark.long
@pytest.mark.parametrize("file", FILES)
def test_every_change_is_caught_or_listed(trial, file):
    assert not problems(trial, trial.changes(file))
