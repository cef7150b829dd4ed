"""What a grading leaves: results.json as Gradescope documents it, junit.xml, record.json.

Students read results.json and report.html; record.json is the instructor's, with all that
a regrade needs and what hidden tests said.  handouts/formats.md, section 7.
"""
from __future__ import annotations

import json
import platform as host
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from grader import platforms
from grader.grading.plugin import NOT_TRIED, PASSED
from grader.plan import RunError

if TYPE_CHECKING:
    from grader.grading.verdict import Grading


def write(grading: "Grading", seconds: float) -> Dict[str, Any]:
    """Write everything; the contents of results.json."""
    out = grading.folders.out
    contents = gradescope(grading, seconds)
    (out / "build.log").write_text(grading.built.get("log", ""))
    (out / "record.json").write_text(json.dumps(record(grading, contents), indent=1) + "\n")
    (out / "results.json").write_text(json.dumps(contents, indent=1) + "\n")
    return contents


def gradescope(grading: "Grading", seconds: float) -> Dict[str, Any]:
    """results.json."""
    tests = [_test(grading, number, case) for number, case in enumerate(grading.cases, 1)]
    return {"score": sum(each["score"] for each in tests),
            "execution_time": round(seconds, 1),
            "visibility": "visible", "stdout_visibility": "hidden",
            "output": "\n".join(remarks(grading)),
            "tests": tests,
            "extra_data": {"lab": grading.lab.number, "trusted": grading.box.trusted,
                           "max_score": sum(each["max_score"] for each in tests)}}


def _test(grading: "Grading", number: int, case: Dict[str, Any]) -> Dict[str, Any]:
    result = grading.results[case["name"]]
    passed = result["status"] == PASSED
    return {"name": case["name"], "number": str(number),
            "score": case["points"] if passed else 0, "max_score": case["points"],
            "status": "passed" if passed else "failed",
            "output": told(grading, case, result), "visibility": "visible",
            "tags": [each for each in ("hidden" if case["hidden"] else "public",
                                       result["status"])]}


def told(grading: "Grading", case: Dict[str, Any], result: Dict[str, Any]) -> str:
    """What a student reads of a test."""
    lines = [case["title"]]
    if result["status"] == PASSED:
        return lines[0]
    open_ = not case["hidden"] or grading.lab.tell == "message" or grading.broken \
        or result["status"] == NOT_TRIED
    if open_:
        lines.append(result["message"])
    if case["hint"]:
        lines.append(f"Read on: {grading.lab.handout}, section {case['hint']}")
    if open_ and result["repeat"]:
        lines.append(f"Its last run again: {result['repeat'][0]}")
    return "\n".join(lines)


def remarks(grading: "Grading") -> List[str]:
    """What is to be said about the submission as a whole."""
    said = []
    if grading.broken:
        said.append(grading.broken)
    if not grading.box.trusted:
        said.append(grading.box.label)
    return said


def record(grading: "Grading", contents: Dict[str, Any]) -> Dict[str, Any]:
    """record.json."""
    return {"lab": grading.lab.number, "seeds": grading.seeds.record(),
            "files": grading.taken.hashes, "machine": grading.built["hashes"],
            "score": contents["score"],
            "results": list(grading.results.values())}


def read_record(path: Path) -> Dict[str, Any]:
    """A record.json of an earlier grading."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"the record {path} cannot be read: {error}") from None
    if not isinstance(found, dict) or "seeds" not in found:
        raise RunError(f"{path} is no record.json of a grading")
    return found
