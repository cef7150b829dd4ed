"""Every mutant of every lab loses exactly the points that it names, for the reason it names.

Each is the reference with a mistake that students make, built and graded as a submission
is, with the tests it names (those of `often`, if it has that) and one seed; with --torture,
with all tests.  What a mutant's file must be like is tried in test_mutants.py.
"""
from __future__ import annotations

from typing import List, Set, Tuple

import pytest

from grader import labtoml
from grader.grading import grade
from grader.kit import mutant_trial, mutants
from grader.labtoml import Lab
from grader.plan import ROOT

LEAST = 12  # mutants of a lab in which something is to be written
LABS = [labtoml.load(path, ROOT) for path in sorted(ROOT.glob("labs/*/lab.toml"))]
WRITTEN = [lab for lab in LABS if any(file.endswith((".c", ".S")) for file in lab.files)]


def named() -> List[Tuple[Lab, str]]:
    """Every mutant by its name: a broken one fails alone, not all of them."""
    return [(lab, path.name) for lab in LABS
            for path in sorted(lab.path.parent.glob("mutants/*.toml"))]


@pytest.mark.machine
@pytest.mark.parametrize("lab, name", [
    pytest.param(lab, name, id=f"lab{lab.number}-{name[:-5]}") for lab, name in named()])
def test_the_mutant_loses_what_it_names(lab, name, torture):
    mutant = mutants.load(lab.path.parent / "mutants" / name, ROOT, lab)
    trial = mutant_trial.try_one(lab, mutant if torture else mutant.in_short(),
                                 everything=torture)
    assert not trial.wrong, f"{mutant.mistake}\n" + "\n".join(trial.wrong)


@pytest.mark.machine
@pytest.mark.parametrize("old, new, register", [
    ("popq    RDI(%rdi)", "popq    %rdi", "RDI"), ("movq    %r8, R8(%rdi)", "", "R8"),
    ("movq    RBP(%rdi), %rbp", "", "RBP")])
def test_a_register_whose_loss_kills_every_guest_is_named(old, new, register, tmp_path):
    """No mutant: it would pass nothing."""
    lab, file = labtoml.find(ROOT, 1), "vmm/svm/svm_run.S"
    text = (ROOT / file).read_text()
    assert text.count(old) == 1
    wrong = mutant_trial.submission(ROOT, lab, tmp_path / "s", {file: text.replace(old, new)})
    found = grade.grade(grade.Job(1, wrong, tmp_path / "out", seed=1, quiet=True,
                                  only=("test_guest_registers_survive",)))
    assert f"the guest's {register} does not survive an exit" in found["tests"][0]["output"]


@pytest.mark.parametrize("lab", [
    pytest.param(lab, id=lab.path.parent.name) for lab in WRITTEN])
def test_there_are_enough_mutants_and_no_two_are_the_same(lab):
    found = mutants.load_all(ROOT, lab)
    assert len(found) >= LEAST
    assert len({(each.file, each.text) for each in found}) == len(found)
    assert len({each.mistake for each in found}) == len(found)


@pytest.mark.parametrize("lab", [
    pytest.param(lab, id=lab.path.parent.name) for lab in WRITTEN])
def test_every_test_and_every_file_has_a_mutant(lab):
    """A test that no mutant fails may be one that cannot fail.  (Tests that others need fail for
    the starter; a mutant that fails them passes next to nothing.)"""
    found = mutants.load_all(ROOT, lab)
    lost = {name.partition("[")[0] for each in found for name in each.in_short().loses}
    assert not mutants.test_names(lab) - lost - needed(lab)
    sources = {file for file in lab.files if file.endswith((".c", ".S"))}
    assert not sources - {each.file for each in found}


def needed(lab: Lab) -> Set[str]:
    """The tests that some other test needs."""
    text = "".join(path.read_text() for path in lab.path.parent.glob("**/test_*.py"))
    return {name for name in mutants.test_names(lab) if f'"{name}"' in text}


@pytest.mark.machine
def test_a_mutant_that_is_none_is_found_out(tmp_path):
    """The reference itself, said to lose what it does not lose."""
    lab = LABS[0]
    name = sorted(mutants.test_names(lab))[0]
    file = lab.files[0]
    honest = mutants.Mutant("none", tmp_path, "nothing", file, {name: 1}, (name,), "x",
                            (ROOT / file).read_text())
    wrong = mutant_trial.try_one(lab, honest).wrong
    assert wrong == [f"{name} should lose 1 points and loses 0"]
