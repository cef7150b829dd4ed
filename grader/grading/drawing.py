"""Draws the pictures of a grading, two at a time: python3 -m grader.grading.drawing JOBS.

JOBS is a JSON file: a list of lists, each the words of one `viz`.  The drawing tools are
loaded once; each picture is drawn in a process of its own, so that a trace that is made
to break a drawing breaks no other.  Prints a JSON list: why each is missing, '' if it is not.
"""
from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Dict, List

AT_ONCE = 2
SECONDS = 120       # for one picture
TOOLS = {"timeline": "viz.timeline_static", "walk": "viz.walk", "report": "viz.report"}


def main(jobs: Path) -> None:
    """Draw all of them."""
    words: List[List[str]] = json.loads(jobs.read_text())
    for tool in sorted({each[0] for each in words}):
        importlib.import_module(TOOLS[tool])
    logs = [jobs.with_suffix(f".{number}") for number in range(len(words))]
    problems = [""] * len(words)
    running: Dict[int, int] = {}
    for number, each in enumerate(words):
        if len(running) == AT_ONCE:
            _wait(running, problems, logs)
        running[_start(each, logs[number])] = number
    while running:
        _wait(running, problems, logs)
    print(json.dumps(problems))


def _start(words: List[str], log: Path) -> int:
    """A process that draws one picture and writes what viz says to `log`."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(SECONDS)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(said, stream)
        from viz.__main__ import main as viz
        code = viz(words)
    except BaseException as error:  # whatever it was, this process ends here
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(running: Dict[int, int], problems: List[str], logs: List[Path]) -> None:
    """Until one of them has ended."""
    pid, status = os.wait()
    number = running.pop(pid)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGALRM:
        problems[number] = f"it could not be drawn within {SECONDS} s"
    elif code:
        said = logs[number].read_text(errors="replace").strip().splitlines()
        problems[number] = said[-1] if said else "viz failed without a word"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
