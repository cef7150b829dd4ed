"""What the kinds of submissions have in common: named files, read within bounds."""
from __future__ import annotations

from abc import ABC, abstractmethod
from typing import List

MOST_BYTES = 256 << 10   # of one file
MOST_NAMES = 20000       # files that are looked at in a submission


class Refused(Exception):
    """A file or a submission is not taken; the message says why."""


class Source(ABC):
    """A submission: relative names with / between the parts.  A context manager."""

    kind: str

    @abstractmethod
    def names(self) -> List[str]:
        """All files, at most MOST_NAMES."""

    @abstractmethod
    def holds(self, name: str) -> bool:
        """Whether there is something of this name."""

    @abstractmethod
    def read(self, name: str, most: int) -> bytes:
        """A regular file's bytes; Refused if it is missing, no file, or too long."""

    def commit(self) -> str:
        """The git commit that is checked out, '' if that cannot be told."""
        return ""

    def close(self) -> None:
        """Give back what is open."""

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def too_long(most: int) -> Refused:
    """The one sentence about files that are too long."""
    return Refused(f"is longer than {most >> 10} KiB")
