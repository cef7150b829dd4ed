"""A submission that is a folder, a git checkout included.

Files are opened part by part below the folder's own descriptor, and no link is
followed anywhere on the way: what is read lies in the folder.  Of .git only the text
of HEAD and of the reference it names is read; git is never run on a submission.
"""
from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import List

from grader.grading.source import MOST_NAMES, Refused, Source, too_long

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
NOT_LISTED = {".git", "build", "__pycache__"}
SHA = re.compile(r"[0-9a-f]{40,64}\Z")
HEAD_BYTES = 4096


class Folder(Source):
    """A folder on disk."""

    kind = "folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._top)

    def names(self) -> List[str]:
        found: List[str] = []
        for place, folders, files in os.walk(self.path):
            folders[:] = sorted(name for name in folders if name not in NOT_LISTED)
            below = os.path.relpath(place, self.path)
            found += [os.path.normpath(os.path.join(below, name)) for name in files]
            if len(found) > MOST_NAMES:
                return found[:MOST_NAMES]
        return found

    def holds(self, name: str) -> bool:
        try:
            os.close(self._parent(name))
            return os.path.lexists(self.path / name)
        except (Refused, OSError, ValueError):
            return False

    def read(self, name: str, most: int) -> bytes:
        try:
            parent = self._parent(name)
        except OSError:
            raise Refused("is missing") from None
        try:
            return _read(parent, name.rsplit("/", 1)[-1], most)
        finally:
            os.close(parent)

    def _parent(self, name: str) -> int:
        """A descriptor of the folder that holds `name`; links on the way are refused."""
        here = os.dup(self._top)
        for part in name.split("/")[:-1]:
            try:
                below = os.open(part, FOLDER_FLAGS, dir_fd=here)
            except NotADirectoryError:
                raise Refused(f"lies behind {part}, which is a link or no folder") from None
            finally:
                os.close(here)
            here = below
        return here

    def commit(self) -> str:
        try:
            head = self.read(".git/HEAD", HEAD_BYTES).decode("ascii").strip()
            if head.startswith("ref: refs/") and ".." not in head:
                head = self.read(".git/" + head[5:], HEAD_BYTES).decode("ascii").strip()
        except (Refused, OSError, UnicodeDecodeError):
            return ""
        return head if SHA.match(head) else ""


def _read(parent: int, name: str, most: int) -> bytes:
    try:
        file = os.open(name, FILE_FLAGS, dir_fd=parent)
    except FileNotFoundError:
        raise Refused("is missing") from None
    except OSError as error:
        raise Refused("is a link" if os.path.islink(f"/proc/self/fd/{parent}/{name}")
                      else f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise Refused("is no regular file")
    with open(file, "rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise too_long(most)
    return data
