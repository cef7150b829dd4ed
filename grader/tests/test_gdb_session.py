"""GDB sessions as a person has them: in a terminal, interrupted, abandoned; and what is missing.

Nothing may stay behind: each test looks for processes that still hold the run's folder.
"""
from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

import pytest

from grader import plan
from grader.progress import Tail
from grader.qemu_svm import TRACE_ADDRESS
from grader.tests.debugger import debug

MACHINE = pytest.mark.machine
GREEDY = ["--guest", "greedy", "--time", "1000s"]


def words(command: str, out: Path, *more: str) -> List[str]:
    return [sys.executable, "-m", "grader", command, "--out", str(out), *GREEDY, *more]


def left_behind(out: Path) -> List[str]:
    """The command lines of processes that run in the folder or name it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            raw = (place / "cmdline").read_bytes()
            line = raw.replace(b"\0", b" ").decode(errors="replace")
            told = (place / "environ").read_bytes().decode(errors="replace")
            at_home = os.readlink(place / "cwd") == str(out)
        except OSError:
            continue
        if (at_home or str(out) in line or f"NESTLING_RUN={out}" in told) and int(place.name) != os.getpid():
            found.append(line)
    return found


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, line: List[str]) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(plan.ROOT)
            os.execve(line[0], line, {**os.environ, "TERM": "dumb", "HOME": "/nonexistent"})
        self.text = ""

    def until(self, pattern: str) -> str:
        """Read on until the pattern comes; what stood before it."""
        while True:
            found = re.search(pattern, self.text)
            if found:
                before, self.text = self.text[:found.end()], self.text[found.end():]
                return before
            try:
                more = os.read(self.master, 4096)
            except OSError:
                more = b""
            assert more, f"the terminal closed; no {pattern!r} in: {self.text[-2000:]}"
            self.text += more.decode(errors="replace")

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def code(self) -> int:
        """Wait for its end, reading what still comes."""
        try:
            while True:
                more = os.read(self.master, 4096)
                if not more:
                    break
                self.text += more.decode(errors="replace")
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextmanager
def terminal(line: List[str]) -> Iterator[Terminal]:
    it = Terminal(line)
    try:
        yield it
    finally:
        try:
            os.kill(it.pid, signal.SIGTERM)
            os.close(it.master)
        except (ProcessLookupError, OSError):
            pass


def wait_for_records(out: Path) -> None:
    """Until the machine runs: its trace in memory has grown."""
    tail = Tail(out / "memory.bin", TRACE_ADDRESS)
    while not (tail.update() and tail.records > 1000):
        os.sched_yield()


# --- In a terminal --------------------------------------------------------------------

@MACHINE
def test_ctrl_c_stops_the_machine_and_not_the_session(tmp_path):
    out = tmp_path / "out"
    with terminal(words("gdb", out)) as screen:
        screen.until(r"stopped before its first instruction")
        screen.until(r"\(gdb\) ")
        screen.type("continue\n")
        screen.until("Continuing")
        wait_for_records(out)
        screen.type("\x03")
        screen.until("SIGINT")
        screen.until(r"\(gdb\) ")
        screen.type("vms\n")
        screen.until("VM 1 greedy: running")
        screen.until(r"\(gdb\) ")
        screen.type("quit\n")
        screen.until("Quit anyway")
        screen.type("y\n")
        assert screen.code() == 0
        assert "holds what was recorded" in screen.text
    assert not left_behind(out)


BUSY = "python import time; time.sleep(100000)"      # a GDB that hears nothing


@MACHINE
def test_a_session_that_is_killed_leaves_no_process(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(words("gdb", out, "--batch", "-ex", BUSY), cwd=plan.ROOT,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    while "stopped before its first instruction" not in process.stdout.readline():
        pass
    assert len(left_behind(out)) == 3       # ourselves, the emulator, GDB
    process.kill()
    process.wait()
    for _ in range(1000):           # the kernel tells the children; give them the CPU
        if not left_behind(out):
            break
        subprocess.run(["true"], check=True)
    assert not left_behind(out)


@MACHINE
def test_sigterm_ends_gdb_and_the_machine(tmp_path):
    out = tmp_path / "out"
    with terminal(words("gdb", out)) as screen:
        screen.until(r"\(gdb\) ")
        os.kill(screen.pid, signal.SIGTERM)
        screen.code()
    assert not left_behind(out)


@MACHINE
def test_the_monitor_in_a_terminal(tmp_path):
    out = tmp_path / "out"
    with terminal(words("monitor", out)) as screen:
        screen.until(r"\(qemu\) ")
        screen.type("info status\r")
        screen.until(r"VM status: paused")
        screen.type("cont\r")
        screen.type("info status\r")
        screen.until(r"VM status: running")
        screen.type("\x03")
        assert screen.code() == 0
        assert "the machine was ended" in screen.text
    assert not left_behind(out)


# --- Without one ----------------------------------------------------------------------

def run(line: List[str], **more) -> subprocess.CompletedProcess:
    return subprocess.run(line, cwd=plan.ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=600, **more)


def test_without_a_terminal_it_says_what_to_do(tmp_path):
    for command, hint in (("gdb", "--batch FILE"), ("monitor", "-ex COMMAND")):
        done = run(words(command, tmp_path / "out"))
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "needs a terminal" in done.stderr and hint in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_gdb_it_says_how_to_get_it(tmp_path):
    done = run(words("gdb", tmp_path / "out", "--batch", "-ex", "vms"),
               env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "gdb is not installed: make setup, or apt-get install gdb" in done.stderr


def test_a_missing_file_of_commands_is_named(tmp_path):
    for command in ("gdb", "monitor"):
        done = run(words(command, tmp_path / "out", "--batch", "no-such-file"))
        assert done.returncode == 2 and "no-such-file" in done.stderr
        assert done.stderr.count("\n") == 1


@MACHINE
def test_without_symbols_it_says_so(tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    for name in ("guests", "nestling.elf"):
        (build / name).symlink_to(plan.BUILD / name)
    done = run(words("gdb", tmp_path / "out", "--batch", "--build", str(build)))
    assert done.returncode == 2 and "no symbols for GDB" in done.stderr


@MACHINE
def test_a_gdb_that_hangs_is_ended(tmp_path):
    done = run(words("gdb", tmp_path / "out", "--timeout", "5", "--batch", "-ex", BUSY))
    assert done.returncode == 124 and "GDB was ended after 5 s of host time" in done.stderr
    assert not left_behind(tmp_path / "out")


@MACHINE
def test_commands_of_a_file_and_the_exit_code(tmp_path):
    script = tmp_path / "commands"
    script.write_text("vms\necho it was read\\n\n")
    done = run(words("gdb", tmp_path / "out", "--batch", str(script)))
    assert done.returncode == 0 and "it was read" in done.stdout
    script.write_text("nonsense\n")
    assert run(words("gdb", tmp_path / "out", "--batch", str(script))).returncode != 0
    assert not left_behind(tmp_path / "out")


@MACHINE
def test_a_long_path_of_the_socket(tmp_path):
    out = tmp_path / ("a" * 60) / ("b" * 60)
    assert "VMM has not started" in debug(out, ["hello"], ["vms"]).of("vms")


@MACHINE
def test_the_monitor_carries_out_commands(tmp_path):
    done = run(words("monitor", tmp_path / "out", "-ex", "info status", "-ex", "xp /1wx 0xfffffff0",
                     "-ex", "quit"))
    assert done.returncode == 0
    assert "(qemu) info status\nVM status: paused" in done.stdout
    assert "00000000fffffff0: 0x" in done.stdout
    assert not left_behind(tmp_path / "out")


@MACHINE
def test_a_session_overwrites_no_run(tmp_path):
    """What `make run` left stays."""
    from grader import __main__ as command
    from grader.gdb import cli
    for what in (["--lab", "0"], ["--guest", "hello"]):
        options = command._parse(["gdb", *what])
        out = cli._out_of_the_way(options).out
        assert out.parent == plan.BUILD / "gdb" and command._request(options).out == out
    assert command._request(command._parse(["run", "--lab", "0"])).out != options.out
