"""Whether the sources of a run agree: the trace, the emulator's log of exits, RAM, the bundle.

The trace shares ring 0 with the student's code; alone it proves nothing.  A
contradiction is told neutrally, since an honest mistake can cause it too.
What a forger who satisfies all sources at once can still do: handouts/instructor.md.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, List

from grader.oracle import exitlog

if TYPE_CHECKING:
    from grader.grading.runs import Run


def contradictions(run: "Run") -> List[str]:
    """Every contradiction between the sources of a run, in words; empty if they agree."""
    return header(run) + exits(run)


def header(run: "Run") -> List[str]:
    """The trace's header names this very run."""
    found, told = [], run.trace.header
    for name, seen, wanted in (("nonce", told.nonce, int(run.json["nonce"], 16)),
                               ("seed", told.seed, int(run.json["seed"], 16)),
                               ("platform", told.platform, run.json["platform"])):
        if seen != wanted:
            found.append(f"the trace's header names the {name} {seen}, the run was given {wanted}")
    return found


def exits(run: "Run") -> List[str]:
    """The exits traced are those that the emulator logged, one by one."""
    if run.trace.dropped:
        return []
    return [f"the trace and the emulator disagree: {text}"
            for text in exitlog.disagreements(run.exits, run.trace, tell=2)]
