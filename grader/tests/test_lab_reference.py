"""Every lab, from the starter to full marks: what students and their graders rely on.

The reference has all points.  The starter builds without a warning, has none, and says
what is missing; with the reference's files put into it, its own `make check` gives full
marks, so what is graded at home is what is graded here.  No text of a solution is in it.
In `make check` each test of a lab is passed once: the public ones in the starter, the hidden
ones on the reference; with --torture all are, wherever that is asked.
"""
from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, FrozenSet, List, Set, Tuple

import pytest
from _pytest.mark import ParameterSet

from grader import labtoml
from grader.grading import grade
from grader.kit import mutant_trial, mutants, objects, regions, starter, tree
from grader.labtoml import Lab
from grader.plan import ROOT

LABS = [labtoml.load(path, ROOT) for path in sorted(ROOT.glob("labs/*/lab.toml"))]
WRITTEN = [lab for lab in LABS if any(file.endswith((".c", ".S")) for file in lab.files)]
FIRST = WRITTEN[0].number if WRITTEN else 1
LONG = 20  # characters of a line that is nobody's by chance
MORE_SEEDS = (2, 0xfeed)
LENT = 50   # objects; a starter differs in fewer
# Of each lab, what shows that the earlier ones as objects do as well: a run, a program of the host.
SHORT = {2: "test_a_tick_reaches_its_handler", 3: "test_bvt_takes_turns test_live_bvt",
         4: "test_walk_finds_pages test_the_processors_walk_is_short",
         5: "test_nested_walk test_walks_of_the_machine"}


def name_of(lab: Lab) -> str:
    return lab.path.parent.name


@functools.lru_cache(maxsize=None)
def made(lab: int, kind: str = "reference", drawn: bool = False) -> tree.Files:
    """A starter; nobody changes what is shared."""
    return starter.make(ROOT, lab, kind, drawn=drawn)


def each(labs: List[Lab]) -> List[ParameterSet]:
    return [pytest.param(lab, id=name_of(lab)) for lab in labs]


def graded(lab: Lab, submission: Path, out: Path, seed: int = 1, only: Tuple[str, ...] = ()
           ) -> Dict[str, object]:
    return grade.grade(grade.Job(lab.number, submission, out, seed=seed, quiet=True, only=only,
                                 pictures=False))    # full_marks() has them drawn


def lost(results) -> Dict[str, str]:
    return {test["name"]: test["output"] for test in results["tests"]
            if test["score"] < test["max_score"]}


def make(folder: Path, *words: str) -> str:
    """What make prints in a starter; a warning there fails the test."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(["make", "-j2", *words], cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0 and "warning" not in done.stdout, done.stdout
    return done.stdout


def write_starter(lab: Lab, folder: Path, kind: str, torture: bool) -> None:
    """The starter; but at length, with the objects that it shares with this tree."""
    starter.write(made(lab.number, kind), folder)
    assert torture or objects.lend(folder) > LENT


# --- Reference and starter ------------------------------------------------------------

def worth(lab: Lab, pattern: str) -> Dict[str, float]:
    """The tests in these files of a lab, with their points."""
    return {name: float(points) for path in sorted(lab.path.parent.glob(pattern))
            for points, name in re.findall(r"^@points\(([\d.]+).*\n(?:@.*\n)*def (test_\w+)",
                                           path.read_text(), re.M)}


@pytest.mark.parametrize("lab", each(LABS))
def test_the_points_of_a_lab_add_up(lab):
    public, hidden = worth(lab, "test_*.py"), worth(lab, "hidden/test_*.py")
    assert sum(public.values()) + sum(hidden.values()) == lab.points
    assert {*public, *hidden} == mutants.test_names(lab) and (hidden or lab.points < 10)


@pytest.mark.machine
@pytest.mark.parametrize("lab", each(LABS))
def test_the_reference_has_all_points(lab, tmp_path, torture):
    submission = mutant_trial.submission(ROOT, lab, tmp_path / "s")
    hidden = worth(lab, "hidden/test_*.py")
    for seed in (1, *(MORE_SEEDS if torture else ())):
        results = graded(lab, submission, tmp_path / "out", seed, () if torture else (*hidden,))
        assert not lost(results)
        assert {test["name"]: test["score"] for test in results["tests"]
                if "hidden" in test["tags"]} == hidden
        assert results["score"] == lab.points or not torture and results["score"] > 0


@pytest.mark.machine
@pytest.mark.parametrize("lab", each(WRITTEN))
def test_the_starter_has_no_point_and_leads_to_all(lab, tmp_path, torture):
    folder = tmp_path / "starter"
    write_starter(lab, folder, "reference", torture)
    make(folder)
    results = graded(lab, folder, tmp_path / "out")
    assert results["score"] == 0 and set(lost(results)) == {
        test["name"] for test in results["tests"] if test["max_score"]}
    assert all(test["score"] == 0 for test in results["tests"])
    assert re.search(rf"lab {lab.number}: \w+ is not written yet: handout {lab.number}\.\d",
                     " ".join(lost(results).values()))
    mutant_trial.submission(ROOT, lab, folder)
    full_marks(lab, folder)


def full_marks(lab: Lab, folder: Path, only: str = "") -> None:
    """`make check` in a starter passes every public test; only: those, if it is asked for them."""
    make(folder, *(["grade", f"ONLY={only}"] if only else ["check"]))
    results = json.loads((folder / "build" / "grade" / "results.json").read_text())
    assert not lost(results) and len(results["tests"]) >= 1
    assert only or {test["name"].partition("[")[0] for test in results["tests"]} == {
        name for path in lab.path.parent.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)}


@pytest.mark.machine
@pytest.mark.parametrize("lab", each([lab for lab in LABS if lab not in WRITTEN]))
def test_where_nothing_is_to_be_written_the_starter_works_at_once(lab, tmp_path, torture):
    folder = tmp_path / "starter"
    write_starter(lab, folder, "reference", torture)
    full_marks(lab, folder)


@pytest.mark.machine
@pytest.mark.parametrize("lab", each([lab for lab in WRITTEN if lab.number > FIRST]))
def test_earlier_labs_as_objects_do_as_well(lab, tmp_path, torture):
    folder = tmp_path / "starter"
    write_starter(lab, folder, "object", torture)
    make(folder)
    mutant_trial.submission(ROOT, lab, folder)
    full_marks(lab, folder, "" if torture else SHORT.get(lab.number, ""))


@pytest.mark.machine
@pytest.mark.parametrize("lab", each(LABS))
def test_what_make_run_runs_begins(lab, machine):
    """Its handout shows the whole of it, with --torture."""
    run = machine(lab.guests, lab.option, "20ms")
    entered = set(run.trace.select("entry").vm.tolist()) or set(run.trace.select("sched_pick").vm.tolist())
    assert entered & set(range(1, len(lab.guests) + 1)) and run.json["virtual_ns"] <= 21_000_000


# --- What a starter must not hold ---------------------------------------------------------

@functools.lru_cache(maxsize=None)
def solution_lines(least: int) -> FrozenSet[str]:
    """Lines of regions of labs `least` and above that stand nowhere outside of regions."""
    inside: Set[str] = set()
    outside: Set[str] = set()
    for path in tree.project_files(ROOT):
        if not path.endswith(tree.SOURCES) or "/tests/" in path:
            continue
        text = (ROOT / path).read_text()
        for region in regions.parse(text, path):
            if region.lab >= least:
                inside |= long_lines(region.body)
        outside |= long_lines(regions.strip(text, path, least))
    return frozenset(inside - outside)


def long_lines(text: str) -> Set[str]:
    return {line.strip() for line in text.splitlines() if len(line.strip()) > LONG}


@pytest.mark.parametrize("kind, lab", [
    pytest.param(kind, lab, id=f"{name_of(lab)}-{kind}") for lab in LABS
    for kind in (["reference", "object"] if lab.number > FIRST else ["reference"])])
def test_no_line_of_a_solution_is_in_the_starter(kind, lab):
    least = min(lab.number, FIRST) if kind == "object" else max(lab.number, FIRST)
    secret = solution_lines(least)
    assert len(secret) > 20
    files = made(lab.number, kind, drawn=kind == "reference")
    assert (f"handouts/html/lab{lab.number}.html" in files) == (kind == "reference")
    for path, file in files.items():
        leaked = secret & long_lines(file.data.decode("latin-1"))
        assert not leaked, f"{path} holds {sorted(leaked)[:3]}"


@pytest.mark.parametrize("lab", each(LABS))
def test_no_hidden_test_and_no_mutant_is_in_the_starter(lab):
    files = made(lab.number, drawn=True)
    assert not [path for path in files if re.search(r"/(mutants|hidden|tests)/", path)]
    later = [path for path in files if re.match(r"labs/(\d+)-", path)
             and int(re.match(r"labs/(\d+)-", path)[1]) > lab.number]
    assert not later and f"labs/{name_of(lab)}/lab.toml" in files
    marks = [path for path, file in files.items() if path.endswith(tree.SOURCES)
             and regions.NEARLY.search(file.data.decode())]
    assert not marks


def test_handouts_name_the_sections_that_the_stubs_name():
    """`todo(1, "1.3", ...)` leads a student to a section that is there."""
    for lab in WRITTEN:
        text = (ROOT / lab.handout).read_text()
        for task in starter.tasks(ROOT, lab):
            section = re.escape(task["section"])
            assert re.search(rf"^#+ .*\b{section}\b", text, re.M), (
                f"{task['file']}: {lab.handout} has no section {task['section']}")
