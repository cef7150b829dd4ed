"""Processes of the grader's own: the build, the judge and the drawing each work in one.

A worker has a clean environment, so that no PYTEST_ADDOPTS, PYTHONPATH or conftest.py of
whoever calls has a say; it ends when its grader ends; and all that it started ends with
it.  It reads a job file and tells events, one JSON object a line.  Where it comes from:
hatchery.py.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Dict

from grader.grading import hatchery, processes

Event = Dict[str, Any]
Work = Callable[[Dict[str, Any], Callable[..., None]], int]     # job, tell -> exit code
WORKS = {           # a work is work() of the first module; the others it would load later
    "building": ("grader.grading.building",),
    "judge": ("grader.grading.judge", "grader.grading.evidence", "grader.collect",
              "_pytest.skipping", "_pytest.unittest", "_pytest.faulthandler", "pdb"),
    "drawing": ("grader.grading.drawing", "viz.timeline_static", "viz.walk", "viz.report")}
END = "end"         # a worker's last event, with its exit code
DIED = 1            # the exit code of one that does not come to say it


def start(work: str, job: Path, log: Path, tell: Callable[[Event], None]) -> int:
    """Do `work` in a process of its own; events go to `tell`.  Returns its exit code."""
    ours, theirs = os.pipe()
    code = DIED
    with open(ours, encoding="utf-8") as events, hatchery.hatch(WORKS[work], job, theirs, log):
        for line in events:
            event = json.loads(line)
            if event["at"] == END:
                code = event["code"]
            else:
                tell(event)
    return code


class Teller:
    """The worker's side of the pipe."""

    def __init__(self, file: int) -> None:
        self._file = open(file, "w", encoding="utf-8")

    def __call__(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()


def live(work: Work, job: Path, events: int, parent: int) -> int:
    """The worker process, from the beginning to the end."""
    processes.die_with_parent(parent)
    processes.adopt_orphans()
    os.set_inheritable(events, False)
    tell = Teller(events)
    try:
        code = work(json.loads(job.read_text()), tell)
    finally:
        processes.end_descendants()
    tell(at=END, code=code)
    return code
