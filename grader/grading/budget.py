"""How much processor time the runs of one grading may use.

A run gets many times what any correct solution needs, so that no verdict depends on
the machine or its load.  A submission that hangs would use that up in every run: after
each run that hangs the next ones get less, and in the end none is made.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from grader.grading import limits
from grader.grading.limits import Limits

CPU_S_PER_VIRTUAL_S = 20.0  # a correct solution needs about 2
AFTER_HANGS = (1.0, 0.5, 0.34)
LEAST_CPU_S = 10


class Exhausted(Exception):
    """No further run is made; the message says why."""


@dataclass
class Budget:
    """Counts the hangs of one grading."""

    hangs: int = 0
    slowness: float = 1.0        # of the emulator: grader/platform.py
    cpu_s: Optional[int] = None  # of a run before any hang; None: by its virtual time

    def limits(self, virtual_s: float) -> Limits:
        """The limits of the next run, which lasts at most so much virtual time."""
        if self.hangs >= len(AFTER_HANGS):
            raise Exhausted(f"not run: {self.hangs} runs of this submission hung before")
        whole = self.cpu_s or self.slowness * max(limits.MACHINE.cpu_s,
                                                  CPU_S_PER_VIRTUAL_S * virtual_s)
        cpu = max(min(whole, LEAST_CPU_S), whole * AFTER_HANGS[self.hangs])
        return replace(limits.MACHINE, cpu_s=int(cpu))

    def wall_s(self, given: Limits) -> float:
        """Seconds after which even a machine that waits for the processor is given up."""
        return 20.0 * given.cpu_s

    def hung(self) -> None:
        """A run reached its limit."""
        self.hangs += 1
