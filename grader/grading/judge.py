"""The worker that judges: pytest over a lab's own tests, and nothing of the submission.

Only the files named in the job are collected, with no conftest, no cache and no other
plugin; what a test does with the submission is to run its kernel in the sandbox.
If a test ends this process, grade.py counts it as failed and starts another judge.
"""
from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, Callable, Dict

import pytest

from grader.grading import processes
from grader.grading.plugin import Plugin
from grader.grading.runs import Runs
from grader.grading.sandbox import Sandbox

INI = Path(__file__).with_name("judge.ini")
MEMORY = 16 << 30  # address space: RAM files are mapped, not copied
NO_TESTS = 5


def work(job: Dict[str, Any], tell: Callable[..., None]) -> int:
    """Judge what job.json describes; results go out as events."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))
    runs = Runs(Path(job["build"]), Path(job["runs"]), Sandbox(**job["sandbox"]),
                int(job["seeds"]["nonce"], 16), tell, processes.end_descendants,
                job["platform"])
    runs.resume(job["made"], job["hangs"])
    runs.budget.cpu_s = job["cpu_s"]
    plugin = Plugin(job, runs, tell)
    words = [*job["files"], "-c", str(INI), "--rootdir", job["folder"], "--noconftest",
             "--import-mode=importlib", "--assert=plain", "--tb=short", "-q", "-p",
             "no:cacheprovider", "-p", "no:junitxml"]
    try:
        code = int(pytest.main(words, plugins=[plugin]))
    finally:
        runs.close()
    return 0 if code in (0, 1, NO_TESTS) else code
