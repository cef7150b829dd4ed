"""Progress of a machine that runs: virtual time and records, read live from its trace.

Reads only what was appended since the last look, so watching costs little.
Nothing is shown for runs shorter than a second.  A trace with nonsense in it
is left alone: judging traces is the work of viz/trace.py, after the run.
"""
from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import Callable, List, Optional, TextIO, Tuple

MAGIC = b"NESTTRC1"
QUIET_S = 1.0  # nothing is said before
TTY_EVERY_S = 0.5
LINE_EVERY_S = 5.0
CHUNK = 4 << 20
CROSSINGS = (20, 21)  # entry, exit: kernel/trace_events.def
HEAD = struct.Struct("<QHH2xB")     # of a record: time, event, VM, number of words
PAYLOAD = [struct.Struct(f"<{words}Q") for words in range(256)]
See = Callable[[int, int, Tuple[int, ...]], None]  # event, VM, the words after the header


def _plain_file(path: str, flags: int) -> int:
    """Opens no link and waits for no other end: who writes the file may be hostile."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


class Tail:
    """Follows the buffers of a trace that is being written."""

    def __init__(self, path: Path, offset: int) -> None:
        self.path, self.offset = path, offset
        self.records, self.virtual_ns = 0, 0
        self.see: Optional[See] = None  # shown each entry and exit
        self._done: List[int] = []  # bytes read of each buffer

    def update(self) -> bool:
        """Read what is new; False while the machine has no trace yet."""
        try:
            with open(self.path, "rb", opener=_plain_file) as file:
                file.seek(self.offset)
                page = file.read(4096)
                if len(page) < 4096 or page[:8] != MAGIC:
                    return False
                cpus, = struct.unpack_from("<I", page, 12)
                clock_hz, base = struct.unpack_from("<QQ", page, 24)
                self._done = self._done or [0] * min(cpus, 8)
                for cpu in range(len(self._done)):
                    self._follow(file, cpu, struct.unpack_from("<QQQ", page, 640 + 32 * cpu),
                                 (base, clock_hz or 1))
        except (OSError, OverflowError):
            return False
        return True

    def _follow(self, file, cpu: int, where: Tuple[int, int, int],
                clock: Tuple[int, int]) -> None:
        start, size, used = where
        done = self._done[cpu]
        todo = min(used, size) - done
        if todo < 16:
            return
        file.seek(self.offset + start + done)
        data = file.read(min(todo, CHUNK))
        place, tsc, length, see = 0, None, len(data), self.see
        while place + 16 <= length:
            when, event, vm, words = HEAD.unpack_from(data, place)
            end = place + 16 + 8 * words
            if event == 0 or end > length:
                break
            if see and event in CROSSINGS:
                see(event, vm, PAYLOAD[words].unpack_from(data, place + 16))
            place, tsc = end, when
            self.records += 1
        self._done[cpu] += place
        if tsc is not None:
            now = (tsc - clock[0]) * 10**9 // clock[1]
            self.virtual_ns = max(self.virtual_ns, now)


class Progress:
    """Shows how far a run is: in place on a terminal, else a line every few seconds."""

    def __init__(self, tail: Optional[Tail], until_ns: int, out: Optional[TextIO] = None) -> None:
        self.tail, self.until_ns = tail, until_ns
        self.out = out or sys.stderr
        self.on_tty = self.out.isatty()
        self._next = QUIET_S
        self._shown = False

    def __call__(self, elapsed: float) -> None:
        if elapsed < self._next:
            return
        self._next = elapsed + (TTY_EVERY_S if self.on_tty else LINE_EVERY_S)
        self._write(self._text(elapsed))

    def _text(self, elapsed: float) -> str:
        if self.tail is None:
            return f"running for {elapsed:.0f} s"
        if not self.tail.update():
            return f"booting for {elapsed:.0f} s"
        return (f"running: {self.tail.virtual_ns / 1e9:.2f} s of at most "
                f"{self.until_ns / 1e9:g} s of virtual time, {self.tail.records} records so far "
                f"({elapsed:.0f} s)")

    def _write(self, text: str) -> None:
        self._shown = True
        if self.on_tty:
            self.out.write(f"\r\x1b[K{text}")
        else:
            self.out.write(text + "\n")
        self.out.flush()

    def close(self) -> None:
        """Clear the line in place, if there is one."""
        if self._shown and self.on_tty:
            self.out.write("\r\x1b[K")
            self.out.flush()
