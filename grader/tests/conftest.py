"""Fixtures for tests that run machines.

`machine` runs guests and hands back a Run: trace, memory, console, run.json.
Equal runs are made once a session, also under xdist: they are kept in a folder
that all workers share.  Where no machine can run, the test fails and says why;
it is never skipped.
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Sequence

import pytest
from hypothesis import HealthCheck, settings

from grader import collect, plan, run
from grader.grading import sandbox
from grader.oracle.memory import Memory
from grader.platform import CONSOLE, MEMORY
from grader.tests import matrix
from viz import trace as viz_trace

# The same inputs every time, and no bound on how long one takes.
settings.register_profile("check", derandomize=True, deadline=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("check")

FOLDER = "machines"
PASSED = pytest.StashKey[bool]()


@dataclass(frozen=True)
class Run:
    """A run that was made; everything is read when it is asked for first."""

    dir: Path
    sentence: str

    @cached_property
    def json(self) -> Dict[str, Any]:
        """run.json."""
        return json.loads((self.dir / run.RUN_JSON).read_text())

    @cached_property
    def trace(self) -> viz_trace.Trace:
        """The trace."""
        return viz_trace.load(str(self.dir / run.TRACE))

    @cached_property
    def console(self) -> str:
        """All that the host kernel printed."""
        return (self.dir / CONSOLE).read_text(errors="replace")

    @cached_property
    def memory(self) -> Memory:
        """The machine's RAM as it was at the end."""
        return Memory(self.dir / MEMORY)

    @property
    def exits(self) -> List[str]:
        """The emulator's own log of exits; the run must have been made with exit_log."""
        return (self.dir / "exits.log").read_text(errors="replace").splitlines()


RunMachine = Callable[..., Run]


@pytest.fixture(scope="session")
def namespaces() -> sandbox.Sandbox:
    """The sandbox that deserves trust.  Where the kernel forbids it, as in a chroot, there is
    nothing to test but what test_grading_sandbox.py and others try without it."""
    assert shutil.which("bwrap"), "bubblewrap is not installed: make setup"
    found = sandbox.find()
    if found.kind != sandbox.NAMESPACES:
        pytest.skip(found.reason)
    return found


@pytest.fixture(scope="session")
def machine_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where the runs of this session are; one folder for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / FOLDER
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> str:
    """The platform on which machines run: see matrix.py."""
    return str(getattr(request, "param", matrix.DEFAULT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that run machines run them on the platforms that are asked for."""
    matrix.parametrize(metafunc)


@pytest.fixture(scope="session")
def machine(machine_folder: Path, platform: str) -> Iterator[RunMachine]:
    """run(guests, option="", time=None, seed=1, exit_log=False, ...) -> Run.

    ok=False takes a run in whatever way it ended; else a status other than 0 and 2 fails
    the test.  fresh=True makes the run anew, as a comparison of two runs needs.
    """
    opened: List[Run] = []

    def make(guests: Sequence[str], option: str = "", time: Optional[str] = None, seed: int = 1,
             exit_log: bool = False, nonce: Optional[int] = None, raw_image: bool = False,
             timeout: Optional[float] = None, ok: bool = True, fresh: bool = False) -> Run:
        request = plan.Request(tuple(guests), machine_folder, platform, option, time, seed, nonce,
                               exit_log, raw_image, timeout=timeout)
        made = _make_once(request, machine_folder, fresh)
        opened.append(made)
        if ok and made.json["status"] not in (run.STATUS_ENDED, run.STATUS_TIME):
            said = "\n".join(collect.console_tail(made.dir / CONSOLE, 12))
            pytest.fail(f"{made.sentence}\nconsole:\n{said}\nrepeat: {made.json['repeat']}")
        return made

    yield make
    for each in opened:
        if "memory" in each.__dict__:
            each.memory.close()


def _make_once(request: plan.Request, folder: Path, fresh: bool) -> Run:
    try:
        planned = plan.make(request)
    except plan.RunError as error:
        pytest.fail(f"no machine can run: {error}")
    key = hashlib.sha256(planned.bundle + planned.image_sha256.encode()
                         + repr((request.exit_log, request.raw_image)).encode()).hexdigest()[:16]
    with open(folder / f"{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        number = len(list(folder.glob(f"{key}-*"))) if fresh else 0
        place = folder / f"{key}-{number}"
        told = place / "sentence.txt"
        if fresh or not told.is_file():
            _make(request, place, told)
    return Run(place, told.read_text())


def _make(request: plan.Request, place: Path, told: Path) -> None:
    fields = {**request.__dict__, "out": place}
    try:
        result = run.make(plan.Request(**fields))
    except plan.RunError as error:
        pytest.fail(f"no machine can run: {error}")
    _dig_holes(place / MEMORY)
    told.write_text(result.sentence)


def _dig_holes(memory: Path) -> None:
    """Zeros that take no room: the runs of a session may lie in the RAM of this computer."""
    if memory.is_file() and shutil.which("fallocate"):
        subprocess.run(["fallocate", "--dig-holes", str(memory)], stderr=subprocess.DEVNULL,
                       check=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, Any, None]:
    """Note whether the test passed."""
    outcome = yield
    if call.when == "call":
        item.stash[PASSED] = outcome.get_result().passed


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, None]:
    """What a test that passed has written is of no use any more."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    yield
    if folder is not None and item.stash.get(PASSED, False):
        shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Runs are large: keep them only when a test failed."""
    config = session.config
    if hasattr(config, "workerinput") or exitstatus != 0:
        return
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is not None:
        shutil.rmtree(factory.getbasetemp() / FOLDER, ignore_errors=True)
