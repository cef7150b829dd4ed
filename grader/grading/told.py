"""What is said of a test, and to whom.

Students read what results.json, junit.xml and report.html hold.  Of a hidden test that was
lost they learn its title and where to read on, unless lab.toml allows its message
([hidden] tell); inputs, expected values and secrets stay in record.json.
"""
from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Dict, List

from grader.grading.job import ALL
from grader.grading.plugin import NOT_TRIED, PASSED

if TYPE_CHECKING:
    from grader.grading.verdict import Grading

CONTRADICTION = "contradiction"


def is_open(grading: "Grading", case: Dict[str, Any]) -> bool:
    """Whether students may read what the test said and see what it ran."""
    return not case["hidden"] or grading.lab.tell == "message"


def message(grading: "Grading", case: Dict[str, Any], result: Dict[str, Any]) -> List[str]:
    """What went wrong, in lines; [] if nothing did."""
    if result["status"] == PASSED:
        return []
    if grading.broken or result["status"] == NOT_TRIED:
        return [result["message"]]
    lines = []
    if is_open(grading, case):
        lines.append(result["message"])
        lines += [f"Contradiction: {text}" for text in result["contradictions"]
                  if text not in result["message"]]
    elif result["contradictions"]:
        lines.append("What the run left contradicts itself.")
    if case["hint"] and grading.lab.tell_hint(case["hidden"]):
        lines.append(f"Read on: {grading.lab.handout}, section {case['hint']}")
    return lines + again(grading, case, result)


def again(grading: "Grading", case: Dict[str, Any], result: Dict[str, Any]) -> List[str]:
    """The commands that repeat a lost test, and its last run."""
    if not is_open(grading, case):
        return []
    words = ["make", "grade", f"LAB={grading.lab.number}", "SUBMISSION=.",
             f"ONLY={case['name'].split('[')[0]}"]
    if not case["hidden"] and grading.seeds.public != 1:
        words.append(f"SEED={grading.seeds.public:#x}")
    lines = [] if case["hidden"] else [f"Again: {shlex.join(words)}"]
    return lines + [f"Its last run: {command}" for command in result["repeat"]]


def test(grading: "Grading", number: int, case: Dict[str, Any]) -> Dict[str, Any]:
    """An item of `tests` in results.json."""
    result = grading.results[case["name"]]
    passed = result["status"] == PASSED
    tags = ["hidden" if case["hidden"] else "public", result["status"]]
    if result["contradictions"]:
        tags.append(CONTRADICTION)
    return {"name": case["name"], "number": str(number),
            "score": case["points"] if passed else 0, "max_score": case["points"],
            "status": "passed" if passed else "failed",
            "output": "\n".join([case["title"], *message(grading, case, result)]),
            "visibility": grading.lab.visibility if case["hidden"] else "visible", "tags": tags}


def not_tried(grading: "Grading") -> Dict[str, List[str]]:
    """The tests that were not tried, by the lost test that stands in their way."""
    cases = {case["name"].split("[")[0]: case for case in grading.cases}
    status = {result["function"]: result["status"] for result in grading.results.values()}

    def blame(name: str) -> str:
        lost = [need for need in cases[name]["needs"] if status.get(need) != PASSED]
        return blame(lost[0]) if lost and status.get(name) == NOT_TRIED else name

    found: Dict[str, List[str]] = {}
    for case in grading.cases:
        if grading.results[case["name"]]["status"] == NOT_TRIED:
            found.setdefault(blame(case["name"].split("[")[0]), []).append(case["name"])
    return found


def predictions(grading: "Grading") -> List[Dict[str, Any]]:
    """Each question of the lab with the student's number and the measured one, None if there
    is none; what hidden tests measured is not told."""
    measured: Dict[str, float] = {}
    for case in grading.cases:
        if is_open(grading, case):
            measured.update(grading.results[case["name"]]["measured"])
    return [{"key": key, "question": question, "predicted": grading.told.get(key),
             "measured": measured.get(key)} for key, question in grading.lab.predict.items()]


def compared(grading: "Grading") -> List[str]:
    """The predictions as lines, for where there is no table."""
    return [f"{each['question']}{' You' if each['question'].endswith('?') else ': you'} predicted "
            f"{each['predicted']:g}, measured: {each['measured']:g}"
            for each in predictions(grading)
            if each["predicted"] is not None and each["measured"] is not None]


def remarks(grading: "Grading") -> List[str]:
    """What is to be said about the submission as a whole."""
    taken, said = grading.taken, []
    if grading.broken:
        said.append(grading.broken)
    elif taken.problems:
        said += [f"{name} {why}" for name, why in sorted(taken.problems.items())]
    if not grading.box.trusted or grading.box.disposable:
        said.append(grading.box.label)
    if taken.ignored_count:
        named = ", ".join(taken.ignored)
        if taken.ignored_count > len(taken.ignored):    # a whole project: which, nobody would read
            named = f"{taken.ignored_count} files, such as {taken.ignored[0]}"
        said.append(f"not looked at, since lab {grading.lab.number} does not take them: {named}")
    total = sum(case["points"] for case in grading.cases)
    complete = grading.job.tests == ALL and not grading.job.only
    if complete and grading.has_hidden and total != grading.lab.points:
        said.append(f"lab.toml promises {grading.lab.points} points, the tests are worth {total:g}")
    return said
