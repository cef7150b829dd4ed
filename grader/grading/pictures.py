"""The student's own pictures: drawn by viz from the runs that tests asked to see.

Drawn for every lost test that asked and that students may look into, and for the first
few that passed, unless the job says pictures=False.  How: drawing.py; one that fails says why.
"""
from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from grader.grading import told as telling, worker
from grader.grading.plugin import PASSED

if TYPE_CHECKING:
    from grader.grading.verdict import Grading

MOST, MOST_PASSED = 12, 4
MOST_BYTES = 4 << 20
ENDINGS = {"timeline": "png", "walk": "svg"}  # a timeline has too many marks for a page's SVG
TYPES = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Drawn:
    """One picture: a data URI, or a page beside the report, or the reason why there is none."""

    test: str
    title: str
    source: str = ""
    page: str = ""
    problem: str = ""


def draw(grading: "Grading") -> List[Drawn]:
    """All pictures of a grading, in the order of the tests."""
    wanted = _wanted(grading) if grading.job.pictures else []
    if not wanted:
        return []
    grading.steps.say(f"drawing {len(wanted)} pictures")
    folder = grading.folders.work / "pictures"
    folder.mkdir(exist_ok=True)
    plans = [_plan(grading, number, test, picture, folder)
             for number, (test, picture) in enumerate(wanted)]
    problems = _viz([each.words for each in plans], folder)
    return [_drawn(grading, each, problem) for each, problem in zip(plans, problems)]


def _wanted(grading: "Grading") -> List[Tuple[str, Dict[str, Any]]]:
    """Of each picture the first test that asked for it; lost tests come before passed ones."""
    lost, passed, seen = [], [], set()
    results = grading.results
    for case in sorted(grading.cases, key=lambda case: results[case["name"]]["status"] == PASSED):
        result = results[case["name"]]
        new = [picture for picture in result["pictures"] if tuple(picture.values()) not in seen]
        if telling.is_open(grading, case):
            seen.update(tuple(picture.values()) for picture in new)
            kind = passed if result["status"] == PASSED else lost
            kind.extend((case["name"], picture) for picture in new)
    chosen = (lost + passed[:MOST_PASSED])[:MOST]
    names = [case["name"] for case in grading.cases]
    return sorted(chosen, key=lambda pair: names.index(pair[0]))


@dataclass(frozen=True)
class Plan:
    """What viz is to do for one picture."""

    test: str
    title: str
    kind: str
    words: List[str]
    out: Path


def _plan(grading: "Grading", number: int, test: str, picture: Dict[str, Any],
          folder: Path) -> Plan:
    run = grading.folders.runs / picture["run"]
    kind = title = picture["kind"]
    words = [str(run if kind == "report" else run / "trace.bin")]
    if kind == "walk":
        if picture["vm"] is not None:
            words += ["--vm", str(picture["vm"])]
            title += f" of VM {picture['vm']}"
        if picture["gva"] is not None:
            words += ["--gva", hex(picture["gva"])]
            title += f", gVA {picture['gva']:#x}"
    out = run / "report.html" if kind == "report" else folder / f"{number}.{ENDINGS[kind]}"
    return Plan(test, title, kind, [kind, *words, "-o", str(out)], out)


def _drawn(grading: "Grading", plan: Plan, problem: str) -> Drawn:
    if problem or not plan.out.is_file():
        return Drawn(plan.test, plan.title, problem=problem or "nothing was drawn")
    if plan.kind == "report":
        return Drawn(plan.test, plan.title, page=os.path.relpath(plan.out, grading.folders.out))
    data = plan.out.read_bytes()
    if len(data) > MOST_BYTES:
        return Drawn(plan.test, plan.title, problem="the picture is too large for a page")
    return Drawn(plan.test, plan.title, f"data:{TYPES[ENDINGS[plan.kind]]};base64,"
                 + base64.b64encode(data).decode())


def _viz(words: List[List[str]], folder: Path) -> List[str]:
    """Run viz for each of these; '' where it worked, else its last line."""
    told: List[worker.Event] = []
    jobs = folder / "jobs.json"
    jobs.write_text(json.dumps({"pictures": words, "folder": str(folder)}))
    worker.start("drawing", jobs, folder / "drawing.log", told.append)
    return told[0]["problems"] if told else ["the drawing was broken off"] * len(words)
