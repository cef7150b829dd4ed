"""Grading one submission from end to end: take, build, judge, report.

The only module that callers need: `grade(Job(...))` returns what results.json holds and
leaves everything in the output folder.  A submission cannot make it fail: what is
wrong with one costs points and is said.  RunError is for the grader's own failures: no
such lab, no submission, no emulator, no sandbox.
"""
from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, List, Optional

from grader import labtoml, platforms
from grader.grading import intake, predictions, results, sandbox, verdict, worker
from grader.grading.folders import Folders
from grader.grading.job import ALL, PUBLIC, Job, Seeds
from grader.grading.progress import Steps
from grader.labtoml import Lab
from grader.plan import RunError

__all__ = ["Job", "grade"]
PLATFORM = "qemu-svm"


def grade(job: Job) -> Dict[str, Any]:
    """Grade one submission; the contents of results.json."""
    start = time.monotonic()
    lab = labtoml.find(job.root, job.lab)
    recorded = results.read_record(job.record) if job.record else {}
    seeds = Seeds.of(job.seed, recorded.get("seeds", {}))
    box = sandbox.find(job.disposable, job.sandbox)
    if not platforms.find(PLATFORM).version():
        raise RunError("the emulator does not answer: make doctor says what is missing")
    folders = Folders(job.out)
    steps = Steps(job.quiet)
    with folders:
        steps.say(f"lab {lab.number}: taking the files of {job.submission.name or job.submission}")
        taken = intake.take(job.submission, lab.files)
        _make_pristine(job.root, folders)
        grading = verdict.Grading(job, lab, seeds, box, taken, folders, steps)
        grading.told = predictions.read(taken, lab)
        grading.build()
        grading.judge()
        steps.done()
        return results.write(grading, time.monotonic() - start)


def _make_pristine(root: Path, folders: Folders) -> None:
    """The guests and, as far as they build, the objects that a submission does not touch."""
    with folders.lock(root / "build"):
        made = subprocess.run(["make", "-s", "guests"], cwd=root, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, check=False)
    if made.returncode:
        last = (made.stderr.strip().splitlines() or ["make said nothing"])[-1]
        raise RunError(f"the guests do not build: {last}")
