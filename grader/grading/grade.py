"""Grading one submission from end to end: take, build, judge, report.

The only module that callers need: `grade(Job(...))` returns what results.json holds and
leaves everything in the output folder.  A submission cannot make it fail: what is
wrong with one costs points and is said.  RunError is for the grader's own failures: no
such lab, no submission, no emulator, no sandbox.
"""
from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Set

from grader import labtoml, platforms
from grader.grading import (intake, pictures, predictions, record, report, results, sandbox,
                            verdict)
from grader.grading.folders import Folders
from grader.grading.job import Job, Seeds
from grader.grading.progress import Steps
from grader.labtoml import Lab
from grader.plan import RunError

__all__ = ["Job", "grade"]


def grade(job: Job) -> Dict[str, Any]:
    """Grade one submission; the contents of results.json."""
    start = time.monotonic()
    lab = labtoml.find(job.root, job.lab)
    recorded = record.read(job.record) if job.record else {}
    job = replace(job, platform=recorded.get("platform", job.platform))
    seeds = Seeds.of(job.seed, recorded.get("seeds", {}))
    box = sandbox.find(job.disposable, job.sandbox)
    try:
        answers = platforms.find(job.platform).version()
    except KeyError as error:
        raise RunError(str(error.args[0])) from None
    if not answers:
        raise RunError("the emulator does not answer: make doctor says what is missing")
    steps = Steps(job.quiet)
    with Folders(job.out) as folders:
        try:
            steps.say(f"lab {lab.number}: taking the files of {job.submission}")
            taken = intake.take(job.submission, lab.files, job.root)
            _make_pristine(job.root, lab, folders)
            grading = verdict.Grading(job, lab, seeds, box, taken, folders, steps)
            grading.told = predictions.read(taken, lab)
            grading.build()
            grading.judge()
            return _write(grading, recorded, start)
        finally:
            box.sweep()
            steps.done()


def _make_pristine(root: Path, lab: Lab, folders: Folders) -> None:
    """Guests are the kit's own: built outside the sandbox, from no submission.  So are the
    objects that a submission does not touch; in a student's tree the student's may not build."""
    programs = [f"build/{name}" for name in lab.programs]
    with folders.lock(root / "build"):
        guests, kernel = (subprocess.run(["make", "-s", "-j2", "-k", *what], cwd=root, text=True,
                                         capture_output=True, stdin=subprocess.DEVNULL, check=False)
                          for what in (["guests"], ["kernel", *programs]))
    if guests.returncode:
        last = (guests.stderr.strip().splitlines() or ["make said nothing"])[-1]
        raise RunError(f"the guests do not build: {last}")
    broken = _broken(kernel.stderr) - {Path(file).with_suffix("") for file in lab.files}
    if broken and not any(file.endswith(".h") for file in lab.files):
        raise RunError(f"the kit itself does not build, and no submission is to blame: "
                       f"{', '.join(map(str, sorted(broken)))} (make says why)")


def _broken(said: str) -> Set[Path]:
    """The sources without their endings whose objects make could not build."""
    return {Path(name) for name in re.findall(r"build/(?:\w+/)?obj/(\S+)\.o\] Error", said)}


def _write(grading: verdict.Grading, recorded: Dict[str, Any], start: float) -> Dict[str, Any]:
    """Everything that a grading leaves; results.json last, so that it tells that all is there."""
    out = grading.folders.out
    drawn = pictures.draw(grading)
    if not grading.job.keep:
        grading.folders.drop_memory()
    data = results.contents(grading, time.monotonic() - start)
    kept = record.contents(grading, data)
    if recorded:
        differs = record.differences(recorded, kept) or ["nothing differs"]
        data["output"] = "\n".join(filter(None, [
            data["output"], "regraded by its record: " + "; ".join(differs)]))
    (out / "build.log").write_text(grading.built["log"])
    (out / "report.html").write_text(report.page(grading, data, drawn))
    (out / "junit.xml").write_bytes(results.junit(grading, data))
    results.write_json(out / "record.json", kept)
    results.write_json(out / "results.json", data)
    return data
