"""What a platform is: an emulator that runs our kernel, and how to talk to it.

A platform says what it needs (check), how its emulator is called (command),
and what its exit code means (status); running and watching the process is the
same for all and stands here.  grader/platforms.py lists the platforms there are.
What a run consists of is not known here: see grader/run.py.
"""
from __future__ import annotations

import os
import select
import shutil
import signal
import stat
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Optional, Tuple

from grader import remove

BUNDLE = "bundle.bin"
MEMORY = "memory.bin"
CONSOLE = "console.txt"
EMULATOR_LOG = "emulator.log"
EXIT_LOG = "exits.log"
POLL_S = 0.1
PATIENCE_S = 5.0  # between asking the emulator to end and ending it
CPU_TIME_UP = (-signal.SIGXCPU, 128 + signal.SIGXCPU)  # by itself, and as a sandbox reports it

Watch = Callable[[float], None]  # called every POLL_S with the seconds since the start


class Stop(Exception):
    """Raised by a Watch: the run hangs; the message says after what it was stopped."""


@dataclass(frozen=True)
class Machine:
    """One machine to start: everything it reads and writes lies in `dir`."""

    dir: Path
    image: str  # the kernel's file in dir
    raw_image: bool = False
    exit_log: bool = False
    gdb: bool = False
    emulator: str = ""  # another emulator than the platform's own
    wrap: Tuple[str, ...] = ()  # what stands before the emulator's command: a sandbox


@dataclass(frozen=True)
class Ending:
    """How the emulator ended: by itself ('exit'), 'timeout' or 'interrupted'."""

    how: str
    code: int
    host_s: float
    limit: str = ""  # which limit of time was reached


@dataclass(frozen=True)
class Finding:
    """One line for `make doctor`."""

    ok: bool
    text: str


class Platform(ABC):
    """One emulator and extension, for instance qemu-svm."""

    name: str
    emulator: str  # the command that starts it
    clock_hz: int  # TSC ticks a second of virtual time
    kernel: str  # the image it boots, in build/
    raw_kernel: str  # the same as a disk
    slowness: float = 1.0  # how much more host time a run may take than on qemu-svm
    ram_file: int = 0  # bytes of memory.bin, if that file is the machine's RAM
    takes_gdb: bool = False  # GDB can be attached
    live_offset: Optional[int] = None  # of the trace in memory.bin while the machine runs

    @abstractmethod
    def check(self, emulator: str = "") -> List[Finding]:
        """What works and what does not, one finding a line."""

    @abstractmethod
    def version(self, emulator: str = "") -> str:
        """The emulator's own words, '' if there is no such emulator."""

    @abstractmethod
    def command(self, machine: Machine) -> List[str]:
        """The emulator's command line, to be run in machine.dir; file names are relative to
        it, so that no path gets into the machine."""

    @abstractmethod
    def status(self, machine: Machine, code: int) -> Tuple[Optional[int], str]:
        """The kernel's exit status from the emulator's exit code; None and the reason
        if the kernel did not end the run."""

    @abstractmethod
    def trace_area(self, machine: Machine) -> Optional[Tuple[Path, int]]:
        """File and offset at which the trace lies, None if the platform left none."""

    def remarks(self, machine: Machine) -> List[str]:
        """What the emulator itself has to say about how the run went."""
        return []

    def run(self, machine: Machine, watch: Watch, timeout: Optional[float]) -> Ending:
        """Run the machine to its end, or for `timeout` seconds of host time.

        Ctrl-C reaches this process alone (the emulator has its own session): the emulator
        is ended and the Ending says so.  If this process is killed, setpriv makes the
        kernel kill the emulator too.  What a sandboxed one leaves is looked through before
        anybody opens it.
        """
        with open(machine.dir / EMULATOR_LOG, "wb") as log:
            start = time.monotonic()
            process = subprocess.Popen(
                _tied_to_us() + [*machine.wrap, *self.command(machine)], cwd=machine.dir,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True)
            try:
                how = _wait(process, watch, start, timeout)
                limit = f"{timeout:g} s of host time" if how == "timeout" else ""
            except Stop as stop:
                how, limit = "timeout", str(stop)
            except KeyboardInterrupt:
                how, limit = "interrupted", ""
            finally:
                _end(process)
        if machine.wrap:
            _keep_plain_files(machine.dir)
        if how == "exit" and process.returncode in CPU_TIME_UP:
            how, limit = "timeout", "all the processor time that it was given"
        return Ending(how, process.returncode, time.monotonic() - start, limit)


def _keep_plain_files(folder: Path) -> None:
    """A link, a pipe or a folder was not left by an emulator that did its work: whoever opens
    these files by their names would be led out, or wait for ever.  (Only where the folder is a
    sandbox's own: else it may hold what is somebody's.)"""
    for path in folder.iterdir():
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            remove.tree(path)
        elif not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            path.unlink()
    (folder / EMULATOR_LOG).touch()


def _tied_to_us() -> List[str]:
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _wait(process: subprocess.Popen, watch: Watch, start: float,
          timeout: Optional[float]) -> str:
    with _its_end(process) as ended:
        while not ended():
            elapsed = time.monotonic() - start
            if timeout is not None and elapsed > timeout:
                return "timeout"
            watch(elapsed)
    return "exit"


@contextmanager
def _its_end(process: subprocess.Popen) -> Iterator[Callable[[], bool]]:
    """Gives a function that waits POLL_S for the process's end, at most, and says whether it
    came: by a file descriptor that stands for it, since Popen.wait() looks only now and then."""
    fd = os.pidfd_open(process.pid)

    def ended() -> bool:
        select.select([fd], [], [], POLL_S)
        return process.poll() is not None
    try:
        yield ended
    finally:
        os.close(fd)


def _end(process: subprocess.Popen) -> None:
    """End the emulator and whatever it started; returns when it is gone."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(PATIENCE_S)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()
