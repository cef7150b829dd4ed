"""A debugging session: the machine, stopped, and a GDB attached to it in this terminal.

The emulator is watched as in any run (it has its own session, so Ctrl-C is GDB's alone),
and ends with GDB; what was recorded is kept.  What GDB can do: commands.py.
"""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from grader import plan, run
from grader.plan import RunError
from grader.platform import EMULATOR_LOG

START = Path(__file__).with_name("start.py")
SYMBOLS = "nestling64.elf"
SOCKET_WAIT_S = 30.0
SOCKET_PATH_MAX = 100       # the kernel's limit is 107 bytes
OK, TIMED_OUT = 0, 124


@dataclass(frozen=True)
class Wish:
    """What GDB is to do: commands at its start, a file of them, and whether to end then."""

    commands: Sequence[str] = ()
    batch: Optional[str] = None     # None: interactive; "": only `commands`; else a file
    timeout: Optional[float] = None  # host seconds; then all is ended


def debug(request: plan.Request, wish: Wish) -> int:
    """Start the machine and GDB, wait for GDB's end; the exit code is GDB's."""
    check(wish)
    visit = Visit(request, wish)
    result = run.make(replace(request, gdb=True, watch=visit.watch, before=visit.keep_symbols))
    print(f"{visit.sentence(result)}; {plan.short(result.dir)} holds what was recorded",
          file=sys.stderr)
    return visit.code if visit.code is not None else run.STATUS_FAILED


def check(wish: Wish) -> None:
    """Refuse, in a sentence, what cannot work."""
    if shutil.which("gdb") is None:
        raise RunError("gdb is not installed: make setup, or apt-get install gdb")
    if wish.batch is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RunError("GDB needs a terminal to talk to you; without one: --batch FILE, or "
                       "--batch -ex COMMAND")
    if wish.batch and not Path(wish.batch).is_file():
        raise RunError(f"there is no file {wish.batch} with commands for GDB")


class Visit:
    """One GDB on one machine; `watch` is called while the emulator runs."""

    def __init__(self, request: plan.Request, wish: Wish) -> None:
        self.request, self.wish = request, wish
        self.code: Optional[int] = None

    def keep_symbols(self, folder: Path) -> None:
        """The symbols of the kernel that runs, whatever is built in the meantime."""
        try:
            shutil.copyfile(self.request.build / SYMBOLS, folder / SYMBOLS)
        except OSError as error:
            raise RunError(f"no symbols for GDB, {plan.short(self.request.build / SYMBOLS)}: "
                           f"{error.strerror}: run make first") from None

    def watch(self, elapsed: float) -> None:
        """At the first call run GDB to its end; if the machine is still there at the next
        one, GDB has left it running: it is to end too."""
        if self.code is not None:
            raise KeyboardInterrupt
        socket = self.request.out / "gdb.sock"
        if socket.exists():
            with short_name(socket) as name:
                self.code = self._run_gdb(name)
        elif elapsed > SOCKET_WAIT_S:
            self.code = TIMED_OUT

    def _run_gdb(self, socket: str) -> int:
        environment = {**os.environ, "NESTLING_RUN": os.path.abspath(self.request.out),
                       "NESTLING_BUILD": os.path.abspath(self.request.build),
                       "NESTLING_SOCKET": socket, "PYTHONDONTWRITEBYTECODE": "1"}
        if self.wish.batch is not None:
            environment["NESTLING_BATCH"] = "1"
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return self._wait(subprocess.Popen(gdb_command(self.wish), env=environment))
        finally:
            signal.signal(signal.SIGINT, before)

    def _wait(self, process: subprocess.Popen) -> int:
        try:
            return process.wait(self.wish.timeout)
        except subprocess.TimeoutExpired:
            print(f"grader: GDB was ended after {self.wish.timeout:g} s of host time",
                  file=sys.stderr)
            return TIMED_OUT
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def sentence(self, result: run.Result) -> str:
        """How the session ended."""
        if result.json["exit_reason"] == "interrupted":
            return (f"GDB left the machine after {result.json['virtual_ns'] / 1e9:.6f} s of "
                    "virtual time, and it was ended")
        log = result.dir / EMULATOR_LOG
        if log.is_file() and "GDBstub" in log.read_text(errors="replace"):
            return "GDB ended the machine"
        return result.sentence


def gdb_command(wish: Wish) -> List[str]:
    """GDB's command line; it dies with us, in a terminal so that it can put that right."""
    number = "TERM" if wish.batch is None else "KILL"
    tied = ["setpriv", "--pdeathsig", number, "--"] if shutil.which("setpriv") else []
    line = tied + ["gdb", "-q", *([] if wish.batch is None else ["-nx", "-batch"]),
                   "-x", str(START)]
    for command in wish.commands:
        line += ["-ex", command]
    return line + (["-x", wish.batch] if wish.batch else [])


@contextmanager
def short_name(socket: Path) -> Iterator[str]:
    """A name of the socket that is short enough for an address."""
    full = os.path.abspath(socket)
    if len(full) <= SOCKET_PATH_MAX:
        yield full
        return
    with tempfile.TemporaryDirectory(prefix="nestling-gdb-") as folder:
        link = os.path.join(folder, "gdb.sock")
        os.symlink(full, link)
        yield link


