"""What is taken from a submission: the files that lab.toml names, and nothing else.

A submission is a folder, a zip or a tar file (folder.py, archive.py).  The lab's files may
lie at the top or inside one folder that wraps everything, as web sites make it.  A
file that is missing or unfit is named, and costs what depends on it; the rest is
graded.  Nothing of a submission is executed or imported here, and no git is run.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from grader.grading import archive, folder
from grader.grading.source import MOST_BYTES, Refused, Source
from grader.plan import RunError

TELL = 8  # ignored files that are named


@dataclass
class Taken:
    """What came out of a submission."""

    kind: str
    files: Dict[str, bytes] = field(default_factory=dict)
    problems: Dict[str, str] = field(default_factory=dict)  # file -> why it was not taken
    ignored: List[str] = field(default_factory=list)        # the first few
    ignored_count: int = 0
    commit: str = ""

    @property
    def hashes(self) -> Dict[str, str]:
        """SHA-256 of each file taken."""
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}


def take(submission: Path, wanted: Sequence[str], tree: Optional[Path] = None) -> Taken:
    """Take `wanted` from a submission.  RunError: there is nothing that could be graded.

    Other files count as ignored, but for those that are as in `tree`, the project itself."""
    try:
        with _open(submission) as source:
            return _take(source, wanted, tree)
    except Refused as refused:
        raise RunError(f"the submission {submission.name}: {refused}") from None
    except OSError as error:
        raise RunError(f"the submission {submission.name} cannot be read: "
                       f"{error.strerror or error}") from None


def _open(submission: Path) -> Source:
    if submission.is_dir():
        return folder.Folder(submission)
    if submission.is_file():
        return archive.open_archive(submission)
    raise RunError(f"there is no submission {submission}")


def _take(source: Source, wanted: Sequence[str], tree: Optional[Path]) -> Taken:
    prefix = _prefix(source, wanted)
    taken = Taken(source.kind, commit=source.commit())
    for name in wanted:
        try:
            taken.files[name] = _text(source.read(prefix + name, MOST_BYTES))
        except Refused as refused:
            taken.problems[name] = str(refused)
    mine = {prefix + name for name in wanted}
    others = [name for name in source.names()
              if name not in mine and not _as_given(source, name, prefix, tree)]
    taken.ignored_count = len(others)
    taken.ignored = [printable(name) for name in sorted(others)[:TELL]]
    return taken


def _prefix(source: Source, wanted: Sequence[str]) -> str:
    """'' or the name of the one folder that wraps the submission, with a slash."""
    if any(source.holds(name) for name in wanted):
        return ""
    tops = {name.split("/", 1)[0] for name in source.names() if not name.startswith("__MACOSX/")}
    for top in sorted(tops):
        if any(source.holds(f"{top}/{name}") for name in wanted):
            return top + "/" if len(tops) == 1 else ""
    return ""


def _as_given(source: Source, name: str, prefix: str, tree: Optional[Path]) -> bool:
    """Whether this file is as students were given it."""
    if tree is None or not name.startswith(prefix):
        return False
    given = tree / name[len(prefix):]
    try:
        return given.is_file() and source.read(name, MOST_BYTES) == given.read_bytes()
    except (Refused, OSError, ValueError):
        return given.is_file() and given.stat().st_size > MOST_BYTES


def _text(data: bytes) -> bytes:
    """A source file is text: what is not would make compilers and reports stumble."""
    if b"\0" in data:
        raise Refused("is no text: it holds a zero byte")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"is no UTF-8 text: byte {error.start}") from None
    return data


def printable(name: str) -> str:
    """A file name as it can be shown: no control characters, no half characters."""
    shown = "".join(char if char.isprintable() else "?" for char in
                    name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return shown if len(shown) <= 120 else shown[:117] + "..."
