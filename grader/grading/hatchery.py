"""The process that workers are forked from: what they need is loaded in it, and no job ever is.

Loading numpy, pytest or matplotlib takes longer than most of what a worker does; a fork has
them at once.  A grader starts its hatchery, with a clean environment, when it needs the first
worker.  It loads what a kind of work needs when that is asked for first, serves this one grader, and
ends with it, and its workers with it.  It is asked over a socket: a message a worker, with the
pipe, the log and the socket on which it answers.  What workers do and how they tell of it: worker.py.
"""
from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple


from grader.plan import ROOT, RunError

BOOT = ("import sys; sys.path[0] = sys.argv.pop(1); "
        "from grader.grading import hatchery; hatchery.main()")
KEPT = ("PATH", "HOME", "TMPDIR")  # HOME: where pip may have put numpy
CLEAN = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
         "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "MPLBACKEND": "Agg"}
MOST = 1 << 16      # bytes of a message


# --- The grader's side ----------------------------------------------------------------

class _Hatchery:
    """The one of this process, once it is needed."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._socket: Optional[socket.socket] = None
        self._process: Optional["subprocess.Popen[bytes]"] = None

    def ready(self) -> socket.socket:
        """Where it is asked; it is started if there is none, or none any more."""
        with self._guard:
            if self._process is None or self._process.poll() is not None:
                self._start()
            assert self._socket is not None
            return self._socket

    def _start(self) -> None:
        if self._process is None:
            atexit.register(self.close)
        else:
            self.close()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, str(ROOT), str(theirs.fileno())], cwd=ROOT,
                env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), start_new_session=True)

    def close(self) -> None:
        """End it; a worker that still works ends with it."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()


_ours = _Hatchery()


def ready() -> None:
    """Start this process's hatchery, if it has none: it is a child of this process from then on."""
    _ours.ready()


@contextlib.contextmanager
def hatch(modules: Sequence[str], job: Path, events: int, log: Path) -> Iterator[None]:
    """A worker that does what work() of the first module does; the others it needs, too.  It tells
    what happens to the descriptor `events`, which is closed here, and writes to `log`.  When the
    context is left it has ended: by itself, or if an exception leaves, by force."""
    answer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with answer, open(log, "ab") as said:
        with theirs:
            asked = {"modules": modules, "job": str(job), "environment": _environment()}
            try:
                socket.send_fds(_ours.ready(), [json.dumps(asked).encode()],
                                [events, said.fileno(), theirs.fileno()])
            finally:
                os.close(events)
        told, files, _, _ = socket.recv_fds(answer, MOST, 1)
    if not files:
        raise RunError("the process that the grader's workers come from has ended")
    try:
        yield
    except BaseException:
        _kill(int(told), files[0])
        raise
    finally:
        select.select(files, [], [])
        os.close(files[0])


def _environment() -> Dict[str, str]:
    return {**{key: os.environ[key] for key in KEPT if key in os.environ}, **CLEAN}


def _kill(pid: int, file: int) -> None:
    """Kill a worker and its session if it has not ended; `file` stands for it."""
    if not select.select([file], [], [], 0)[0]:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


# --- The hatchery ---------------------------------------------------------------------

def main() -> None:
    """The hatchery itself: SOCKET.  Ends when nobody can ask it any more."""
    grader = socket.socket(fileno=int(sys.argv[-1]))
    grader.set_inheritable(False)
    while True:
        message, files, _, _ = socket.recv_fds(grader, MOST, 3)
        _reap()
        if not message:
            return
        asked = json.loads(message)
        for name in asked["modules"]:
            importlib.import_module(name)
        gc.freeze()     # what is loaded need not be looked through, and so copied, by workers
        hatchery = os.getpid()
        pid = os.fork()
        if pid == 0:
            grader.close()
            _become(asked, hatchery, *files)
        _answer(pid, files)


def _reap() -> None:
    """Take leave of the workers that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(pid: int, files: Tuple[int, ...]) -> None:
    """Tell who the worker is: by a descriptor, since its number may be somebody else's later."""
    process = os.pidfd_open(pid)
    with socket.socket(fileno=files[2]) as answer:
        with contextlib.suppress(OSError):
            socket.send_fds(answer, [str(pid).encode()], [process])
    for file in (*files[:2], process):
        os.close(file)


def _become(asked: Dict[str, Any], parent: int, events: int, log: int, answer: int) -> None:
    """In the new process: become the worker, and end as it; at once if `parent` has ended, since
    nobody else would end it."""
    code = 1
    try:
        os.close(answer)
        os.setsid()
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(Path(asked["job"]).parent)
        from grader.grading import worker
        work = sys.modules[asked["modules"][0]].work
        code = worker.live(work, Path(asked["job"]), events, parent)
    except BaseException:  # whatever it was, this process ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
