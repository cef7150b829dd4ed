"""The sandbox: what a confined command can reach, use up and leave behind.

Each prohibition has its twin: outside the sandbox, or with a larger limit, the same
command works, so that a refusal is the sandbox's.
"""
from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grader.grading import limits, processes, sandbox
from grader.plan import ROOT, RunError

MANY = replace(limits.BUILD, processes=24)


@pytest.fixture(scope="module", params=sandbox.KINDS)
def box(request: pytest.FixtureRequest) -> sandbox.Sandbox:
    """Each kind that this machine has; the best one must be there."""
    if request.param == sandbox.NAMESPACES:
        request.getfixturevalue("namespaces")
    found = sandbox.find(force=request.param)
    if found.kind != request.param:
        assert request.param == sandbox.ANOTHER_USER and os.getuid() != 0
        pytest.skip("another user can be had by root only")
    return found


@pytest.fixture(scope="module")
def best(namespaces: sandbox.Sandbox) -> sandbox.Sandbox:
    found = namespaces
    assert found.kind == sandbox.NAMESPACES and found.trusted and not found.reason
    return found


def run(box: sandbox.Sandbox, folder: Path, *words: str,
        within: limits.Limits = limits.BUILD) -> processes.Output:
    """Run a command in the sandbox, as the worker does: in a process of its own."""
    folder.mkdir(exist_ok=True)
    box.hand_over(folder)
    return processes.run(box.wrap(folder, within) + list(words), folder, 4096, 120)


def test_work_is_done_in_its_folder(box, tmp_path):
    made = run(box, tmp_path / "f", "sh", "-c", "echo hello | tee file; pwd")
    assert made.code == 0 and made.text.startswith("hello\n")
    assert (tmp_path / "f/file").read_text() == "hello\n"


def test_the_environment_is_clean(box, tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "secret-of-the-machine")
    made = run(box, tmp_path / "f", "env")
    assert "secret-of-the-machine" not in made.text and "PATH=" in made.text
    made = run(box, tmp_path / "f", "sh", "-c", "cat /proc/self/environ /proc/1/environ")
    assert "secret-of-the-machine" not in made.text


def test_files_of_the_kit_and_of_others_are_not_there(best, tmp_path):
    secret = tmp_path / "hidden test"
    secret.write_text("expected value")
    secret.chmod(0o644)
    for path in (secret, ROOT / "Makefile", Path("/etc/passwd"), Path("/proc/self/environ")):
        assert path.read_bytes()
        made = run(best, tmp_path / "f", "cat", str(path))
        assert made.code != 0 and "No such file" in made.text


def test_nothing_outside_the_folder_can_be_written(best, tmp_path):
    made = run(best, tmp_path / "f", "sh", "-c", "touch /usr/x; touch /x; touch ../x; touch /etc/x")
    assert made.code != 0 and not any((tmp_path / name).exists() for name in ("x",))
    assert not Path("/usr/x").exists() and not Path("/x").exists()


CONNECT = "import socket; socket.create_connection(('127.0.0.1', {}), 5); print('connected')"


def test_there_is_no_network(best, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = CONNECT.format(server.getsockname()[1])
        outside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                                 check=False)
        inside = run(best, tmp_path / "f", "/usr/bin/python3", "-c", code)
    assert outside.stdout == "connected\n" and "connected" not in inside.text


def test_it_is_no_longer_root(box, tmp_path):
    made = run(box, tmp_path / "f", "id", "-u")
    if box.kind != sandbox.LIMITS_ONLY and os.getuid() == 0:
        assert int(made.text) in limits.UIDS
        assert made.text != f"{os.getuid()}\n"


# --- Limits ------------------------------------------------------------------------

def test_processor_time_is_limited(box, tmp_path):
    little = replace(limits.BUILD, cpu_s=1)
    made = run(box, tmp_path / "f", "sh", "-c", "while :; do :; done", within=little)
    assert made.code in (128 + 24, -24)


def test_memory_is_limited(box, tmp_path):
    code = "x = bytearray(600 << 20); print('had it')"
    words = ("/usr/bin/python3", "-c", code)
    assert "had it" in run(box, tmp_path / "f", *words).text
    less = replace(limits.BUILD, memory=256 << 20)
    assert "MemoryError" in run(box, tmp_path / "f", *words, within=less).text


def test_a_files_length_is_limited(box, tmp_path):
    words = ("dd", "if=/dev/zero", "of=big", "bs=1M", "count=8")
    run(box, tmp_path / "f", *words)
    assert (tmp_path / "f/big").stat().st_size == 8 << 20
    run(box, tmp_path / "f", *words, within=replace(limits.BUILD, file=1 << 20))
    assert (tmp_path / "f/big").stat().st_size <= 1 << 20


FORKS = "import os\nn = 0\ntry:\n    for n in range(400):\n" \
    "        if os.fork() == 0:\n            import time; time.sleep(60)\n" \
    "except OSError:\n    print('no more after', n)\n"


def test_the_number_of_processes_is_limited(box, tmp_path):
    if box.kind == sandbox.LIMITS_ONLY and os.getuid() == 0:
        pytest.skip("no limit of processes binds root: such a score is not trusted")
    made = run(box, tmp_path / "f", "/usr/bin/python3", "-c", FORKS, within=MANY)
    assert "no more after" in made.text


def test_output_is_cut_and_read_to_its_end(box, tmp_path):
    made = run(box, tmp_path / "f", "sh", "-c", "yes | head -c 10000000; echo done > told")
    assert made.cut and len(made.text) == 4096 and (tmp_path / "f/told").exists()


# --- Nothing stays -----------------------------------------------------------------

LEAVE = "import os, sys, time\n" \
    "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n" \
    "        sys.stdout.close(); time.sleep(600)\n    os._exit(0)\nos.wait()\n"
WORKER = "import sys; sys.path[0] = {root!r}\n" \
    "from pathlib import Path\nfrom grader.grading import processes, sandbox, limits\n" \
    "processes.adopt_orphans()\nbox = sandbox.find(force={kind!r})\n" \
    "f = Path({folder!r}); box.hand_over(f)\n" \
    "processes.run(box.wrap(f, limits.BUILD) + ['/usr/bin/python3', '-c', {code!r}, {mark!r}]," \
    " f, 4096, 60)\nprocesses.end_descendants()\nprint('after:', sorted(processes.descendants(__import__('os').getpid())))\n"


def with_mark(mark: str) -> list:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark in Path(f"/proc/{name}/cmdline").read_text(errors="replace"):
                found.append(int(name))
        except OSError:
            continue
    return found


def test_a_process_that_hides_from_its_session_is_ended(box, tmp_path):
    mark = f"mark-{os.getpid()}-{box.kind}"
    folder = tmp_path / "f"
    folder.mkdir()
    code = WORKER.format(root=str(ROOT), kind=box.kind, folder=str(folder), code=LEAVE, mark=mark)
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.stdout == "after: []\n", made.stderr
    assert with_mark(mark) == []


@pytest.mark.parametrize("code, asleep, looks", (
    ("print('ready', flush=True); input()", True, 20000),
    ("print('ready', flush=True)\nwhile True: pass", False, 40)))
def test_sleeping_is_told_from_working(code, asleep, looks, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        monkeypatch.setattr(processes, "descendants", lambda _: {process.pid})
        watch = processes.AsleepWatch(10.0)
        stopped = False
        for second in range(looks):
            try:
                watch(2.0 * second)
            except processes.Stop:
                stopped = True
                break
        process.kill()
    assert stopped == asleep


# --- Which one is chosen -----------------------------------------------------------

def test_where_namespaces_are_forbidden_the_score_is_labelled(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2"
                                 "\nexit 1\n")
    (tools / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    sandbox._help.cache_clear()
    found = sandbox.find()
    sandbox._help.cache_clear()
    assert found.kind != sandbox.NAMESPACES and not found.trusted
    assert "No permissions" in found.label and "not to be trusted" in found.label
    assert replace(found, disposable=True).trusted
    assert "declared disposable" in replace(found, disposable=True).label


def test_an_unknown_kind_is_refused():
    with pytest.raises(RunError, match="no sandbox 'jail'"):
        sandbox.find(force="jail")
