"""The worker that builds: a copy of the pristine tree with the student's files in it.

Reads the files from the job, leaves the kernel in `build` of the output folder, and
tells one event `built`.  How it is built: build.py.
"""
from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict

from grader import remove
from grader.grading import build
from grader.grading.sandbox import Sandbox


def work(job: Dict[str, Any], tell: Callable[..., None]) -> int:
    """Build what job.json describes."""
    root, copy, target = Path(job["root"]), Path(job["copy"]), Path(job["build"])
    programs = job["programs"]
    build.prepare(root, copy, programs)
    build.put(copy, {name: text.encode() for name, text in job["files"].items()}, root, programs)
    built = build.build(copy, Sandbox(**job["sandbox"]), programs)
    if built.ok:
        built.hashes = build.deliver(copy, root, target, programs)
    with suppress(OSError):
        remove.tree(copy)
    tell(at="built", **built.__dict__)
    return 0
