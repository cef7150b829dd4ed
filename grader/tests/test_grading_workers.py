"""The grader's own processes: each is as clean as if it had been started, and ends when it should."""
from __future__ import annotations

import importlib
import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from grader.grading import drawing, hatchery, worker
from grader.plan import ROOT


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(worker.WORKS, "toy", ("grader.tests.toy_work",))


def done(folder: Path, **job: Any) -> Tuple[int, List[Dict[str, Any]]]:
    """Exit code and events of a toy worker."""
    folder.mkdir(exist_ok=True)
    (folder / "job.json").write_text(json.dumps({"do": "", **job}))
    events: List[Dict[str, Any]] = []
    return worker.start("toy", folder / "job.json", folder / "log", events.append), events


def until_gone(pid: int) -> bool:
    """Waits for its end: a test that fails here hangs, and pytest's limit ends it."""
    try:
        file = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    select.select([file], [], [])
    os.close(file)
    return True


def test_it_has_a_clean_environment_and_a_folder_session_and_log_of_its_own(tmp_path, monkeypatch):
    hatchery.ready()
    for name in ("PYTEST_ADDOPTS", "PYTHONPATH", "PYTHONSTARTUP", "NESTLING_X"):
        monkeypatch.setenv(name, "/nonsense")
    monkeypatch.setenv("TMPDIR", str(tmp_path))     # not as when the hatchery was started
    monkeypatch.delenv("HOME", raising=False)
    code, [seen] = done(tmp_path / "a", code=3)
    assert code == 3
    assert seen["environment"] == {**hatchery.CLEAN, "TMPDIR": str(tmp_path),
                                   "PATH": os.environ["PATH"]}
    assert seen["folder"] == str(tmp_path / "a") and seen["session"]
    assert (tmp_path / "a/log").read_text() == "said to the log\n"


def test_none_sees_what_another_left_in_memory(tmp_path):
    both = [done(tmp_path / name)[1][0] for name in "ab"]
    assert [each["seen"] for each in both] == [1, 1]
    assert both[0]["hatchery"] == both[1]["hatchery"] != os.getpid()


def test_many_at_once_tell_each_its_own(tmp_path):
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda number: done(tmp_path / str(number), code=number), range(12)))
    assert [code for code, _ in made] == list(range(12))
    assert [events[0]["folder"] for _, events in made] == [str(tmp_path / str(n)) for n in range(12)]


@pytest.mark.parametrize("do, said", (("die", ""), ("raise", "ValueError: so it was asked")))
def test_one_that_does_not_come_to_its_end_is_told_apart(tmp_path, do, said):
    code, events = done(tmp_path / do, do=do)
    assert code == worker.DIED and [each["at"] for each in events] == ["is"]
    assert said in (tmp_path / do / "log").read_text()
    assert done(tmp_path / "next")[0] == 0


def test_one_that_nobody_listens_to_any_more_is_ended_with_all_that_it_started(tmp_path):
    (tmp_path / "job.json").write_text('{"do": "hang"}')
    pids: List[int] = []

    def tell(event: Dict[str, Any]) -> None:
        if event["at"] == "hangs":
            pids.append(event["child"])
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        worker.start("toy", tmp_path / "job.json", tmp_path / "log", tell)
    assert len(pids) == 1 and until_gone(pids[0])


def test_a_hatchery_that_was_killed_is_followed_by_another(tmp_path):
    first = done(tmp_path / "a")[1][0]["hatchery"]
    os.kill(first, signal.SIGKILL)
    until_gone(first)
    code, [seen] = done(tmp_path / "b")
    assert code == 0 and seen["hatchery"] != first


def test_who_is_killed_leaves_neither_workers_nor_their_hatchery(tmp_path):
    (tmp_path / "job.json").write_text('{"do": "hang"}')
    script = ("import sys; from pathlib import Path; from grader.grading import worker; "
              "worker.WORKS['toy'] = ('grader.tests.toy_work',); there = Path(sys.argv[1]); "
              "worker.start('toy', there / 'job.json', there / 'log', "
              "lambda event: print(event.get('child', event.get('hatchery')), flush=True))")
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT,
                          stdout=subprocess.PIPE, text=True) as grader:
        at, child = int(grader.stdout.readline()), int(grader.stdout.readline())
        workers = [int(pid) for pid in Path(f"/proc/{at}/task/{at}/children").read_text().split()]
        grader.kill()
    assert len(workers) == 1
    for pid in (at, *workers, child):
        until_gone(pid)


def test_a_worker_whose_hatchery_has_ended_before_it_looked_does_no_work(tmp_path):
    """Its parent is another then, which would never end it."""
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"do": ""}))
    ours, events = os.pipe()
    answer, log = (os.open(os.devnull, os.O_WRONLY) for _ in range(2))
    asked = {"modules": ["grader.tests.toy_work"], "job": str(job), "environment": {}}
    importlib.import_module("grader.tests.toy_work")
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    pid = os.fork()
    if pid == 0:
        hatchery._become(asked, gone, events, log, answer)
    for file in (events, log, answer):
        os.close(file)
    with open(ours, encoding="utf-8") as told:
        assert told.read() == ""
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


# --- Pictures -----------------------------------------------------------------------------

def test_two_pictures_at_once_whoever_else_ends_meanwhile(tmp_path, monkeypatch):
    """A tool that viz left behind ends as a child of the worker's, and frees no place."""
    running, most, numbers = [], [], iter(range(1, 9))

    def start(words: List[str], log: Path) -> int:
        running.append(next(numbers))
        most.append(len(running))
        return running[-1]
    ends = iter([99, 1, 98, 97, 2, 3, 96, 4])

    def wait() -> Tuple[int, int]:
        pid = next(ends)
        if pid in running:
            running.remove(pid)
        return pid, 0
    monkeypatch.setattr(drawing, "_start", start)
    monkeypatch.setattr(drawing.os, "wait", wait)
    told: List[Dict[str, Any]] = []
    drawing.work({"pictures": [["walk"]] * 4, "folder": str(tmp_path)},
                 lambda **event: told.append(event))
    assert max(most) == drawing.AT_ONCE and told == [{"at": "drawn", "problems": [""] * 4}]
