"""How much a program of the sandbox may use, and who may use it: the words before a command.

Limits bind each process by itself (setrlimit); the memory and number of all together
are bounded by their product.  RLIMIT_NPROC counts per user id and never binds root,
which is why a sandbox made by root drops to another user first (sandbox.py).
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from typing import List

MIB = 1 << 20
UIDS = range(61184, 65000)  # systemd keeps these for services without a user of their own
SPARE_S = 2                 # between SIGXCPU and SIGKILL


@dataclass(frozen=True)
class Limits:
    """Bounds of one sandboxed command; times in seconds, sizes in bytes."""

    cpu_s: int
    memory: int
    file: int
    processes: int = 48
    open_files: int = 256
    tmp: int = 64 * MIB


BUILD = Limits(cpu_s=20, memory=1024 * MIB, file=32 * MIB)
HOST = Limits(cpu_s=6, memory=256 * MIB, file=MIB, processes=4, open_files=32, tmp=MIB)
MACHINE = Limits(cpu_s=30, memory=4096 * MIB, file=256 * MIB)  # its RAM's file is made before


def prlimit(limits: Limits, uid: int) -> List[str]:
    """The words that put `limits` on what follows them; it will run as `uid`."""
    others = _tasks_of(uid)  # older kernels count a user's tasks in all namespaces together
    return ["prlimit", f"--cpu={limits.cpu_s}:{limits.cpu_s + SPARE_S}", f"--as={limits.memory}",
            f"--fsize={limits.file}", f"--nproc={others + limits.processes}",
            f"--nofile={limits.open_files}", "--core=0", "--"]


def _tasks_of(uid: int) -> int:
    """How many threads this user has now; 0 where /proc does not tell."""
    count = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:
                    count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                continue
    return count


def spare_uid() -> int:
    """A user id for one grading by root: nobody else's, another for each process."""
    return UIDS[os.getpid() % len(UIDS)]


def setpriv(uid: int) -> List[str]:
    """The words that make what follows run as `uid`, without any privilege."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all", "--no-new-privs", "--"]
