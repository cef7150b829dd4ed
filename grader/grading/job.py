"""What is to be graded and how: the Job that callers make, and the seeds it implies.

Public tests run on seed 1 unless SEED= says otherwise, so that a student sees at home
what is graded.  Hidden tests and nonces derive from secrets that are fresh for each
grading and recorded (record.json); with them a regrade is exact.
"""
from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from grader.plan import ROOT, Request, RunError

PUBLIC, ALL = "public", "all"


@dataclass(frozen=True)
class Job:
    """One grading.  `seed` fixes all seeds; `record` repeats a grading exactly."""

    lab: int
    submission: Path
    out: Path
    seed: Optional[int] = None
    tests: str = ALL
    only: Tuple[str, ...] = ()
    disposable: bool = False
    record: Optional[Path] = None
    quiet: bool = False
    sandbox: Optional[str] = None
    root: Path = ROOT
    keep: bool = False           # keep the memory of each run
    cpu_s: Optional[int] = None  # processor time of a run; None: by its virtual time
    pictures: bool = True        # draw them: what is graded to be counted only needs none
    platform: str = Request.platform


@dataclass(frozen=True)
class Seeds:
    """The numbers that all others of a grading derive from."""

    public: int
    hidden: int
    nonce: int

    @staticmethod
    def of(seed: Optional[int], recorded: Dict[str, Any]) -> "Seeds":
        """The record's seeds if there is one, else those of `seed`, else fresh ones."""
        if recorded:
            try:
                return Seeds(*(int(recorded[key], 16) for key in ("public", "hidden", "nonce")))
            except (KeyError, ValueError, TypeError):
                raise RunError("the record names no seeds") from None
        if seed is not None:
            return Seeds(seed, derive(seed, "hidden"), secrets.randbits(64))
        return Seeds(1, secrets.randbits(64), secrets.randbits(64))

    def record(self) -> Dict[str, str]:
        """As record.json holds them."""
        return {"public": hex(self.public), "hidden": hex(self.hidden), "nonce": hex(self.nonce)}


def derive(seed: int, *words: object) -> int:
    """A number of 64 bits that depends on all words, the same on every machine."""
    text = " ".join(map(str, ("nestling", hex(seed), *words)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
