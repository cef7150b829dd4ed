"""Grading a mutant, and comparing what it lost with what it should lose.

A mutant must build, lose exactly the tests and points it names, for the reason it names,
and pass a test all the same.  The reference and the starter are tried with the same means
(grader/tests/test_lab_reference.py).
"""
from __future__ import annotations

import contextlib
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

from grader import plan
from grader.grading import grade
from grader.kit.mutants import Mutant
from grader.labtoml import Lab

SEED = 1
FAILED, ERROR = "failed", "error"


@dataclass
class Trial:
    """How a mutant did; `wrong` is empty if it did as it should."""

    mutant: Mutant
    wrong: List[str] = field(default_factory=list)
    lost: Dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def submission(root: Path, lab: Lab, folder: Path, changed: Optional[Dict[str, str]] = None) -> Path:
    """The reference's files of a lab in a folder, with these changed: file -> text."""
    for file in lab.files:
        place = folder / file
        place.parent.mkdir(parents=True, exist_ok=True)
        text = (changed or {}).get(file)
        place.write_bytes((root / file).read_bytes() if text is None else text.encode())
    return folder


def try_one(lab: Lab, mutant: Mutant, everything: bool = False,
            keep: Optional[Path] = None) -> Trial:
    """Grade a mutant with the tests it names, or with all, and compare."""
    start = time.monotonic()
    with _folder(keep, mutant.name) as folder:
        job = grade.Job(lab.number, submission(plan.ROOT, lab, folder / "submission",
                                               {mutant.file: mutant.text}),
                        folder / "out", seed=SEED, quiet=True,
                        pictures=keep is not None,
                        only=() if everything else tuple(_functions(mutant.tests)))
        results = grade.grade(job)
        record = json.loads((job.out / "record.json").read_text())
        log = (job.out / "build.log").read_text(errors="replace")
    trial = compare(mutant, results, record, log)
    trial.seconds = time.monotonic() - start
    return trial


@contextlib.contextmanager
def _folder(keep: Optional[Path], name: str) -> Iterator[Path]:
    if keep is not None:
        (keep / name).mkdir(parents=True, exist_ok=True)
        yield (keep / name).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="nestling-mutant-") as made:
        yield Path(made)


def _functions(tests: Sequence[str]) -> Iterator[str]:
    """The test functions of these tests: `test_a[1]` is run as test_a."""
    yield from dict.fromkeys(name.partition("[")[0] for name in tests)


def compare(mutant: Mutant, results: Dict[str, Any], record: Dict[str, Any], log: str) -> Trial:
    """What is wrong with how a mutant was graded."""
    trial = Trial(mutant)
    tests = {test["name"]: test for test in results["tests"]}
    if "warning:" in log or "error:" in log:
        trial.wrong.append(f"does not build cleanly: {_first_complaint(log)}")
        return trial
    trial.lost = {name: test["max_score"] - test["score"] for name, test in tests.items()
                  if test["score"] < test["max_score"]}
    wanted = _spread(mutant.loses, tests)
    chance = _spread(dict.fromkeys(mutant.by_chance, 0), tests)
    for name in sorted({*wanted, *trial.lost} - {*chance}):
        should, did = wanted.get(name, 0), trial.lost.get(name, 0)
        if name not in tests:
            trial.wrong.append(f"{name} was not graded")
        elif should != did:
            trial.wrong.append(f"{name} should lose {should:g} points and loses {did:g}"
                               + (f": {tests[name]['output']}" if did else ""))
    for name in _spread(dict.fromkeys(mutant.passes, 0), tests):
        if name not in tests or tests[name]["status"] != "passed":
            trial.wrong.append(f"{name} should pass and does not")
    trial.wrong += _wrong_reasons(mutant, record["results"])
    return trial


def _spread(named: Dict[str, float], tests: Dict[str, Any]) -> Dict[str, float]:
    """A test with parameters stands for all its cases, unless one is named."""
    found: Dict[str, float] = {}
    for name, points in named.items():
        cases = [name] if name in tests else [each for each in tests
                                              if each.partition("[")[0] == name]
        found.update({each: points for each in cases or [name]})
    return found


def _wrong_reasons(mutant: Mutant, results: List[Dict[str, Any]]) -> List[str]:
    wrong = [f"{each['name']}: {each['message']}" for each in results if each["status"] == ERROR]
    said = {each["name"]: each["message"] for each in results if each["status"] == FAILED}
    if isinstance(mutant.reason, str):
        if said and not any(mutant.reason in message for message in said.values()):
            wrong.append(f"no failed test says {mutant.reason!r}: {'; '.join(said.values())}")
        return wrong
    return wrong + [f"{name} does not say {reason!r}: {said.get(name, 'it passed')}"
                    for name, reason in mutant.reason.items() if reason not in said.get(name, "")]


def _first_complaint(log: str) -> str:
    return next(line for line in log.splitlines() if "warning:" in line or "error:" in line)


# --- All of them, with progress -------------------------------------------------------

def try_all(lab: Lab, mutants: List[Mutant], everything: bool, jobs: int,
            keep: Optional[Path]) -> int:
    """Try mutants and print a line for each; 0 if all did as they should."""
    print(f"lab {lab.number}: {len(mutants)} mutants", flush=True)
    bad = 0
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        for number, trial in enumerate(pool.map(
                lambda mutant: try_one(lab, mutant, everything, keep), mutants), 1):
            bad += bool(trial.wrong)
            lost = ", ".join(f"{name} {points:g}" for name, points in trial.lost.items())
            print(f"{'BAD' if trial.wrong else 'ok ':<4}{number:>3}/{len(mutants)} "
                  f"{trial.mutant.name:<32} {trial.seconds:5.1f} s  lost: {lost or 'nothing'}",
                  flush=True)
            for sentence in trial.wrong:
                print(f"            {sentence}", flush=True)
    print(f"{len(mutants) - bad} of {len(mutants)} lose exactly what they name")
    return 1 if bad else 0
