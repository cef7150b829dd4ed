"""Tries small changes of the schedulers' sources: which of our checks sees each of them?

A changed source is compiled and linked with the objects that are there, by the Makefile's own
commands, and put to one check after the other, cheap ones first:
- random workloads (vmm/sched/sim/fuzz.c): the trace of all calls, decisions and states must be
  what the unchanged scheduler leaves, which in turn is held to the oracle (grader/oracle/sched,
  grader/tests/test_sched_oracle.py);
- the same built so that virtual times are moved back every few decisions;
- the unit tests of schedulers and heaps, with sanitizers.
One that is caught by none changes nothing that could be seen, or our checks have a hole.

    python3 -m grader.kit.small_trial [FILE ...]    try all changes of these, or of all files
"""
from __future__ import annotations

import filecmp
import resource
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from grader.kit.small_changes import Change, all_changes
from grader.labtoml import tomllib
from grader.plan import ROOT

LISTED = Path(__file__).with_name("small_equal.toml")
DECISIONS = 220
MEMORY = 4 << 30
NOT_BUILT = "does not build"


@dataclass(frozen=True)
class Check:
    """A program and what it is given; with sched, it leaves a trace of workloads."""

    target: str
    sched: str = ""
    first: int = 0
    count: int = 0
    seconds: int = 2            # of processor time, at most

    def words(self, trace: Path) -> List[str]:
        """The program's arguments."""
        if not self.sched:
            return []
        return ["fuzz", self.sched, str(self.first), str(self.count), str(DECISIONS), str(trace)]

    def __str__(self) -> str:
        return f"{self.sched} {self.first}+{self.count}" if self.sched else Path(self.target).name


SIM, REBASED, UNIT = "build/sim/schedsim", "build/sim-rebase/schedsim", "build/unit/test_"


def _checks(*scheds: str) -> List[Check]:
    """Few workloads find most changes; the last ones are only for those that nothing found."""
    return ([Check(SIM, sched, 1, 15, 1) for sched in scheds]
            + [Check(SIM, sched, 16, 285, 3) for sched in scheds]
            + [Check(SIM, sched, 301, 500, 5) for sched in scheds]
            + [Check(REBASED, sched, 1001, 40) for sched in scheds if sched != "credit"]
            + [Check(UNIT + "scheds", seconds=10)])


FILES: Dict[str, List[Check]] = {
    "vmm/sched/bvt.c": _checks("bvt"),
    "vmm/sched/sedf.c": _checks("sedf"),
    "vmm/sched/credit.c": _checks("credit"),
    "vmm/sched/credit_account.c": _checks("credit"),
    "vmm/sched/credit.h": _checks("credit"),
    "vmm/sched/heap.c": [*_checks("bvt", "sedf"), Check(UNIT + "heap")],
    "vmm/sched/heap.h": [*_checks("bvt", "sedf"), Check(UNIT + "heap")],
}


class Trial:
    """The unchanged programs and their traces; folder: for all that is made."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.folder, self.root = folder, root
        self._recipes: Dict[Tuple[str, str], List[List[str]]] = {}
        self._traces: Dict[Check, Path] = {}

    def changes(self, file: str) -> List[Change]:
        """All of a file."""
        return all_changes(file, (self.root / file).read_text())

    def caught_by(self, change: Change) -> Optional[str]:
        """The check that sees it, NOT_BUILT, or None."""
        programs: Dict[str, Optional[Path]] = {}
        for check in FILES[change.file]:
            if check.target not in programs:
                programs[check.target] = self._build(change, check.target)
            program = programs[check.target]
            if program is None:
                return NOT_BUILT
            if not self._as_unchanged(check, program):
                return str(check)
        return None

    def _as_unchanged(self, check: Check, program: Path) -> bool:
        if check.sched and check not in self._traces:
            self._traces[check] = self.folder / f"{len(self._traces)}.bin"
            if not _run(self.root / SIM, check, self._traces[check]):
                raise RuntimeError(f"{SIM} fails {check}")
        trace = self.folder / "changed.bin"
        ran = _run(program, check, trace)
        return ran and (not check.sched or filecmp.cmp(trace, self._traces[check], shallow=False))

    # --- Building ------------------------------------------------------------------

    def _build(self, change: Change, target: str) -> Optional[Path]:
        """The program with that change; None if the compiler refuses it."""
        changed = self.folder / "source" / change.file
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_text(change.apply((self.root / change.file).read_text()))
        program: Optional[Path] = self.folder / Path(target).name
        moved = {target: str(program), change.file: str(changed)}
        for recipe in self._recipe(change.file, target):
            out = recipe[recipe.index("-o") + 1]
            if out != target:
                moved[out] = str(self.folder / out.replace("/", "-"))
            words = [moved.get(word, word) for word in recipe if word not in ("-MMD", "-MP", "-O2")]
            words[1:1] = ["-w", "-O1", f"-I{self.folder / 'source'}"]
            if subprocess.run(words, cwd=self.root, capture_output=True, check=False).returncode:
                program = None
                break
        changed.unlink()                # or a header would stay for the next change
        return program

    def _recipe(self, file: str, target: str) -> List[List[str]]:
        """What make would do if the file were newer: the compiler's command lines."""
        if (file, target) not in self._recipes:
            words = ["make", "-s", "--no-print-directory", target]
            subprocess.run(words, cwd=self.root, check=True, stdout=subprocess.DEVNULL)
            told = subprocess.run([*words, "-n", "-W", file], cwd=self.root, check=True, text=True,
                                  capture_output=True).stdout
            lines = [shlex.split(line.partition("; ")[2]) for line in told.splitlines()]
            self._recipes[file, target] = [line for line in lines if "-o" in line]
        return self._recipes[file, target]


def _run(program: Path, check: Check, trace: Path) -> bool:
    """Whether it ended well, within its bounds."""
    def bounds() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (check.seconds, check.seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if check.sched:                 # sanitizers reserve more than any bound
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    return subprocess.run([str(program), *check.words(trace)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, preexec_fn=bounds).returncode == 0


def listed(path: Path = LISTED) -> Dict[Tuple[str, str], str]:
    """Changes that nothing can see, by file and changed line, and the reason of each."""
    entries = tomllib.loads(path.read_text())["equal"]
    return {(f"vmm/sched/{each['file']}", line): each["why"]
            for each in entries for line in each["lines"]}


def wrong(change: Change, by: Optional[str], equal: Dict[Tuple[str, str], str]) -> Optional[str]:
    """What is wrong with that outcome, as a sentence; None if nothing is."""
    told = f"{change}   ({change.old} -> {change.new or 'nothing'})"
    why = equal.get((change.file, change.text))
    if by is None and why is None:
        return f"no check sees {told}"
    if by is not None and why is not None:
        return f"listed as seen by no check, but {by} sees it: {told}"
    return None


def main(files: Sequence[str]) -> int:
    """Try all changes; tell what is wrong, and count."""
    counts: Dict[str, int] = {}
    problems = 0
    with tempfile.TemporaryDirectory() as folder:
        trial, equal = Trial(Path(folder)), listed()
        for change in (each for file in files or FILES for each in trial.changes(file)):
            by = trial.caught_by(change)
            problem = wrong(change, by, equal)
            counts[by or "nothing"] = counts.get(by or "nothing", 0) + 1
            if problem:
                problems += 1
                print(problem, flush=True)
    refused, unseen = counts.pop(NOT_BUILT, 0), counts.pop("nothing", 0)
    print(f"{sum(counts.values())} caught, {unseen} not ({unseen} can be seen by nothing, "
          f"{LISTED.name} says why), {refused} do not build" if not problems else
          f"{problems} are wrong")
    print("caught by: " + ", ".join(f"{by} {count}" for by, count in counts.items()))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
