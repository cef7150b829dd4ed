"""The worker that draws the pictures of a grading, two at a time.

The job names them: a list of lists, each the words of one `viz`.  Each picture is drawn in a
process of its own, so that a trace that is made to break a drawing breaks no other.  Tells one
event `drawn`: why each is missing, '' if it is not.
"""
from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

AT_ONCE = 2
SECONDS = 120       # for one picture


def work(job: Dict[str, Any], tell: Callable[..., None]) -> int:
    """Draw all of them."""
    words: List[List[str]] = job["pictures"]
    logs = [Path(job["folder"]) / f"{number}.log" for number in range(len(words))]
    problems = [""] * len(words)
    running: Dict[int, int] = {}
    for number, each in enumerate(words):
        while len(running) >= AT_ONCE:
            _wait(running, problems, logs)
        running[_start(each, logs[number])] = number
    while running:
        _wait(running, problems, logs)
    tell(at="drawn", problems=problems)
    return 0


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
    if pid not in running:      # a tool of viz, whose own process has ended
        return
    number = running.pop(pid)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGALRM:
        problems[number] = f"it could not be drawn within {SECONDS} s"
    elif code:
        said = logs[number].read_text(errors="replace").strip().splitlines()
        problems[number] = said[-1] if said else "viz failed without a word"
