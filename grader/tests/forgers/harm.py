"""What a grading must leave as it was: files, processes, the disk, the temporary folders.

A Watch is made before a grading; afterwards complaints() names whatever changed.  What the
grading itself is for, its output folder, is measured: it must not grow without bound.
"""
from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Dict, List, Sequence, Set, Tuple

from grader.grading import hatchery, limits, processes

MOST_LEFT = 600 << 20   # bytes of disk that a grading of one test may leave
LARGE = 64 << 20        # a file whose length says enough
SHARED = ("/tmp", "/var/tmp", "/dev/shm")


def digest(tree: Path) -> Dict[str, str]:
    """Each file below `tree`, with its kind, mode and contents."""
    found: Dict[str, str] = {}
    for place, folders, files in os.walk(tree):
        for name in (*folders, *files):
            path = Path(place, name)
            info = path.lstat()
            text = f"{info.st_mode:o} {info.st_uid}"
            if stat.S_ISREG(info.st_mode) and info.st_size > LARGE:
                text += str(info.st_size)
            elif stat.S_ISREG(info.st_mode):
                text += hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.is_symlink():
                text += os.readlink(path)
            found[str(path.relative_to(tree))] = text
    return found


def disk(tree: Path) -> int:
    """Bytes of disk below `tree`."""
    return sum(Path(place, name).lstat().st_blocks * 512
               for place, _, files in os.walk(tree) for name in files)


def strangers() -> Set[str]:
    """Files in shared folders, and processes, of users that only sandboxes have."""
    found = set()
    for folder in filter(os.path.isdir, SHARED):
        found |= {entry.path for entry in os.scandir(folder) if _is_theirs(entry.path)}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if _is_theirs(f"/proc/{pid}"):
            found.add(f"process {pid}")
    return found


def _is_theirs(path: str) -> bool:
    """Of a user that a grading by this very process takes: others grade at the same time."""
    try:
        return os.lstat(path).st_uid == limits.spare_uid() != os.getuid()
    except OSError:
        return False


class Watch:
    """Remembers how everything is."""

    def __init__(self, trees: Sequence[Path], out: Path) -> None:
        self.trees, self.out = trees, out
        self.before = {tree: digest(tree) for tree in trees}
        hatchery.ready()            # the grader's own
        processes.adopt_orphans()   # a process that hides from its parents becomes our child
        self.children = processes.descendants(os.getpid())

    def complaints(self) -> List[str]:
        """What is not as it was."""
        found = []
        for tree, before in self.before.items():
            now = digest(tree)
            found += [f"{tree / name} was changed" for name in sorted({*before, *now})
                      if before.get(name) != now.get(name)]
        found += [f"process {pid} is left: {words}" for pid, words in self._left()]
        found += [f"{name} is left" for name in sorted(strangers())]
        if disk(self.out) > MOST_LEFT:
            found.append(f"{self.out} takes {disk(self.out) >> 20} MiB")
        return found

    def _left(self) -> List[Tuple[int, str]]:
        """Processes below this one that were not there before, and what they are; one that has
        ended only waits for its parent, which may be we, to take notice."""
        found = []
        for pid in sorted(processes.descendants(os.getpid()) - self.children):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                state = Path(f"/proc/{pid}/stat").read_text()
            except OSError:
                continue
            if state.rsplit(")", 1)[1].split()[0] != "Z":
                found.append((pid, words))
        return found
