"""Mutants: each rule of their files broken once, and how a grading is compared.

On a toy project, with results as a grading leaves them.  The mutants of the real labs are
graded in test_lab_mutants.py.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Dict

import pytest

from grader import labtoml
from grader.kit import mutant_trial, mutants
from grader.kit.mutants import Mutant, MutantError
from grader.tests import toy

GOOD = '''mistake = "the helper's result is forgotten"
file = "src/one.c"
loses = { test_sum = 5 }
passes = ["test_boot"]
reason = "sum"
[[change]]
old = "secret_helper_of_one(x);"
new = "x;"
'''
TESTS = '''from grader.grading import points

@points(5)
def test_sum(lab):
    """Sums."""

@points(1)
def test_boot(lab):
    """Boots."""
'''


@pytest.fixture()
def root(tmp_path) -> Path:
    made = toy.write(tmp_path / "toy")
    (made / "labs/1-toy/test_one.py").write_text(TESTS)
    return made


def load(root: Path, text: str) -> Mutant:
    path = root / "labs/1-toy/mutants/m.toml"
    path.write_text(text)
    return mutants.load(path, root, labtoml.find(root, 1))


def test_a_mutant_is_the_reference_with_its_changes(root):
    mutant = load(root, GOOD)
    original = (root / "src/one.c").read_text()
    assert mutant.text == original.replace("= secret_helper_of_one(x)", "= x")
    assert (mutant.name, mutant.loses, mutant.tests) == ("m", {"test_sum": 5},
                                                         ("test_sum", "test_boot"))
    made = mutant_trial.submission(root, labtoml.find(root, 1), root.parent / "s",
                                   {mutant.file: mutant.text})
    assert (made / "src/one.c").read_text() == mutant.text
    assert (made / "labs/1-toy/predictions.toml").is_file()
    assert sorted(path.name for path in made.rglob("*") if path.is_file()) == [
        "one.c", "predictions.toml"]


@pytest.mark.parametrize("old, new, what", [
    ('mistake = "the', 'mistaken = "the', "unknown key mistaken"),
    ('reason = "sum"', 'reason = ""', "reason is missing or empty"),
    ('reason = "sum"', "reason = 3", "reason is of the wrong type"),
    ('file = "src/one.c"', 'file = "src/two.c"', "src/two.c is none of the student's files"),
    ("test_sum = 5", "test_summ = 5", "there is no test test_summ"),
    ("test_sum = 5", "test_sum = 0", "test_sum = 0 are no points"),
    ('["test_boot"]', '["test_boott"]', "there is no test test_boott"),
    ('["test_boot"]', "[]", "passes is missing or empty"),
    ('["test_boot"]', '["test_sum"]', "test_sum cannot both pass and lose"),
    ("secret_helper_of_one(x);", "secret_of_none;", "old occurs 0 times"),
    ('old = "secret_helper_of_one(x);"', 'old = "secret"', "old occurs 4 times"),
    ('new = "x;"', 'new = "secret_helper_of_one(x);"', "0 lines are changed"),
    ('new = "x;"', 'new = "1\\n\\n\\n\\n\\n;"', "6 lines are changed; 1 to 5"),
    ('new = "x;"', 'newer = "x;"', "has old and new"),
    ('old = "secret_helper_of_one(x);"', 'old = "int one(int x);"', "lies in no marked region"),
    ("[[change]]", "[[change", "m.toml: "),
    ("[[change]]", 'by_chance = ["test_sum"]\n[[change]]', "by_chance: a test that is also"),
    ("[[change]]", 'by_chance = ["test_summ"]\n[[change]]', "there is no test test_summ"),
])
def test_each_rule_is_enforced(root, old, new, what):
    assert old in GOOD
    with pytest.raises(MutantError) as caught:
        load(root, GOOD.replace(old, new))
    assert what in str(caught.value) and "mutants/m.toml: " in str(caught.value)


def test_two_changes_are_counted_together(root):
    both = GOOD + '[[change]]\nold = "x * 7919"\nnew = "x *\\n\\n\\n 7919"\n'
    assert mutants.changed_lines((root / "src/one.c").read_text(), load(root, both).text) == 5
    with pytest.raises(MutantError, match="6 lines are changed"):
        load(root, both.replace("7919\"\n", "7919 + \\n 1\"\n", 2).replace('old = "x * 7919 + \\n 1"',
                                                                          'old = "x * 7919"'))


# --- Comparing ------------------------------------------------------------------------

def mutant(loses: Dict[str, float], passes=("test_boot",), reason: Any = "sum") -> Mutant:
    return Mutant("m", Path("m.toml"), "wrong", "src/one.c", loses, passes, reason, "")


def graded(**tests: Any) -> Dict[str, Any]:
    """name = (score, of, status, message)."""
    return {"tests": [{"name": name, "score": score, "max_score": most, "output": message,
                       "status": "passed" if status == "passed" else "failed"}
                      for name, (score, most, status, message) in tests.items()]}


def compare(made: Mutant, log: str = "  CC src/one.c\n", **tests: Any) -> "list[str]":
    record = {"results": [{"name": name, "status": status, "message": message}
                          for name, (_, _, status, message) in tests.items()]}
    return mutant_trial.compare(made, graded(**tests), record, log).wrong


BOOT = (1, 1, "passed", "")
SUM = (0, 5, "failed", "the sum is wrong")


def test_a_mutant_that_does_as_it_should():
    assert compare(mutant({"test_sum": 5}), test_boot=BOOT, test_sum=SUM) == []


@pytest.mark.parametrize("made, tests, what", [
    (mutant({"test_sum": 5}), {"test_boot": BOOT, "test_sum": (5, 5, "passed", "")},
     "test_sum should lose 5 points and loses 0"),
    (mutant({"test_sum": 4}), {"test_boot": BOOT, "test_sum": SUM},
     "test_sum should lose 4 points and loses 5"),
    (mutant({"test_sum": 5}), {"test_boot": (0, 1, "failed", "no sum"), "test_sum": SUM},
     "test_boot should lose 0 points and loses 1"),
    (mutant({"test_sum": 5}), {"test_boot": BOOT}, "test_sum was not graded"),
    (mutant({"test_sum": 5}), {"test_sum": SUM}, "test_boot should pass and does not"),
    (mutant({"test_sum": 5}, reason="CR2"), {"test_boot": BOOT, "test_sum": SUM},
     "no failed test says 'CR2': the sum is wrong"),
    (mutant({"test_sum": 5}, reason={"test_sum": "CR2"}), {"test_boot": BOOT, "test_sum": SUM},
     "test_sum does not say 'CR2': the sum is wrong"),
    (mutant({"test_sum": 5}), {"test_boot": BOOT, "test_sum": (0, 5, "error", "KeyError: sum")},
     "test_sum: KeyError: sum"),
])
def test_whatever_is_not_as_named_is_told(made, tests, what):
    assert any(what in sentence for sentence in compare(made, **tests))


def test_a_mutant_builds_without_a_warning():
    log = "  CC src/one.c\nsrc/one.c:3: warning: unused variable\n"
    assert compare(mutant({"test_sum": 5}), log, test_boot=BOOT, test_sum=SUM) == [
        "does not build cleanly: src/one.c:3: warning: unused variable"]


def test_a_name_without_parameters_stands_for_all_cases():
    tests = {"test_boot": BOOT, "test_sum[1]": SUM, "test_sum[2]": SUM}
    assert compare(mutant({"test_sum": 5}), **tests) == []
    assert compare(mutant({"test_sum[1]": 5}), **tests) == [
        "test_sum[2] should lose 0 points and loses 5: the sum is wrong"]


def test_what_is_left_to_chance_may_fail_or_pass():
    made = replace(mutant({"test_sum": 5}), by_chance=("test_luck",))
    for luck in ((3, 3, "passed", ""), (0, 3, "failed", "bad luck")):
        assert compare(made, test_boot=BOOT, test_sum=SUM, test_luck=luck) == []


def test_the_command_refuses_a_name_that_is_not_there(capsys):
    from grader import __main__ as grader_main
    assert grader_main.main(["mutants", "--lab", "0", "--only", "nonesuch"]) == 2
    assert "lab 0 has no mutant nonesuch" in capsys.readouterr().err
