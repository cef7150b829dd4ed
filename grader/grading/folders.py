"""The output folder of a grading: what stands in it, and that nothing old or half stays.

A grading that was killed left only things of these names; the next one removes them.
A folder that holds such names without being a grading's is not touched.
"""
from __future__ import annotations

import fcntl
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator

from grader import remove
from grader.plan import ROOT, RunError
from grader.platform import MEMORY

MARK = ".nestling-grading"
FILES = ("results.json", "junit.xml", "report.html", "record.json", "build.log", "judge.log")
WHOLE = ("runs", "machine", "work")


class Folders:
    """Paths of one grading; as a context it clears the folder before and `work` after."""

    def __init__(self, out: Path) -> None:
        self.out = out.absolute()
        self.runs, self.machine = self.out / "runs", self.out / "machine"
        self.work = self.out / "work"
        self.copy = self.work / "copy"

    def __enter__(self) -> "Folders":
        if self.out.resolve() in (ROOT, *ROOT.parents):
            raise RunError(f"results cannot go to {self.out}: it holds the kit itself")
        try:
            self._clear()
            self.work.mkdir()
            self.runs.mkdir()
        except OSError as error:
            raise RunError(f"cannot write to {self.out}: {error.strerror}") from None
        return self

    def _clear(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        mark = self.out / MARK
        if not mark.exists():
            foreign = [name for name in WHOLE if (self.out / name).exists()]
            if foreign:
                raise RunError(f"{self.out} holds {foreign[0]}, which no grading left there: "
                               "choose another folder")
            mark.write_text("Folders runs, machine and work here are removed by the next grading.\n")
        for name in WHOLE:
            if (self.out / name).exists():
                remove.tree(self.out / name)
        for name in FILES:
            (self.out / name).unlink(missing_ok=True)

    def drop_memory(self) -> None:
        """Remove what is large and can be made again: the RAM of the machines."""
        for path in self.runs.glob(f"*/{MEMORY}"):
            path.unlink()

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            remove.tree(self.work)

    @contextmanager
    def lock(self, place: Path) -> Iterator[None]:
        """Only one grading at a time builds what all of them share."""
        place.mkdir(exist_ok=True)
        with open(place / ".lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
