"""The pytest plugin of the judge: the fixture `lab`, dependencies, and results as events.

Tests run in the order of their files, public ones first.  A test that needs another one
which did not pass is not tried.  What is told to whom is decided later (results.py).
"""
from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Callable, Dict, Generator, List, Optional, Set

import pytest

from grader.grading.api import WORTH, Failed, Worth
from grader.grading.lab import Lab
from grader.grading.runs import Runs

PASSED, FAILED, NOT_TRIED, ERROR = "passed", "failed", "not tried", "error"


@dataclass(frozen=True)
class Case:
    """A test as results list it."""

    name: str
    points: float
    hint: str
    title: str
    hidden: bool
    needs: List[str]


class Plugin:
    """Judges one submission; see judge.py for how it is started."""

    def __init__(self, job: Dict[str, Any], runs: Runs, tell: Callable[..., None]) -> None:
        self.job, self.runs, self.tell = job, runs, tell
        self.lost: Set[str] = set(job["lost"])  # tests that did not pass, by function
        self.skip: Set[str] = set(job["done"])
        self.cases: Dict[str, Case] = {}
        self._lab: Optional[Lab] = None

    # --- Which tests ------------------------------------------------------------------

    def pytest_collection_modifyitems(self, items: List[pytest.Item]) -> None:
        """Keep what was asked for, in order, and tell which tests there are."""
        by_name = {each.originalname: each for each in items}
        for each in items:
            if not hasattr(each.function, WORTH):
                raise pytest.UsageError(f"{each.name} has no @points")
            unknown = [name for name in _worth(each).needs if name not in by_name]
            if unknown:
                raise pytest.UsageError(f"{each.name} needs {unknown[0]}, which does not exist")
        items[:] = self._chosen(items, by_name)
        for each in items:
            if each.name in self.cases:
                raise pytest.UsageError(f"there are two tests {each.name}")
            self.cases[each.name] = self._case(each)
        self.tell(at="cases", cases=[asdict(case) for case in self.cases.values()])
        items[:] = [each for each in items if each.name not in self.skip]

    def _chosen(self, items: List[pytest.Item], by_name: Dict[str, pytest.Item]
                ) -> List[pytest.Item]:
        """The tests of ONLY= and all that they need."""
        todo = list(self.job["only"])
        if not todo:
            return list(items)
        chosen: Set[str] = set()
        while todo:
            name = todo.pop()
            if name not in by_name:
                raise pytest.UsageError(f"there is no test {name}; there are: {', '.join(by_name)}")
            if name not in chosen:
                chosen.add(name)
                todo += _worth(by_name[name]).needs
        return [each for each in items if each.originalname in chosen]

    def _case(self, item: pytest.Item) -> Case:
        worth = _worth(item)
        text = (item.function.__doc__ or item.name.replace("_", " ")).strip()
        return Case(item.name, worth.points, worth.hint, text.splitlines()[0],
                    "/hidden/" in str(item.path), list(worth.needs))

    # --- One test ---------------------------------------------------------------------

    @pytest.fixture
    def lab(self, request: pytest.FixtureRequest) -> Lab:
        """The lab that is graded, for one test."""
        assert self._lab is not None
        return self._lab

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Give the test its lab, unless there is nothing to judge."""
        self.tell(at="test", name=item.name)
        seeds = self.job["seeds"]
        seed = int(seeds["hidden" if self.cases[item.name].hidden else "public"], 16)
        self._lab = Lab(item.originalname, seed, self.runs, self.job["predictions"],
                       self.job["questions"])
        if self.job["broken"]:
            raise Failed(self.job["broken"])
        missing = [name for name in _worth(item).needs if name in self.lost]
        if missing:
            pytest.skip(f"not tried: it needs {missing[0]}, which did not pass")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """After the test itself: it counts only if what it was shown does not contradict itself."""
        assert self._lab is not None
        self._lab.check_evidence()

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo
                                  ) -> Generator[None, Any, None]:
        """Tell the result of a test when it is known."""
        yield
        if call.when == "teardown" or (call.when == "setup" and call.excinfo is None):
            return
        status, message = _verdict(call.excinfo)
        if status != PASSED:
            self.lost.add(item.originalname)
        self.runs.end_programs()
        lab = self._lab
        assert lab is not None
        if status in (FAILED, ERROR):
            lab.note_contradictions()
        self.runs.trim()
        self.tell(at="result", name=item.name, function=item.originalname, status=status,
                  message=message, measured=lab.measured, contradictions=lab.contradictions,
                  seed=hex(lab.seed), runs=[each.dir.name for each in lab.used],
                  repeat=[each.again for each in lab.used[-1:]],
                  console=lab.used[-1].console_tail() if lab.used else [],
                  pictures=[_picture(each) for each in lab.pictures], **self.runs.state())


def _worth(item: pytest.Item) -> Worth:
    worth: Worth = getattr(item.function, WORTH)  # type: ignore[attr-defined]
    return worth


def _picture(picture: Any) -> Dict[str, Any]:
    return {"run": picture.run.dir.name, "kind": picture.kind, "vm": picture.vm,
            "gva": picture.gva}


def _verdict(excinfo: Optional[pytest.ExceptionInfo]) -> List[str]:
    """The status of a test and what to say, from what it raised."""
    if excinfo is None:
        return [PASSED, ""]
    error = excinfo.value
    if isinstance(error, pytest.skip.Exception):
        return [NOT_TRIED, str(error.msg)]
    if isinstance(error, AssertionError):
        return [FAILED, str(error) or f"this does not hold: {excinfo.traceback[-1].statement}"]
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        raise error
    return [ERROR, f"the test could not judge: {type(error).__name__}: {error}"]
