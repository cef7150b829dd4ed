"""Running a confined command to its end, with bounded output, and leaving no process behind.

Also tells a machine that sleeps for ever from one that is merely slow: a process
whose threads all sleep and which uses no processor time.  A busy host starves
processes, but does not put them to sleep; so no verdict depends on its load.
"""
from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import AbstractSet, Deque, Dict, List, Sequence, Set, Tuple

from grader.platform import Stop

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ASLEEP_S = 10.0
LOOKS = 10          # within that time
PIECE = 1 << 16
PATIENCE_S = 5.0     # for the last words of a process that nobody can end


@dataclass(frozen=True)
class Output:
    """What a command said, and how it ended: code is -signal, None for 'out of time'."""

    code: int | None
    text: str
    cut: bool


def adopt_orphans() -> None:
    """Processes whose parent ends become our children, so that none is lost sight of."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """End this process when `parent` ends, however that comes about."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def run(command: Sequence[str], folder: Path, most: int, seconds: float) -> Output:
    """Run a command in `folder`; keep `most` bytes of what it says, give it `seconds`.  What it
    started and hid from its session ends with it, if orphans are adopted here; where they are
    not, nobody waits for what they may still say."""
    ours = descendants(os.getpid())
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command], cwd=folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True)
    said = bytearray()
    reader = threading.Thread(target=_read, args=(process.stdout, said, most), daemon=True)
    reader.start()
    code: int | None
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        end_group(process)
    end_descendants(but=ours)
    reader.join(PATIENCE_S)
    if not reader.is_alive():
        process.stdout.close()
    return Output(code, bytes(said[:most]).decode("utf-8", "replace"), len(said) > most)


def _read(stream, said: bytearray, most: int) -> None:
    """Read to the end, so that nobody blocks; keep one byte more than is wanted."""
    while True:
        piece = stream.read1(PIECE)
        if not piece:
            return
        said += piece[:max(0, most + 1 - len(said))]


def end_group(process: subprocess.Popen) -> None:
    """Kill the command's session and what is below it; a worker looks for orphans at its end."""
    below = descendants(process.pid)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    for pid in below:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    process.wait()


def end_descendants(but: AbstractSet[int] = frozenset()) -> None:
    """Kill all processes below this one but those named; with adopt_orphans() that is all it
    ever started.  A process that has other children would lose them: workers have none."""
    for _ in range(100):
        if not but:
            _reap_all()
        left = descendants(os.getpid()) - but
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap(left)


def _reap_all() -> None:
    """Take leave of children that have ended, adopted ones above all."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _reap(pids: Set[int]) -> None:
    for pid in pids:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            continue


def descendants(pid: int) -> Set[int]:
    """The ids of all processes below `pid`."""
    children: Dict[int, List[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(f"/proc/{name}/stat")
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
    found: Set[int] = set()
    todo = [pid]
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def _stat(path: str) -> List[str]:
    """The fields of a stat file from the state on; [] if the process is gone."""
    try:
        with open(path) as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return []


class AsleepWatch:
    """Ends a run (grader.platform.Stop) in which nothing happens any more."""

    def __init__(self, seconds: float = ASLEEP_S) -> None:
        self.seconds = seconds
        self._next = 0.0
        self._looks: Deque[Tuple[int, bool]] = deque(maxlen=LOOKS)

    def __call__(self, elapsed: float) -> None:
        if elapsed < self._next:
            return
        self._next = elapsed + self.seconds / LOOKS
        self._looks.append(activity(descendants(os.getpid())))
        if len(self._looks) == LOOKS and self._asleep():
            raise Stop(f"{self.seconds:g} s in which it slept with nothing to wake it")

    def _asleep(self) -> bool:
        """Hardly ever seen awake, and a twentieth of the time used at most: an emulator looks
        up now and then even if its machine sleeps."""
        used = (self._looks[-1][0] - self._looks[0][0]) / os.sysconf("SC_CLK_TCK")
        return sum(awake for _, awake in self._looks) <= 1 and used <= self.seconds / 20


def activity(pids: Set[int]) -> Tuple[int, bool]:
    """Processor time of these processes in clock ticks, and whether a thread wants to run."""
    ticks, awake = 0, False
    for pid in pids:
        fields = _stat(f"/proc/{pid}/stat")
        ticks += sum(map(int, fields[11:13])) if fields else 0
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for task in tasks:
            state = _stat(f"/proc/{pid}/task/{task}/stat")
            awake |= bool(state) and state[0] in "RD"
    return ticks, awake
