"""The Makefile and the list of packages as a starter has them.

What stands between `# NOT IN A STARTER` and `# IN A STARTER AGAIN` is cut, and starter.mk
beside this file is appended.  Of grader/packages.txt the lines go that only the project's
own test suite needs.
"""
from __future__ import annotations

import re
from pathlib import Path

from grader.plan import RunError

CUT, AGAIN = "# NOT IN A STARTER", "# IN A STARTER AGAIN"
ADDED = Path(__file__).with_name("starter.mk")
ONLY_FOR_CHECK = re.compile(r" {2,}make (check|handouts)[^\n]*$|(xdist|hypothesis|selenium|chromium)")


def trim(text: str, lab: int) -> str:
    """The Makefile for the students of lab `lab`."""
    kept, cutting = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if line.startswith((CUT, AGAIN)):
            if line.startswith(CUT) == bool(cutting):
                raise RunError(f"Makefile:{number}: {CUT} and {AGAIN} alternate")
            cutting = 0 if cutting else number
        elif not cutting:
            kept.append(line)
    if cutting:
        raise RunError(f"Makefile:{cutting}: {CUT} without {AGAIN}")
    trimmed, changed = re.subn(r"^(LAB +\?= ).*$", rf"\g<1>{lab}", "".join(kept), flags=re.M)
    trimmed = trimmed.replace("draw them: start here\n", "draw them, once your hypervisor runs\n")
    if changed != 1:
        raise RunError("Makefile: the line that sets LAB is missing")
    return trimmed + "\n" + ADDED.read_text()


def trim_packages(text: str) -> str:
    """packages.txt without what only the project's own tests need."""
    return "".join(line for line in text.splitlines(keepends=True)
                   if line.startswith("#") or not ONLY_FOR_CHECK.search(line))
