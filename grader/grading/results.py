"""What a grading leaves: results.json as Gradescope documents it, and junit.xml.

The pages for humans are in report.py, the instructor's record in record.py; what is said
to whom is decided in told.py.  handouts/formats.md, section 7.
"""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict
from xml.etree import ElementTree

from grader.grading import told
from grader.grading.plugin import NOT_TRIED

if TYPE_CHECKING:
    from grader.grading.verdict import Grading

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def contents(grading: "Grading", seconds: float) -> Dict[str, Any]:
    """What results.json holds."""
    tests = [told.test(grading, number, case) for number, case in enumerate(grading.cases, 1)]
    return {
        "score": sum(each["score"] for each in tests),
        "execution_time": round(seconds, 1),
        "visibility": "visible", "stdout_visibility": "hidden",
        "output": "\n".join(told.remarks(grading) + told.compared(grading)), "output_format": "text",
        "tests": tests,
        "extra_data": {
            "lab": grading.lab.number, "max_score": sum(each["max_score"] for each in tests),
            "trusted": grading.box.trusted, "label": grading.box.label,
            "seed": hex(grading.seeds.public), "commit": grading.taken.commit,
            "platform": grading.job.platform,
            "built": not grading.broken, "not_tried": told.not_tried(grading),
            "predictions": told.predictions(grading)}}


def write_json(path: Path, data: Dict[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(data, indent=1) + "\n")
    part.replace(path)


def junit(grading: "Grading", data: Dict[str, Any]) -> bytes:
    """junit.xml: one suite, tests not tried as skipped."""
    tests = data["tests"]
    lost = [each for each in tests if each["status"] != "passed"]
    skipped = [each for each in lost if NOT_TRIED in each["tags"]]
    suite = ElementTree.Element("testsuite", {
        "name": f"lab {grading.lab.number}", "tests": str(len(tests)), "errors": "0",
        "failures": str(len(lost) - len(skipped)), "skipped": str(len(skipped)),
        "time": str(data["execution_time"])})
    for each in tests:
        case = ElementTree.SubElement(suite, "testcase", {
            "classname": f"lab{grading.lab.number}", "name": _xml(each["name"]), "time": "0"})
        if each in lost:
            kind = "skipped" if each in skipped else "failure"
            first = each["output"].split("\n", 2)[1] if "\n" in each["output"] else ""
            ElementTree.SubElement(case, kind, {"message": _xml(first)}).text = _xml(each["output"])
    root = ElementTree.Element("testsuites")
    root.append(suite)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _xml(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return NOT_XML.sub("?", text)
