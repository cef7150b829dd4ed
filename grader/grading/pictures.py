"""The student's own pictures: drawn by viz from the runs that tests asked to see.

Drawn for every lost test that asked and that students may look into, and for the first
few that passed.  A drawing is made in a process of its own; one that fails says why.
"""
from __future__ import annotations

import base64
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from grader.grading import told
from grader.grading.plugin import PASSED

if TYPE_CHECKING:
    from grader.grading.verdict import Grading

MOST, MOST_PASSED = 12, 4
SECONDS = 120
MOST_BYTES = 4 << 20
ENDINGS = {"timeline": "png", "walk": "svg"}  # a timeline has too many marks for a page's SVG
TYPES = {"png": "image/png", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Drawn:
    """One picture: a data URI, or a page beside the report, or the reason why there is none."""

    test: str
    title: str
    source: str = ""
    page: str = ""
    problem: str = ""


def draw(grading: "Grading") -> List[Drawn]:
    """All pictures of a grading, in the order of the tests."""
    wanted = _wanted(grading)
    if not wanted:
        return []
    grading.steps.say(f"drawing {len(wanted)} pictures")
    folder = grading.folders.work / "pictures"
    folder.mkdir(exist_ok=True)
    jobs = [(grading, number, test, picture, folder)
            for number, (test, picture) in enumerate(wanted)]
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda job: _draw(*job), jobs))


def _wanted(grading: "Grading") -> List[Tuple[str, Dict[str, Any]]]:
    """Of each picture the first test that asked for it; lost tests come before passed ones."""
    lost, passed, seen = [], [], set()
    results = grading.results
    for case in sorted(grading.cases, key=lambda case: results[case["name"]]["status"] == PASSED):
        result = results[case["name"]]
        new = [picture for picture in result["pictures"] if tuple(picture.values()) not in seen]
        if told.is_open(grading, case):
            seen.update(tuple(picture.values()) for picture in new)
            kind = passed if result["status"] == PASSED else lost
            kind.extend((case["name"], picture) for picture in new)
    chosen = (lost + passed[:MOST_PASSED])[:MOST]
    names = [case["name"] for case in grading.cases]
    return sorted(chosen, key=lambda pair: names.index(pair[0]))


def _draw(grading: "Grading", number: int, test: str, picture: Dict[str, Any],
          folder: Path) -> Drawn:
    run = grading.folders.runs / picture["run"]
    kind = picture["kind"]
    title = kind
    words = [str(run / "trace.bin")]
    if kind == "walk":
        if picture["vm"] is not None:
            words += ["--vm", str(picture["vm"])]
            title += f" of VM {picture['vm']}"
        if picture["gva"] is not None:
            words += ["--gva", hex(picture["gva"])]
            title += f", gVA {picture['gva']:#x}"
    if kind == "report":
        words, out = [str(run)], run / "report.html"
    else:
        out = folder / f"{number}.{ENDINGS[kind]}"
    problem = _viz(grading.job.root, [kind, *words, "-o", str(out)])
    if problem or not out.is_file():
        return Drawn(test, title, problem=problem or "nothing was drawn")
    if kind == "report":
        return Drawn(test, title, page=os.path.relpath(out, grading.folders.out))
    data = out.read_bytes()
    if len(data) > MOST_BYTES:
        return Drawn(test, title, problem="the picture is too large for a page")
    return Drawn(test, title, f"data:{TYPES[ENDINGS[kind]]};base64,"
                 + base64.b64encode(data).decode())


def _viz(root: Path, words: List[str]) -> str:
    """Run viz; '' if it worked, else its last line."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        made = subprocess.run([sys.executable, "-m", "viz", *words], cwd=root, text=True,
                              env=environment, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it could not be drawn: {error}"
    said = made.stderr.strip().splitlines()
    return "" if made.returncode == 0 else (said[-1] if said else "viz failed without a word")
