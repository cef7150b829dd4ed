"""Forgers: submissions that want points, or do harm, by other means than solving the lab.

Each gets no point, for the reason it names, and leaves everything as it was; and counts only
since its honest twin, the same submission without the forgery, has full marks in the
same sandbox.  What they are: forgers/*.toml; what counts as harm: forgers/harm.py.
In `make check` with the tests that they name, with --torture with all of the lab.
"""
from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Callable, Dict, Iterator, Tuple

import pytest

from grader.grading import sandbox
from grader.plan import ROOT
from grader.tests.forgers import kit, packing
from grader.tests.forgers.harm import Watch
from grader.tests.forgers.kit import FORGERS, OPEN, UNDETECTED, Forger, Outcome

pytestmark = pytest.mark.machine
LEAST = 26
KINDS = tuple(kit.LABS)


@pytest.fixture(scope="session")
def roots(shared: Path) -> Dict[str, Path]:
    """Trees to grade on, made once a session; kinds whose labs are as they are share one."""
    with open(shared / "roots.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for kind in KINDS:
            if (shared / kind).exists():
                continue
            if kind in (kit.USUAL, OPEN):
                kit.make_root(shared / "part", kind == OPEN).rename(shared / kind)
            else:
                (shared / kind).symlink_to(kit.USUAL)
    return {kind: shared / kind for kind in KINDS}


@pytest.fixture
def victim() -> Iterator[Path]:
    """A folder of somebody's that anybody may write to."""
    with tempfile.TemporaryDirectory(prefix="nestling-victim-") as name:
        folder = Path(name)
        (folder / "precious").write_text("do not lose this\n")
        (folder / "precious").chmod(0o666)
        folder.chmod(0o777)
        yield folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder of this session's that all workers share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "twins"
    folder.mkdir(exist_ok=True)
    return folder


Twin = Callable[[str, str, Tuple[str, ...], str], Outcome]


@pytest.fixture(scope="session")
def twin(roots: Dict[str, Path], shared: Path, torture: bool) -> Twin:
    """The honest submission of a kind of packing, lab and sandbox: graded once a session."""
    def grade(pack: str, lab: str, only: Tuple[str, ...], box: str) -> Outcome:
        key = "-".join((pack, lab, box, *only))
        with open(shared / f"{key}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = shared / f"{key}.json"
            if not told.is_file():
                place = shared / key
                place.mkdir()
                handed_in = packing.PACKINGS[pack](kit.honest(roots[lab], place / "s"), place, place)
                made = kit.graded(roots[lab], handed_in, place / "out", only, torture, box)
                told.write_text(json.dumps(made.__dict__))
                shutil.rmtree(place / "out", ignore_errors=True)
            return kit.outcome_from(json.loads(told.read_text()))
    return grade


class Tried:
    """A forger that was graded, with what is left of it."""

    def __init__(self, forger: Forger, root: Path, place: Path, victim: Path, torture: bool,
                 box: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            words = {"ROOT": str(ROOT), "VICTIM": str(victim), "KEPT": kit.kept_of_hello(root),
                     "PORT": str(server.getsockname()[1])}
            folder = kit.forged(forger, root, place / "s", words)
            self.handed_in = packing.PACKINGS[forger.packing](folder, place, victim)
            watch = Watch((root, victim, place / "s"), place / "out")
            self.outcome = kit.graded(root, self.handed_in, place / "out", forger.only, torture, box,
                                      forger.loses)
            self.harm = watch.complaints()
            server.setblocking(False)
            try:
                server.accept()[0].close()
                self.harm.append("it connected")
            except BlockingIOError:
                pass
        shutil.rmtree(place / "out", ignore_errors=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Some show what others show, and take long: with --torture only."""
    if metafunc.function is test_the_forger_gets_nothing_and_harms_nothing:
        all_of_them = metafunc.config.getoption("--torture")
        metafunc.parametrize("forger", [pytest.param(each, id=each.name) for each in FORGERS
                                        if each.often or all_of_them])


def test_the_forger_gets_nothing_and_harms_nothing(
        forger, roots, victim, twin, tmp_path, torture, namespaces):
    tried = Tried(forger, roots[forger.lab], tmp_path, victim, torture)
    assert not tried.harm, "\n".join(tried.harm)
    assert tried.outcome.score == 0, tried.outcome.said
    assert re.search(forger.says, tried.outcome.said), tried.outcome.said
    assert tried.outcome.said.startswith("refused: ") == forger.refused
    assert forger.refused or tried.outcome.trusted
    honest = twin(packing.twin_of(forger.packing), forger.lab, forger.only, "")
    assert honest.score == honest.most > 0 and honest.trusted, honest.said


# --- What is not found out ----------------------------------------------------------------

@pytest.mark.parametrize("forger", [pytest.param(each, id=each.name) for each in UNDETECTED])
def test_what_a_forger_can_still_do(forger, roots, victim, tmp_path, namespaces):
    """Whoever makes one of these fail has found a rule that finds it out: move the forger to the
    others, and change handouts/instructor.md."""
    tried = Tried(forger, roots[forger.lab], tmp_path, victim, False)
    assert tried.harm == [] and tried.outcome.trusted
    assert tried.outcome.score == tried.outcome.most > 0, tried.outcome.said
    assert re.search(forger.says, tried.outcome.said)


def test_what_is_not_found_out_is_written_down():
    guide = (ROOT / "handouts/instructor.md").read_text()
    assert UNDETECTED and all(forger.name in guide for forger in UNDETECTED)


# --- The next one -------------------------------------------------------------------------

NASTY = ("open_files_left", "exit_flood", "patched_tests")


def test_the_next_submission_is_graded_as_if_nothing_had_been(roots, victim, tmp_path, namespaces):
    """Forgers and then an honest one, one after the other, into the same output folder."""
    out = tmp_path / "out"
    chosen = [forger for forger in FORGERS if forger.name in NASTY]
    assert len(chosen) == len(NASTY)
    words = {"ROOT": str(ROOT), "VICTIM": str(victim), "KEPT": "0", "PORT": "9"}
    for forger in chosen:
        root = roots[forger.lab]
        folder = kit.forged(forger, root, tmp_path / forger.name, words)
        assert kit.graded(root, folder, out, forger.only, False).score == 0
    honest = kit.honest(roots[OPEN], tmp_path / "honest")
    after = kit.graded(roots[OPEN], honest, out, kit.FIRST, False)
    assert after.score == after.most > 0, after.said


# --- Where user namespaces are forbidden -----------------------------------------------------

WITHOUT = ("macro_bomb", "fill_bomb", "open_fork_bomb", "open_processes_left",
           "open_files_left", "include_hidden_tests")
RIGHTS = os.getuid() == 0   # only then can another user be had, and a shell be let loose


@pytest.mark.parametrize("forger", [
    pytest.param(each, id=each.name) for each in FORGERS
    if each.name in WITHOUT and (RIGHTS or each.lab != OPEN)])
def test_without_namespaces_it_gets_nothing_either_and_the_score_is_labelled(
        forger, roots, victim, twin, tmp_path, torture):
    """There the folders that anybody may write to are open to it: that is what the label says."""
    box = sandbox.ANOTHER_USER if RIGHTS else sandbox.LIMITS_ONLY
    tried = Tried(forger, roots[forger.lab], tmp_path, victim, torture, box)
    assert tried.outcome.score == 0, tried.outcome.said
    assert [each for each in tried.harm if not each.startswith(str(victim))] == []
    assert not tried.outcome.trusted and "not to be trusted" in tried.outcome.label
    honest = twin(packing.twin_of(forger.packing), forger.lab, forger.only, box)
    assert honest.score == honest.most > 0 and not honest.trusted, honest.said


def test_there_are_enough_of_them_and_no_two_are_the_same():
    assert len([forger for forger in FORGERS if forger.often]) >= LEAST
    assert len({forger.tries for forger in FORGERS if forger.packing == "folder"}) == \
        len([forger for forger in FORGERS if forger.packing == "folder"])
