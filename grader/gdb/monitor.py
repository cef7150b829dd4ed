"""QEMU's monitor in this terminal, for a machine that starts stopped.

QEMU offers the monitor on a socket in the run's folder; here the terminal's keys go to it and
its answers to the screen, until it or Ctrl-C ends.  What the monitor can do is QEMU's
business; cli.py's help tells the essentials.
"""
from __future__ import annotations

import os
import select
import socket as sockets
import sys
import termios
import tty
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from grader import plan, run
from grader.gdb.session import short_name
from grader.plan import RunError

PROMPT = b"(qemu) "
CTRL_C = b"\x03"
SOCKET = "monitor.sock"
ANSWER_S = 60.0


def lines_of(commands: Sequence[str], batch: Optional[str]) -> Optional[List[str]]:
    """The commands to carry out; None: the terminal says them."""
    if batch is None and not commands:
        return None
    try:
        said = Path(batch).read_text().splitlines() if batch else []
    except OSError as error:
        raise RunError(f"cannot read the commands in {batch}: {error.strerror}") from None
    return [*commands, *(line for line in said if line.strip())]


def talk(request: plan.Request, lines: Optional[List[str]]) -> int:
    """Start the machine and be its monitor's terminal until either ends."""
    if lines is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RunError("the monitor needs a terminal to talk to you; without one: -ex COMMAND")
    watcher = Watcher(request.out / SOCKET, lines)
    result = run.make(replace(request, gdb=True, watch=watcher.watch))
    ended = "the machine was ended" if result.json["exit_reason"] == "interrupted" \
        or result.json["status"] is None else result.sentence
    print(f"{ended}; {plan.short(result.dir)} holds what was recorded", file=sys.stderr)
    return 0


class Watcher:
    """Talks at the first look at the emulator; ends it at the next."""

    def __init__(self, path: Path, lines: Optional[List[str]]) -> None:
        self.path, self.lines, self.done = path, lines, False

    def watch(self, elapsed: float) -> None:
        if self.done:
            raise KeyboardInterrupt
        if not self.path.exists():
            return
        self.done = True
        with short_name(self.path) as name, sockets.socket(sockets.AF_UNIX) as line:
            line.connect(name)
            try:
                _ask(line, self.lines) if self.lines is not None else _bridge(line)
            except (BrokenPipeError, ConnectionResetError):
                return      # the machine ended


def _ask(line: sockets.socket, commands: List[str]) -> None:
    """Carry out commands one by one, printing what the monitor answers."""
    line.settimeout(ANSWER_S)
    _answer(line)
    for command in commands:
        line.sendall(command.encode() + b"\n")
        raw = _answer(line).decode("utf-8", "replace").replace("\r", "")
        _, _, said = raw.partition("\n")        # the first line is the echo
        print(f"(qemu) {command}\n{said}", end="", flush=True)


def _answer(line: sockets.socket) -> bytes:
    """All that comes before the next prompt, or before the end."""
    said = b""
    while not said.endswith(PROMPT):
        more = line.recv(4096)
        if not more:
            return said
        said += more
    return said[:-len(PROMPT)]


def _bridge(line: sockets.socket) -> None:
    """Keys to the monitor, its answers to the screen."""
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    with _raw(keyboard):
        while True:
            ready, _, _ = select.select([keyboard, line], [], [])
            if line in ready:
                said = line.recv(4096)
                if not said:
                    return
                os.write(screen, said)
            if keyboard in ready:
                keys = os.read(keyboard, 256)
                if not keys or CTRL_C in keys:
                    os.write(screen, b"\r\n")
                    return
                line.sendall(keys)


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """The terminal hands over each key, as the monitor edits its own lines."""
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
