"""record.json: all that a regrade needs, and what hidden tests said.  For instructors only.

Seeds and nonces repeat a grading exactly where the emulator is the same; hashes tell
what was taken, built and run.  A regrade compares itself with its record, in words.
"""
from __future__ import annotations

import json
import platform as host
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from grader import platforms
from grader.grading import folder
from grader.grading.intake import printable
from grader.grading.source import Refused
from grader.plan import RunError

if TYPE_CHECKING:
    from grader.grading.verdict import Grading


def contents(grading: "Grading", data: Dict[str, Any]) -> Dict[str, Any]:
    """What record.json holds."""
    return {
        "version": 1, "lab": grading.lab.number,
        "submission": {"name": printable(grading.job.submission.name),
                       "kind": grading.taken.kind, "commit": grading.taken.commit},
        "seeds": grading.seeds.record(),
        "tests": grading.job.tests, "only": list(grading.job.only),
        "platform": grading.job.platform,
        "versions": versions(grading.job.root, grading.job.platform),
        "trusted": grading.box.trusted, "sandbox": grading.box.kind,
        "files": grading.taken.hashes, "problems": grading.taken.problems,
        "machine": grading.built["hashes"],
        "score": data["score"], "max_score": data["extra_data"]["max_score"],
        "cases": grading.cases,
        "results": [grading.results[case["name"]] for case in grading.cases]}


def versions(root: Path, platform: str) -> Dict[str, str]:
    """The tools that a score depends on."""
    try:
        with folder.Folder(root) as tree:
            kit = tree.commit()
    except (OSError, Refused):
        kit = ""
    return {"emulator": platforms.find(platform).version(), "compiler": _first_line("gcc"),
            "linker": _first_line("ld"), "python": host.python_version(), "kit": kit}


def _first_line(tool: str) -> str:
    try:
        made = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return made.stdout.split("\n", 1)[0].strip()


def read(path: Path) -> Dict[str, Any]:
    """The record of an earlier grading; RunError if it is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"the record {path} cannot be read: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("seeds"), dict):
        raise RunError(f"{path} is no record.json of a grading")
    return found


def differences(before: Dict[str, Any], now: Dict[str, Any]) -> List[str]:
    """Where a regrade is not the same as the grading it repeats."""
    found = []
    if before.get("lab") != now["lab"]:
        found.append(f"the record is of lab {before.get('lab')}")
    for name in ("emulator", "compiler", "linker"):
        earlier = before.get("versions", {}).get(name)
        if earlier != now["versions"][name]:
            found.append(f"the {name} was {earlier}, now it is {now['versions'][name]}")
    if before.get("files") != now["files"]:
        found.append("the submission's files are others")
    elif before.get("machine") != now["machine"]:
        found.append("the same files gave another kernel or other guests")
    if before.get("score") != now["score"] and before.get("only") == now["only"] \
            and before.get("tests") == now["tests"]:
        found.append(f"the score was {before.get('score')}, now it is {now['score']}")
    return found
