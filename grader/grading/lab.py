"""The fixture `lab` of a lab's tests: what they run, measure and show.

One Lab a test.  What goes wrong with a run becomes a failed test with a sentence for
the student; a test judges only runs that were made and whose sources agree.
Which tests there are and what they are worth: plugin.py.
"""
from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from grader.grading.api import Failed
from grader.grading.job import derive
from grader.grading.host import Program
from grader.grading.runs import Run, Runs, trouble
from grader.plan import RunError

LESS_TRACED = "trace=some tracebuf=192M"  # a run whose trace was full is made again with it
BROKEN_OFF = ("timeout", "panic")
KINDS = ("timeline", "walk", "report")


@dataclass(frozen=True)
class Picture:
    """A picture that a test asked for; drawn after the test, if it is."""

    run: Run
    kind: str
    vm: Optional[int]
    gva: Optional[int]


@dataclass
class Lab:
    """What a test knows of the lab that is graded."""

    test: str
    seed: int
    runs: Runs
    predictions: Dict[str, Any] = field(default_factory=dict)
    questions: Dict[str, str] = field(default_factory=dict)
    used: List[Run] = field(default_factory=list)
    strict: List[Run] = field(default_factory=list)     # those whose sources must agree
    pictures: List[Picture] = field(default_factory=list)
    measured: Dict[str, float] = field(default_factory=dict)
    contradictions: List[str] = field(default_factory=list)

    @property
    def extension(self) -> str:
        """Of the processor on which runs are made: svm or vmx."""
        return self.runs.platform.name.rsplit("-", 1)[1]

    def random(self, name: str = "") -> random.Random:
        """Random numbers of this test and seed; another name gives others."""
        return random.Random(derive(self.seed, self.test, name))

    def run(self, *guests: str, option: str = "", time: Optional[str] = None,
            seed: Optional[int] = None, ok: bool = True, contradictions: str = "fail") -> Run:
        """Run guests under the submission's VMM.  The test fails, in words, if the run could not
        be made, hung, met an unwritten function, panicked, ended with a status other than 0 to
        2 (unless ok=False), or, once it has judged, if its sources contradict each other (unless
        contradictions="tell": then they are in run.contradictions)."""
        if contradictions not in ("fail", "tell"):
            raise ValueError(f"contradictions={contradictions!r}: fail or tell")
        try:
            made = self.runs.make(guests, option, time, self.seed if seed is None else seed)
        except RunError as error:
            raise RuntimeError(f"the test asks for a run that cannot be made: {error}") from None
        self.used.append(made)
        wrong = trouble(made, ok)
        if wrong:
            if made.json["exit_reason"] in BROKEN_OFF and made.json["trace"]["records"]:
                self.picture(made, "timeline")      # how far it came
            raise Failed(wrong)
        if contradictions == "fail":
            self.strict.append(made)
        if made.json["trace"]["dropped"] and "trace" not in option:
            return self.run(*guests, option=f"{option} {LESS_TRACED}".strip(), time=time,
                            seed=seed, ok=ok, contradictions=contradictions)
        return made

    def program(self, name: str, *words: str) -> Program:
        """A program for the host that holds the submission's code (lab.toml, [host]), started in
        the sandbox.  Whoever asks it judges its answers: it may say what it likes.  The test fails,
        in words, when it ends, hangs, or meets an unwritten function; it ends with the test."""
        return self.runs.program(name, *words)

    def check_evidence(self) -> None:
        """Hold the sources of all runs that were used against each other; Failed if they
        disagree.  Done after the test has judged, so that an honest mistake is told in the
        words of the test first."""
        self.note_contradictions()
        if self.contradictions:
            raise Failed("what the run left contradicts itself: " + self.contradictions[0])

    def note_contradictions(self) -> None:
        """Collect what contradicts itself in the runs of this test."""
        for each in self.strict:
            self.contradictions += [text for text in each.contradictions
                                    if text not in self.contradictions]

    def measure(self, key: str, number: float) -> None:
        """Put a measured number beside the student's prediction; [predict] of lab.toml knows key."""
        if key not in self.questions:
            raise KeyError(f"lab.toml has no question {key!r} in [predict]")
        self.measured[key] = float(number)

    def picture(self, run: Run, kind: str, vm: Optional[int] = None,
                gva: Optional[int] = None) -> None:
        """Ask for the student's own picture of a run in the report."""
        if kind not in KINDS:
            raise ValueError(f"no picture {kind!r}; there are: {', '.join(KINDS)}")
        self.pictures.append(Picture(run, kind, vm, gva))
