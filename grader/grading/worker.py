"""Processes of the grader's own: the build and the judge each work in one.

A worker starts with a clean environment, so that no PYTEST_ADDOPTS, PYTHONPATH or
conftest.py of whoever calls has a say; it ends when its parent ends; and all that it
started ends with it.  It reads a job file and tells events, one JSON object a line.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

from grader.grading import processes
from grader.plan import ROOT

Event = Dict[str, Any]
BOOT = ("import sys; sys.path[0] = sys.argv.pop(1); "
        "from grader.grading import worker; worker.main()")
KEPT = ("PATH", "HOME", "TMPDIR")  # HOME: where pip may have put numpy
WORKS = ("building", "judge")


def start(work: str, job: Path, log: Path, tell: Callable[[Event], None]) -> int:
    """Do `work` in a process of its own; events go to `tell`.  Returns its exit code."""
    ours, theirs = os.pipe()
    environment = {key: os.environ[key] for key in KEPT if key in os.environ}
    environment.update(LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0",
                       PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", MPLBACKEND="Agg")
    with open(log, "ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", BOOT, str(ROOT), work, str(job), str(theirs),
             str(os.getpid())], cwd=job.parent, env=environment, stdin=subprocess.DEVNULL,
            stdout=said, stderr=said, pass_fds=(theirs,), start_new_session=True)
    os.close(theirs)
    try:
        with open(ours, encoding="utf-8") as events:
            for line in events:
                tell(json.loads(line))
        return process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Teller:
    """The worker's side of the pipe."""

    def __init__(self, file: int) -> None:
        self._file = open(file, "w", encoding="utf-8")

    def __call__(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()


def main() -> None:
    """The worker process: WORK JOB PIPE PARENT."""
    work, job, file, parent = _words(sys.argv)
    processes.die_with_parent(int(parent))
    processes.adopt_orphans()
    os.set_inheritable(int(file), False)
    from grader.grading import building, judge
    works = {"building": building.work, "judge": judge.work}
    try:
        code = works[work](json.loads(Path(job).read_text()), Teller(int(file)))
    finally:
        processes.end_descendants()
    sys.exit(code)


def _words(argv: List[str]) -> List[str]:
    return argv[-4:]
