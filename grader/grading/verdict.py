"""One grading as it proceeds: the build, then the judge, test by test.

The judge works in a process of its own.  Should a test end that process (a submission
that leaves something monstrous to be read), the test counts as failed and a new judge
goes on with the next one.  What is written out of all this: results.py.
"""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List

from grader.grading import worker
from grader.grading.folders import Folders
from grader.grading.intake import Taken
from grader.grading.job import ALL, Job, Seeds
from grader.grading.plugin import FAILED, PASSED
from grader.grading.predictions import NAME as PREDICTIONS
from grader.grading.progress import Steps
from grader.grading.sandbox import Sandbox
from grader.labtoml import Lab
from grader.plan import RunError

ERROR = re.compile(r"\berror: |undefined reference|multiple definition")


@dataclass
class Grading:
    """All that is known of a grading."""

    job: Job
    lab: Lab
    seeds: Seeds
    box: Sandbox
    taken: Taken
    folders: Folders
    steps: Steps
    told: Dict[str, Any] = field(default_factory=dict)     # predictions
    built: Dict[str, Any] = field(default_factory=dict)
    broken: str = ""                                       # why nothing can be judged
    cases: List[Dict[str, Any]] = field(default_factory=list)
    results: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    current: str = ""

    @property
    def has_hidden(self) -> bool:
        """Whether hidden tests are among the tests."""
        return any(case["hidden"] for case in self.cases)

    # --- The build --------------------------------------------------------------------

    def build(self) -> None:
        """Build the submission, unless files are missing."""
        sources = [name for name in self.lab.files if not name.endswith("/" + PREDICTIONS)]
        missing = [f"{name} {self.taken.problems[name]}" for name in sources
                   if name in self.taken.problems]
        self.built = {"ok": False, "log": "", "hashes": {}}
        if missing:
            self.broken = "not built: " + "; ".join(missing)
            return
        self.steps.say("building")
        self._work("building", {
            "root": str(self.job.root), "copy": str(self.folders.copy),
            "build": str(self.folders.machine), "sandbox": self.box.__dict__,
            "programs": list(self.lab.programs),
            "files": {name: self.taken.files[name].decode() for name in sources}})
        if not self.built["ok"]:
            self.broken = self.built.get("sentence") or "it does not build"
            error = first_error(self.built["log"])
            self.broken += f"; the first error: {error}" if error else ""

    # --- The judge --------------------------------------------------------------------

    def judge(self) -> None:
        """Judge until every test has a result."""
        made, hangs = 0, 0
        while True:
            code = self._work("judge", self._judge_job(made, hangs))
            left = [case["name"] for case in self.cases if case["name"] not in self.results]
            if code == 0 and not left:
                return
            if not self.current or self.current in self.results or not self.cases:
                raise RunError(f"the judge failed: {self._last_words()}")
            self.results[self.current] = {
                "name": self.current, "function": self.current.split("[")[0], "status": FAILED,
                "message": "judging this test's runs ended the judge: what they left is "
                           "too large or damaged", "runs": [], "pictures": [], "measured": {},
                "contradictions": [], "seed": "", "repeat": [], "console": []}
            states = [each for each in self.results.values() if "made" in each]
            made = max([each["made"] for each in states], default=0) + 100
            hangs = max([each["hangs"] for each in states], default=0)

    def _judge_job(self, made: int, hangs: int) -> Dict[str, Any]:
        lost = [each["function"] for each in self.results.values() if each["status"] != PASSED]
        return {"files": self._test_files(), "folder": str(self.lab.path.parent),
                "build": str(self.folders.machine), "runs": str(self.folders.runs),
                "sandbox": self.box.__dict__, "seeds": self.seeds.record(),
                "only": list(self.job.only), "broken": self.broken,
                "predictions": self.told, "questions": self.lab.predict,
                "done": list(self.results), "lost": lost, "made": made, "hangs": hangs,
                "cpu_s": self.job.cpu_s, "platform": self.job.platform}

    def _test_files(self) -> List[str]:
        folder = self.lab.path.parent
        files = sorted(folder.glob("test_*.py"))
        if self.job.tests == ALL:
            files += sorted(folder.glob("hidden/test_*.py"))
        if not files:
            raise RunError(f"lab {self.lab.number} has no tests in {folder}")
        return [str(path.resolve()) for path in files]

    # --- Workers ----------------------------------------------------------------------

    def _work(self, name: str, job: Dict[str, Any]) -> int:
        path = self.folders.work / f"{name}.json"
        path.write_text(json.dumps(job))
        log = self.folders.out / "judge.log"
        return worker.start(name, path, log, self._event)

    def _event(self, event: Dict[str, Any]) -> None:
        at = event.pop("at")
        if at == "built":
            self.built = event
        elif at == "cases":
            self.cases = event["cases"]
        elif at == "test":
            self.current = event["name"]
            number = [case["name"] for case in self.cases].index(self.current) + 1
            self.steps.say(f"test {number} of {len(self.cases)}: {self.current}")
        elif at == "run":
            self.steps.more(f"run {event['number']}: {', '.join(event['guests'])}")
        elif at == "result":
            self.results[event["name"]] = event

    def _last_words(self) -> str:
        log = Path(self.folders.out / "judge.log")
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        told = [line for line in lines if "error" in line.lower()] or lines
        return told[-1] if told else "it said nothing"


def first_error(log: str) -> str:
    """The first error that the compiler or the linker tells of."""
    return next((line.strip() for line in log.splitlines() if ERROR.search(line)), "")
