"""The runs of one grading: made in the sandbox, each once, and kept for all tests.

A Run gives what a test judges by: trace, RAM, console, the emulator's own log of exits.
How a run went wrong is told in the student's words (Trouble); whether its sources agree
is the business of evidence.py.
"""
from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from grader import args, collect, plan, platforms, run as running
from grader.grading import budget as budgets
from grader.grading.api import Failed
from grader.grading.host import Program
from grader.grading.job import derive
from grader.grading.processes import ASLEEP_S, AsleepWatch
from grader.grading.sandbox import Sandbox
from grader.oracle import exitlog
from grader.oracle.exitlog_row import RIP, code_of
from grader.oracle.memory import Memory
from grader.oracle.paging import Mode, nested_of
from grader.platform import CONSOLE, EXIT_LOG, MEMORY
from viz import trace as viz_trace

CONSOLE_BYTES = 8 << 20
KEPT_BYTES = 2 << 30            # of RAM files, before old ones are given up
Check = Tuple[int, int, bool]   # value, expected, passed


@dataclass(eq=False)
class Run:
    """A run that was made.  Everything is read when it is asked for first."""

    dir: Path
    guests: Tuple[str, ...]
    json: Dict[str, Any]
    sentence: str
    build: Path
    options: str = ""           # the machine's options as the bundle has them

    @cached_property
    def contradictions(self) -> List[str]:
        """Where the sources of this run disagree, in words."""
        from grader.grading import evidence
        return evidence.contradictions(self)

    @cached_property
    def trace(self) -> viz_trace.Trace:
        """The trace (viz.trace)."""
        try:
            return viz_trace.load(str(self.dir / running.TRACE))
        except (viz_trace.TraceError, OSError) as error:
            raise Failed(f"the run left no trace that can be read: {error}") from None

    @cached_property
    def console(self) -> str:
        """What the host and its guests printed, up to some megabytes."""
        with open(self.dir / CONSOLE, "rb") as file:
            return file.read(CONSOLE_BYTES).decode("utf-8", "replace")

    @cached_property
    def memory(self) -> Memory:
        """The machine's RAM as it was at the end."""
        try:
            return Memory(self.dir / MEMORY)
        except (OSError, ValueError) as error:
            raise Failed(f"the run left no memory to look at: {error}") from None

    @cached_property
    def exits(self) -> exitlog.Exits:
        """The exits as the emulator logged them."""
        path = self.dir / EXIT_LOG
        if not path.is_file():
            raise Failed("the emulator wrote no log of exits")
        exits = exitlog.read(path)
        if exits.tells(RIP).any():
            return exits
        return exitlog.Exits(**{**exits._asdict(), "rip": self._traced_rips(len(exits))})

    def _traced_rips(self, count: int) -> np.ndarray:
        """Where a log does not tell where guests were left (Bochs's), the trace is believed."""
        told = exitlog.traced_exits(self.trace)["rip"][:count]
        return np.concatenate([told, np.zeros(count - len(told), np.uint64)])

    def left(self, word: str) -> np.ndarray:
        """Of each exit, whether the emulator made it for that reason: HLT, IO, SHUTDOWN ...
        (exitlog_row.CODES), or REFUSED."""
        return self.exits.left(word, self.json["platform"])

    def code(self, word: str) -> int:
        """The processor's own number for that reason."""
        return code_of(word, self.json["platform"])

    @property
    def extension(self) -> str:
        """The processor's: svm or vmx."""
        return self.json["platform"].rsplit("-", 1)[1]

    @property
    def nested(self) -> Mode:
        """The format of the nested tables."""
        return nested_of(self.json["platform"])

    @property
    def again(self) -> str:
        """The command that makes this run again with what is built, on the student's machine."""
        words = ["python3", "-m", "grader", "run"]
        if self.json["platform"] != plan.Request.platform:
            words += ["--platform", self.json["platform"]]
        for guest in self.guests:
            words += ["--guest", guest]
        if self.options:
            words += ["--option", self.options]
        return shlex.join(words + ["--seed", self.json["seed"], "--out", "build/again"])

    def traces(self, group: str) -> bool:
        """Whether the run was told to trace this group of events."""
        words = [word[6:] for word in self.options.split() if word.startswith("trace=")]
        wanted = words[-1].split(",") if words else ["all"]
        return "all" in wanted or group in wanted or (wanted == ["some"]
                                                      and group not in ("exits", "io"))

    def restarts(self, vm: int) -> int:
        """How often a VM may be created anew."""
        if not 1 <= vm <= len(self.guests):
            return 0
        return int(args.parse_guest(self.guests[vm - 1]).values["restart"])

    def is_ours(self, vm: int) -> bool:
        """Whether the VM's guest is one of the kit's."""
        return "/" not in args.parse_guest(self.guests[vm - 1]).name

    def image(self, vm: int) -> Optional[Path]:
        """The file of a VM's guest; None if there is no such VM."""
        if not 1 <= vm <= len(self.guests):
            return None
        return plan.find_guest(args.parse_guest(self.guests[vm - 1]).name, self.build)

    @property
    def vms(self) -> List[Dict[str, Any]]:
        """How each VM ended, as in run.json."""
        return self.json["vms"]

    def checks(self, vm: int) -> Dict[str, List[Check]]:
        """The self-checks of a VM: name -> (value, expected, passed), in their order."""
        rows = self._of("check", vm)
        found: Dict[str, List[Check]] = {}
        columns = zip(rows["value"].tolist(), rows["expected"].tolist(), rows["sealed"].tolist())
        for i, (value, expected, sealed) in enumerate(columns):
            passed = bool(sealed) and value == expected
            found.setdefault(rows.text(i), []).append((value, expected, passed))
        return found

    def checkpoints(self, vm: int) -> List[Tuple[str, int]]:
        """The checkpoints of a VM: (name, value), in their order."""
        rows = self._of("checkpoint", vm)
        values = rows["value"].tolist() if len(rows) else []
        return [(rows.text(i), int(value)) for i, value in enumerate(values)]

    def _of(self, event: str, vm: int) -> viz_trace.Records:
        rows = self.trace.select(event)
        return rows.where(np.asarray(rows.vm) == vm)

    def console_tail(self) -> List[str]:
        """The last lines of the console, for reports."""
        return [line[:200] for line in collect.console_tail(self.dir / CONSOLE)]

    def close(self) -> None:
        """Give back the memory's mapping."""
        if "memory" in self.__dict__:
            self.memory.close()
            del self.__dict__["memory"]


class Runs:
    """Makes runs and remembers them."""

    def __init__(self, build: Path, folder: Path, sandbox: Sandbox, nonce: int,
                 told: Callable[..., None], after: Callable[[], None] = lambda: None,
                 platform: str = plan.Request.platform) -> None:
        self.build, self.folder, self.sandbox, self.nonce = build, folder, sandbox, nonce
        self.platform = platforms.find(platform)
        self.told, self.after = told, after     # after: called when a run has ended
        self.budget = budgets.Budget(slowness=self.platform.slowness)
        self.asleep_s = ASLEEP_S
        self._made: Dict[str, Run] = {}
        self._programs: List[Program] = []
        self._number = 0

    def state(self) -> Dict[str, int]:
        """What another judge has to know to go on."""
        return {"made": self._number, "hangs": self.budget.hangs}

    def resume(self, made: int, hangs: int) -> None:
        """Go on where another judge was ended."""
        self._number, self.budget.hangs = made, hangs

    def make(self, guests: Tuple[str, ...], option: str, time: Optional[str], seed: int) -> Run:
        """The run of these guests; Failed if none can be made."""
        key = hashlib.sha256(json.dumps([guests, option, time, seed]).encode()).hexdigest()[:12]
        if key not in self._made:
            self._made[key] = self._make(key, guests, option, time, seed)
        return self._made[key]

    def _make(self, key: str, guests: Tuple[str, ...], option: str, time: Optional[str],
              seed: int) -> Run:
        out = self.folder / f"{self._number + 1:02}-{key}"
        request = plan.Request(guests, out, self.platform.name, option, time, seed,
                               nonce=derive(self.nonce, "nonce", key), exit_log=True,
                               build=self.build)
        planned = plan.make(request)
        try:
            limits = self.budget.limits(planned.until_ns / 1e9)
        except budgets.Exhausted as error:
            raise Failed(str(error)) from None
        self._number += 1
        self.told(at="run", guests=list(guests), number=self._number)
        out.mkdir(parents=True)
        result = running.make(plan.Request(**{
            **request.__dict__, "wrap": tuple(self.sandbox.wrap(out, limits)),
            "before": self._before, "watch": AsleepWatch(self.asleep_s),
            "timeout": self.budget.wall_s(limits)}))
        self.after()
        if result.json["exit_reason"] == "timeout" and not result.hang:
            self.budget.hung()  # what its trace tells took no such time
        made = Run(out, guests, result.json, result.sentence, self.build, planned.options.text)
        if result.loaded is not None:
            made.trace = result.loaded      # so that it need not be read again
        return made

    def program(self, name: str, *words: str) -> Program:
        """A program for the host (lab.toml, [host]), started; Failed if too many hung before."""
        try:
            self.budget.limits(0.0)
        except budgets.Exhausted as error:
            raise Failed(str(error)) from None
        self._number += 1
        folder = self.folder / f"{self._number:02}-{Path(name).name}"
        self._programs.append(Program(self.build / name, words, folder, self.sandbox))
        return self._programs[-1]

    def end_programs(self) -> None:
        """After a test: end the programs that it started."""
        for each in self._programs:
            each.close()
            if each.hung:
                self.budget.hung()
        if self._programs:
            self.after()
        self._programs.clear()

    def _before(self, folder: Path) -> None:
        """A machine's RAM that is a file is one of ours, so that the limit of others can be low."""
        if self.platform.ram_file:
            with open(folder / MEMORY, "wb") as file:
                file.truncate(self.platform.ram_file)
        self.sandbox.hand_over(folder)

    def trim(self) -> None:
        """After a test: forget the oldest runs if all together fill much of the disk."""
        for key in list(self._made)[:-1]:
            if sum(_disk(each) for each in self._made.values()) <= KEPT_BYTES:
                return
            self._made[key].close()
            (self._made.pop(key).dir / MEMORY).unlink(missing_ok=True)

    def close(self) -> None:
        """Close all runs, end all programs."""
        self.end_programs()
        for each in self._made.values():
            each.close()


def _disk(run: Run) -> int:
    """Bytes of disk that a run's RAM takes."""
    path = run.dir / MEMORY
    return path.stat().st_blocks * 512 if path.is_file() else 0


def trouble(run: Run, ok: bool) -> str:
    """'' if the run went its way, else why no test can judge by it, in a sentence."""
    reason, status = run.json["exit_reason"], run.json["status"]
    if reason == "todo":
        return run.sentence
    if reason in ("timeout", "interrupted", "crash", "refused", "panic"):
        return run.sentence
    if ok and status not in (running.STATUS_ENDED, running.STATUS_FAILED, running.STATUS_TIME):
        return f"the run ended with status {status}: {run.sentence}"
    return ""


