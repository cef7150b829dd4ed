"""GDB runs this first (gdb -x): it connects to the machine and adds our commands.

session.py says by the environment where the run and the build lie.  Imported inside GDB
only, and never by anything else.
"""
from __future__ import annotations

import os
import sys
from pathlib import Path

import gdb  # type: ignore[import-not-found]

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.dont_write_bytecode = True

from grader.gdb import commands, kernel, state, symbols  # noqa: E402

STATUS = ("all guests have ended", "a guest failed", "the time is up", "the run was refused",
          "panic", "a function is not written yet")
ENDED = "the machine has ended; our commands still read its memory as it was left"
PANICKED = "the host kernel panics: bt says from where, trace and exits what came before"


def start(run: Path, build: Path, socket: str, batch: bool) -> None:
    """Set GDB up, connect, and stop before the machine's first instruction."""
    for setting in ("breakpoint pending on", "print pretty on", "max-value-size unlimited",
                    "architecture i386:x86-64", "remotetimeout 30"):
        gdb.execute(f"set {setting}", to_string=True)
    host = kernel.Kernel(run / "nestling64.elf", run / "memory.bin")
    commands.register(commands.Debugger(host, symbols.View(host, build)))
    gdb.execute(f"target remote {socket}", to_string=True)
    symbols.EndStop(host, "host_exit", about_to_end)
    symbols.EndStop(host, "panic", lambda: PANICKED)
    at_the_end()
    print("The machine is stopped before its first instruction." + ("" if batch else " help "
          "nestling lists our commands; continue starts it."))


def about_to_end() -> str:
    """Said at the first instruction of host_exit(status)."""
    status = state.live("rdi") & 0xffffffff
    word = STATUS[status] if status < len(STATUS) else "unknown"
    return f"the run ends here, status {status} ({word}): the next continue ends the machine"


def at_the_end() -> None:
    """Say when the machine is gone, unless it is GDB that goes; then leave it standing, since
    it would run on for as long as it takes to end it (events of GDB 11 and 12)."""
    leaving = []
    removed, exiting = (getattr(gdb.events, name, None)
                        for name in ("connection_removed", "gdb_exiting"))
    if removed is None or exiting is None:
        return
    exiting.connect(lambda event: (leaving.append(event), disconnect()))
    removed.connect(lambda event: leaving or print(ENDED))


def disconnect() -> None:
    """Let go of a machine that is still there."""
    try:
        gdb.execute("disconnect", to_string=True)
    except gdb.error:
        pass


try:
    start(Path(os.environ["NESTLING_RUN"]), Path(os.environ["NESTLING_BUILD"]),
          os.environ["NESTLING_SOCKET"], "NESTLING_BATCH" in os.environ)
except (gdb.error, OSError) as error:
    print(f"grader: GDB cannot debug this machine: {error}", file=sys.stderr)
    gdb.execute("quit 2")
