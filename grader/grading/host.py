"""Programs for the host that hold a submission's code: run in the sandbox, asked over pipes.

Pure code (a scheduler, say) needs no machine.  Who asks is a test, outside of the sandbox:
it plays the world and judges each answer, so all that a program can do for its points is to
answer right.  It has no network, sees no other file than itself, can write none (a limit binds each
file, not their number), and ends with its test.
"""
from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import List, Optional, Sequence

from grader.grading import limits, processes
from grader.grading.api import Failed
from grader.grading.limits import Limits
from grader.grading.sandbox import Sandbox

SAID_BYTES = 4096                       # of what it writes to its standard error
ANSWER_BYTES = 512
WALL_S = 20.0 * limits.HOST.cpu_s       # of waiting for all its answers; a busy host is no hang
TODO = 5                                # its exit status: STATUS_TODO of the kernel


class Program:
    """A running program: tell() it lines, ask() for its answer to one."""

    def __init__(self, binary: Path, words: Sequence[str], folder: Path, sandbox: Sandbox,
                 bounds: Limits = limits.HOST, wall_s: float = WALL_S) -> None:
        self._patience, self.hung = wall_s, False   # seconds that are left
        self._told, self._heard = bytearray(), bytearray()
        folder.mkdir(parents=True)
        shutil.copyfile(binary, folder / binary.name)
        (folder / binary.name).chmod(0o755)
        folder.chmod(0o755)
        self._said = tempfile.TemporaryFile()   # without a name that the program could give away
        self._process: Optional["subprocess.Popen[bytes]"] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--",
             *sandbox.wrap(folder, bounds, writable=False), f"./{binary.name}", *words],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said,
            start_new_session=True)
        os.set_blocking(self._process.stdin.fileno(), False)

    def tell(self, line: str) -> None:
        """A line that has no answer; it is sent with the next question."""
        self._told += line.encode() + b"\n"

    def ask(self, line: str) -> str:
        """Its answer to a line; Failed, in words, if there is none."""
        self.tell(line)
        if self._process is not None:
            self._send()
        while self._told or b"\n" not in self._heard:
            self._step()
            if len(self._heard) > ANSWER_BYTES * 64:
                self._fail("it says more than it was asked")
        answer, _, rest = bytes(self._heard).partition(b"\n")
        self._heard = bytearray(rest)
        return answer[:ANSWER_BYTES].decode("ascii", "replace")

    def _step(self) -> None:
        """Send and hear what can be sent and heard."""
        if self._process is None:
            raise Failed("the program has ended")
        ours, theirs = self._process.stdin.fileno(), self._process.stdout.fileno()
        before = time.monotonic()
        heard, free, _ = select.select([theirs], [ours] if self._told else [], [],
                                       max(0.0, self._patience))
        self._patience -= time.monotonic() - before
        if not heard and not free:
            self.hung = True
            self._fail("it gave no answer and did not end")
        if heard:
            piece = os.read(theirs, 1 << 16)
            if not piece:
                self._fail(self._ended())
            self._heard += piece
        if free:
            self._send()

    def _send(self) -> None:
        """Send what can be sent at once."""
        try:
            del self._told[:os.write(self._process.stdin.fileno(), self._told[:1 << 16])]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._fail(self._ended())

    def _fail(self, sentence: str) -> None:
        self.close()
        raise Failed(sentence)

    def _ended(self) -> str:
        """How it ended by itself, in words."""
        try:
            code = self._process.wait(max(0.0, self._patience))
        except subprocess.TimeoutExpired:
            self.hung = True
            return "it closed its output"
        number = code - 128 if code > 128 else -code
        said = self._last_words()
        if code == TODO and said:
            return said[-1]
        if number in (signal.SIGXCPU, signal.SIGKILL):
            self.hung = True
            return f"it computed for {limits.HOST.cpu_s} s without an answer: a loop without an end?"
        if 0 < number < 65:
            return (f"it was ended by {signal.Signals(number).name}, as after a pointer that leads "
                    "nowhere" + (f"; it said: {said[-1]}" if said else ""))
        return f"it ended with status {code}" + (f": {said[-1]}" if said else "")

    def _last_words(self) -> List[str]:
        """The lines that it wrote to its standard error, wherever it has put the file's offset."""
        return os.pread(self._said.fileno(), SAID_BYTES, 0).decode("utf-8", "replace").splitlines()

    def close(self) -> None:
        """End it, and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            os.set_blocking(pipe.fileno(), False)
            try:
                pipe.close()
            except OSError:
                pass
        processes.end_group(process)
        self._said.close()
