"""Grading a class: a folder of submissions in, a folder of results and a table out.

Each submission is graded by a `grader grade` of its own.  OUT/NAME holds its results, and
graded.json once they are complete: what is graded under the same conditions is not graded
again, what was killed is.  --records repeats an earlier grading with its seeds and nonces,
and says which scores differ.  The tables are written in gradeall_table.py.
"""
from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from grader import labtoml, plan
from grader.grading import cli
from grader.plan import RunError

DONE = "graded.json"


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("grade-all", help="grade a folder of submissions")
    cli.add_common(parser, cli.ALL)
    parser.add_argument("--submissions", type=Path, required=True, metavar="DIR",
                        help="a subfolder or an archive for each")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--jobs", type=int, default=2, metavar="J", help="how many at a time")
    parser.add_argument("--records", type=Path, metavar="DIR",
                        help="regrade exactly: with the seeds of the results in DIR")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    from grader.kit import classlist, gradeall_table
    lab = labtoml.find(plan.ROOT, options.lab)
    entries = classlist.find(options.submissions)
    classlist.examine(entries, plan.ROOT, lab)
    course = Course(options, [each for each in entries if not each.problem],
                    classlist.kit_digest(plan.ROOT))
    course.grade()
    rows = gradeall_table.rows(entries, options.out, course.errors, options.records)
    gradeall_table.write(rows, lab, options.out)
    return gradeall_table.tell(rows, options.out)


@dataclass
class Course:
    """All submissions that can be graded, and how far the work has come."""

    options: argparse.Namespace
    entries: List[Any]
    kit: str
    errors: Dict[str, str] = field(default_factory=dict)   # name -> why it was not graded
    children: Set["subprocess.Popen[str]"] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def grade(self) -> None:
        """Grade what is not graded yet; KeyboardInterrupt ends what is running."""
        left = [entry for entry in self.entries if not self._is_done(entry)]
        _say(f"{len(self.entries)} submissions, {len(self.entries) - len(left)} of them graded "
             "before")
        start = time.monotonic()
        pool = ThreadPoolExecutor(max(1, self.options.jobs))
        try:
            futures = {pool.submit(self._grade_one, entry): entry for entry in left}
            for count, future in enumerate(as_completed(futures), 1):
                entry = futures[future]
                _say(f"{count} of {len(left)}{_estimate(start, count, len(left))}  {entry.name}: "
                     f"{future.result()}")
        except BaseException:
            self._stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    # --- One submission ---------------------------------------------------------------

    def _key(self, entry: Any) -> str:
        from grader.kit import classlist
        options, record = self.options, self._record(entry)
        return classlist.key(entry, options.lab, options.tests, options.seed, options.disposable,
                             self.kit, record.read_text() if record else "")

    def _record(self, entry: Any) -> Optional[Path]:
        """The record to repeat, if that is asked for."""
        if self.options.records is None:
            return None
        record = self.options.records / entry.folder / "record.json"
        if not record.is_file():
            raise RunError(f"{entry.name} has no record to repeat: {record}")
        return record

    def _is_done(self, entry: Any) -> bool:
        try:
            done = json.loads((self.options.out / entry.folder / DONE).read_text())
            return bool(done["key"] == self._key(entry))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _grade_one(self, entry: Any) -> str:
        """Grade a submission; a few words about how it went."""
        out = (self.options.out / entry.folder).absolute()
        out.mkdir(parents=True, exist_ok=True)
        (out / DONE).unlink(missing_ok=True)
        with open(out / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a grading that outlived its parent holds it
            code, said = self._run(self._command(entry, out), lock.fileno())
        if code != 0:
            self.errors[entry.name] = said
            return f"not graded: {said}"
        done = out / (DONE + ".new")
        done.write_text(json.dumps({"name": entry.name, "key": self._key(entry)}) + "\n")
        os.replace(done, out / DONE)
        results = json.loads((out / "results.json").read_text())
        return f"{results['score']:g} points"

    def _command(self, entry: Any, out: Path) -> List[str]:
        options, record = self.options, self._record(entry)
        words = [sys.executable, "-m", "grader", "grade", "--lab", str(options.lab), "--quiet",
                 "--submission", str(entry.path.absolute()), "--out", str(out),
                 "--tests", options.tests]
        words += [] if options.seed is None else ["--seed", str(options.seed)]
        words += ["--record", str(record.absolute())] if record else []
        return words + (["--disposable"] if options.disposable else [])

    def _run(self, command: List[str], lock: int) -> "tuple[int, str]":
        with self.guard:
            if self.stopped.is_set():
                return -1, "interrupted"
            child = subprocess.Popen(command, cwd=plan.ROOT, text=True, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     pass_fds=(lock,), start_new_session=True)
            self.children.add(child)
        try:
            said = child.communicate()[1]
        finally:
            self.children.discard(child)
        lines = [line for line in said.splitlines() if line.strip()] or ["it said nothing"]
        return child.returncode, lines[-1].replace("grader: ", "", 1)

    def _stop(self) -> None:
        """End the gradings that are running, as Ctrl-C would end each."""
        with self.guard:
            self.stopped.set()
            for child in list(self.children):
                child.send_signal(signal.SIGTERM)


def _estimate(start: float, done: int, whole: int) -> str:
    minutes = (time.monotonic() - start) / done * (whole - done) / 60
    return f", about {minutes:.0f} min left" if minutes >= 1 else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
