"""report.html: the grading as one page that needs no network and runs no script.

Shows only what told.py lets students read.  Pictures are inside; whole reports of runs
lie beside it in runs/.  The page follows the reader's light or dark theme and prints.
"""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

import jinja2

from grader.grading import told
from grader.grading.pictures import Drawn
from grader.grading.plugin import NOT_TRIED
from viz import style

if TYPE_CHECKING:
    from grader.grading.verdict import Grading

TEMPLATE = "report.html.j2"
LOG_LINES = 200


def page(grading: "Grading", data: Dict[str, Any], pictures: List[Drawn]) -> str:
    """The page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(Path(__file__).parent)), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    tests = [_test(grading, case, item, pictures)
             for case, item in zip(grading.cases, data["tests"])]
    log = grading.built["log"].splitlines()
    return environment.get_template(TEMPLATE).render(
        theme_css=style.css(), font=style.FONT_CSS, mono=style.MONO_CSS,
        lab=grading.lab, score=data["score"], most=data["extra_data"]["max_score"],
        trusted=grading.box.trusted, label=grading.box.label, tests=tests,
        remarks=told.remarks(grading), predictions=told.predictions(grading),
        log=log[:LOG_LINES], more_log=max(0, len(log) - LOG_LINES),
        built=grading.built["ok"], files=grading.taken.hashes,
        problems=grading.taken.problems, commit=grading.taken.commit,
        seed=hex(grading.seeds.public), seconds=data["execution_time"])


def _test(grading: "Grading", case: Dict[str, Any], item: Dict[str, Any],
          pictures: List[Drawn]) -> Dict[str, Any]:
    result = grading.results[case["name"]]
    lost = item["status"] != "passed"
    show = lost and told.is_open(grading, case) and not grading.broken
    return {"name": case["name"], "title": case["title"], "hidden": case["hidden"],
            "score": item["score"], "most": item["max_score"], "lost": lost,
            "tried": NOT_TRIED not in item["tags"], "needs": case["needs"],
            "lines": told.message(grading, case, result),
            "console": result["console"] if show else [],
            "pictures": [each for each in pictures if each.test == case["name"]]}
