"""`python3 -m grader run` on a fake emulator: every way in which a run can end.

fake_emulator.py leaves the files and the exit code; nothing is booted here.
Machines that really run are tested elsewhere, with the fixture `machine`.
"""
from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from grader import bundle, plan, run
from grader.plan import ROOT, derive_nonce

FAKE = Path(__file__).with_name("fake_emulator.py")


class Cli:
    """The command line of the grader, on a fake emulator and a made-up build."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"
        self.build = folder / "build"
        (self.build / "guests").mkdir(parents=True)
        (self.build / "nestling.elf").write_bytes(b"kernel")
        (self.build / "nestling.img").write_bytes(b"disk")
        (self.build / "guests" / "hello.elf").write_bytes(b"guest")
        (self.build / "guests" / "tiny.bin").write_bytes(b"sixteen bits")
        self.emulator = folder / "qemu"
        self.emulator.write_text(f"#!/bin/sh\nexec {sys.executable} {FAKE} \"$@\"\n")
        self.emulator.chmod(0o755)

    def words(self, *more: str) -> list:
        return [sys.executable, "-m", "grader", "run", "--emulator", str(self.emulator),
                "--build", str(self.build), "--out", str(self.out), *more]

    def environment(self, mode: str, **more: str) -> dict:
        return {**os.environ, "NESTLING_FAKE": mode, **more}

    def run(self, mode: str, *more: str, guests: tuple = ("hello -- a=1",),
            **environment: str) -> subprocess.CompletedProcess:
        words = self.words(*more)
        for guest in guests:
            words += ["--guest", guest]
        return subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=False,
                              env=self.environment(mode, **environment))

    @property
    def json(self) -> dict:
        return json.loads((self.out / "run.json").read_text())


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.mark.parametrize("mode, code, reason, status, sentence", [
    ("ended", 0, "ended", 0, "all guests have ended after 0.005 s"),
    ("time", 0, "time", 2, "the time was up after 0.005 s"),
    ("failed", 1, "ended", 1, "but 1 self-checks of VM 1 (hello) failed"),
    ("unsealed", 1, "ended", 1, "but 1 self-checks of VM 1 (hello) failed"),
    ("failed-late", 1, "time", 1, "the time was up after 0.005 s of virtual time, but 1 self"),
    ("refused", 2, "refused", 3, "the kernel refused the run: option 'x=1' is unknown"),
    ("panic", 2, "panic", 4, "the host kernel panicked after 0.000 s of virtual time: out of"),
    ("odd", 2, "crash", 9, "unknown status 9"),
    ("error", 2, "crash", None, "QEMU gave up: cannot set up guest memory"),
    ("late-error", 2, "crash", None, "QEMU gave up: disk full"),
    ("silent", 2, "crash", None, "gave up without a word"),
    ("blank", 2, "crash", None, "gave up without a word"),
    ("reset", 2, "crash", None, "the machine reset itself"),
    ("killed", 2, "crash", None, "QEMU died of signal 9"),
    ("bad-entry", 0, "ended", 0, "BAD_ENTRY code 0, created 2 times, checks: 3 passed, 0 failed\n"
     "    ended: entry refused: ASID = 0\n"),
    ("code", 1, "ended", 1, "but VM 1 (hello) ended with EXITED: exited with code 2 "
     "(its last line: argument x: unknown)\n"),
    ("full", 0, "time", 2, "the time was up (the trace was full after 0.000 s of virtual time)"),
])
def test_each_ending_is_told_apart(cli, mode, code, reason, status, sentence):
    result = cli.run(mode)
    assert result.returncode == code, result.stderr
    assert (cli.json["exit_reason"], cli.json["status"]) == (reason, status)
    said = result.stdout if code == 0 else result.stderr
    assert sentence in said
    assert "Traceback" not in result.stderr


def test_what_a_run_leaves(cli):
    result = cli.run("ended", "--seed", "0x10", "--option", "slice=1ms", "--time", "2s")
    assert result.returncode == 0, result.stderr
    said = cli.json
    assert said["vms"] == [{"vm": 1, "name": "hello", "args": "-- a=1", "generations": 2,
                            "how": "EXITED", "code": 0, "why": "done", "checks_passed": 3,
                            "checks_failed": 0}]
    assert (said["seed"], said["nonce"]) == ("0x10", hex(derive_nonce(16)))
    assert said["virtual_ns"] == 5_000_000
    assert said["image_sha256"] == hashlib.sha256(b"kernel").hexdigest()
    raw = (cli.out / "bundle.bin").read_bytes()
    assert said["bundle_sha256"] == hashlib.sha256(raw).hexdigest()
    content = bundle.parse(raw)
    assert content.cmdline == "slice=1ms time=2s"
    assert content.guests == (bundle.Image("hello", "-- a=1", b"guest"),)
    assert (content.clock_hz, content.platform) == (10**9, "qemu-svm")
    assert said["image_sha256"].startswith(content.build_id) and len(content.build_id) >= 16
    trace = (cli.out / "trace.bin").stat().st_size
    assert said["trace"] == {"records": 7, "dropped": 0, "bytes": trace}
    assert "nestling boots" in (cli.out / "console.txt").read_text()
    assert said["emulator"] == "QEMU emulator version 7.2.22 (fake)"


def test_repeat_repeats(cli):
    cli.run("ended", "--seed", "7", "--time", "3s", "--option", "slice=1ms")
    first, bundle_before = cli.json, (cli.out / "bundle.bin").read_bytes()
    words = shlex.split(first["repeat"])
    assert words[0] == sys.executable  # another one may lack the libraries
    again = subprocess.run(words, cwd=ROOT, capture_output=True,
                           env=cli.environment("ended"), check=False)
    assert again.returncode == 0
    assert (cli.out / "bundle.bin").read_bytes() == bundle_before
    assert cli.json["repeat"] == first["repeat"]


def test_nothing_of_an_earlier_run_survives(cli):
    assert cli.run("ended", "--exit-log").returncode == 0
    (cli.out / "exits.log").write_text("old")
    (cli.out / "mine.txt").write_text("not the grader's")
    assert cli.run("error").returncode == 2
    assert not (cli.out / "trace.bin").exists()
    assert not (cli.out / "memory.bin").exists()
    assert not (cli.out / "exits.log").exists()
    assert (cli.out / "mine.txt").exists()


def test_what_else_is_in_its_folder_stays(cli):
    (cli.out / "mine").mkdir(parents=True)
    (cli.out / "mine/notes.txt").write_text("not the grader's")
    assert cli.run("ended").returncode == 0
    assert (cli.out / "mine/notes.txt").read_text() == "not the grader's"


def test_no_link_that_a_confined_emulator_leaves_is_followed(cli, tmp_path, monkeypatch):
    """Nor does anybody wait for a pipe; what leads elsewhere was not left."""
    for key, value in cli.environment("links", NESTLING_FAKE_SECRET=str(tmp_path)).items():
        monkeypatch.setenv(key, value)
    for name in ("console.txt", "exits.log"):
        (tmp_path / name).write_text("a secret of the machine\n")
    made = run.make(plan.Request(("hello",), cli.out, build=cli.build, exit_log=True,
                                 emulator=str(cli.emulator), wrap=("env",)))
    assert made.json["exit_reason"] == "ended" and "no log of exits" in str(made.warnings)
    assert sorted(path.name for path in cli.out.iterdir() if path.name != "nestling.elf") == \
        ["bundle.bin", "memory.bin", "run.json", "trace.bin"]
    assert all((tmp_path / name).read_text() == "a secret of the machine\n"
               for name in ("console.txt", "exits.log"))


def test_no_path_reaches_the_machine(cli):
    cli.run("ended", "--exit-log")
    words = cli.json["command"][1:]
    assert not [word for word in words if "/" in word]
    cli.run("ended", "--raw-image")
    words = cli.json["command"][1:]
    assert not [word for word in words if "/" in word]
    assert "-kernel" not in words and (cli.out / "nestling.img").read_bytes() == b"disk"


def test_a_machine_that_hangs_is_ended(cli):
    result = cli.run("hang", "--timeout", "1.5", "--time", "3s")
    assert result.returncode == 2
    assert "stopped after 1.5 s of host time" in result.stderr
    assert "0.00 s of at most 3 s of virtual time, 6 records so far" in result.stderr
    assert "console: nestling boots" in result.stderr
    assert cli.json["exit_reason"] == "timeout" and cli.json["vms"][0]["checks_passed"] == 3


def heed_interrupts() -> None:
    """A job in the background of a shell ignores SIGINT, and so would the runner."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_partial_result_and_no_process(cli, tmp_path, number):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = subprocess.Popen(cli.words("--guest", "hello"), cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=cli.environment("hang", NESTLING_FAKE_FIFO=str(fifo)),
                               preexec_fn=heed_interrupts)
    emulator = int(fifo.read_text())  # waits until the machine runs
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "interrupted" in errors and "Traceback" not in errors
    assert cli.json["exit_reason"] == "interrupted"
    assert (cli.out / "trace.bin").is_file()
    with pytest.raises(ProcessLookupError):
        os.kill(emulator, 0)


@pytest.mark.parametrize("words, guests, sentence", [
    ([], ("nobody",), "there is no guest 'nobody' and no such file; there are: hello, tiny"),
    ([], ("hello mem=1",), "'mem=1'"),
    ([], (), "at least one guest"),
    (["--option", "slice=1h"], ("hello",), "'slice=1h'"),
    (["--time", "2000s"], ("hello",), "'time=2000s': '2000s' is out of range"),
    (["--option", "time=1s", "--time", "1s"], ("hello",), "time is given twice"),
    (["--platform", "vax"], ("hello",), "there is no platform 'vax'; there are: qemu-svm"),
    (["--seed", "0x10000000000000000"], ("hello",), "seed 0x10000000000000000 does not fit"),
    (["--lab", "77"], (), "there is no lab 77"),
    (["--emulator", "/nonexistent/qemu"], ("hello",), "/nonexistent/qemu does not answer"),
    ([], ("hello",) * 16, "does not fit its bundle: guests: 16"),
])
def test_what_cannot_be_run_is_said_before_it_starts(cli, words, guests, sentence):
    result = cli.run("ended", *words, guests=guests)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (cli.out / "run.json").exists()


def test_missing_kernel_and_folder(cli, tmp_path):
    (cli.build / "nestling.elf").unlink()
    assert "run make first" in cli.run("ended").stderr
    (cli.build / "nestling.elf").write_bytes(b"kernel")
    cli.out = tmp_path / "qemu" / "below-a-file"
    result = cli.run("ended")
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert "cannot write to" in result.stderr


def test_a_full_trace_says_how_to_record_longer(cli):
    assert "--option trace=some, or a larger tracebuf=" in cli.run("full").stderr
    assert "tracebuf" not in cli.run("time").stderr


def test_a_guest_in_two_words_is_told_to_be_one(cli):
    result = cli.run("ended", "--guest", "hello", "--", "hz=200", guests=())
    assert result.returncode == 2
    assert 'one word: --guest "ticker -- hz=200"' in result.stderr


@pytest.mark.parametrize("module", ["grader", "viz"])
def test_a_python_without_the_libraries_is_named(cli, tmp_path, module):
    """Debian's packages are for Debian's Python; another one may come first on PATH."""
    (tmp_path / "numpy.py").write_text("raise ModuleNotFoundError('none', name='numpy')")
    words = {"grader": cli.words("--guest", "hello")[1:], "viz": ["-m", "viz", "stats", "x"]}
    result = subprocess.run([sys.executable, *words[module]], cwd=ROOT, text=True,
                            capture_output=True, check=False,
                            env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert f"{sys.executable} has no module numpy: use /usr/bin/python3" in result.stderr


def test_guests_by_path_and_raw_ones(cli, tmp_path):
    other = tmp_path / "mine.kernel"
    other.write_bytes(b"my own")
    assert cli.run("ended", guests=(f"{other} mem=1M", "tiny")).returncode == 0
    content = bundle.parse((cli.out / "bundle.bin").read_bytes())
    assert content.guests == (bundle.Image("mine", "mem=1M", b"my own"),
                              bundle.Image("tiny", "", b"sixteen bits"))


def test_a_lab_names_guests_and_folder(cli):
    (cli.build / "guests" / "ticker.elf").write_bytes(b"ticker")
    (cli.build / "guests" / "greedy.elf").write_bytes(b"greedy")
    words = [word for word in cli.words() if word not in ("--out", str(cli.out))]
    result = subprocess.run([*words, "--lab", "0"], cwd=ROOT, capture_output=True, text=True,
                            env=cli.environment("time"), check=False)
    assert result.returncode == 0, result.stderr
    content = bundle.parse((cli.build / "run" / "lab0-qemu-svm" / "bundle.bin").read_bytes())
    assert [guest.name for guest in content.guests] == ["ticker", "greedy"]
    assert content.cmdline == "sched=rr slice=10ms time=2s"


def test_a_reader_that_goes_away_is_no_crash(cli):
    read, write = os.pipe()
    os.close(read)
    child = subprocess.run(cli.words("--guest", "hello"), env=cli.environment("ended"), cwd=ROOT,
                           stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert child.returncode == 141 and "Traceback" not in child.stderr
    assert json.loads((cli.out / "run.json").read_text())["exit_reason"] == "ended"


def test_quiet_says_nothing_when_all_is_well(cli):
    result = cli.run("ended", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")
    assert cli.run("failed", "--quiet").stderr != ""
