"""One grading as one JSON object on standard output: for a CI job, whatever its maker.

Progress and everything else goes to standard error.  Exit codes: 0 graded (and not below
--least, if that is given), 1 graded but below it, 2 could not be graded.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict

from grader.grading import cli

BELOW = 1
TEST_FIELDS = ("name", "score", "max_score", "status", "output")


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("score", help="grade, and print the score as JSON")
    cli.add_common(parser, cli.PUBLIC)
    parser.add_argument("--submission", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the report there")
    parser.add_argument("--least", type=float, metavar="PERCENT",
                        help="exit with 1 if the score is below that")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    from grader.grading import grade
    with contextlib.ExitStack() as stack:
        out = options.out or Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix="nestling-score-")))
        job = grade.Job(lab=options.lab, submission=options.submission, out=out,
                        seed=options.seed, tests=options.tests, disposable=options.disposable)
        with contextlib.redirect_stdout(sys.stderr):
            results = grade.grade(job)
    said = summary(options.lab, results)
    print(json.dumps(said, indent=1))
    percent = 100 * said["score"] / said["max_score"] if said["max_score"] else 100.0
    return BELOW if options.least is not None and percent < options.least else 0


def summary(lab: int, results: Dict[str, Any]) -> Dict[str, Any]:
    """What a CI job wants to know of results.json."""
    tests = [{key: test[key] for key in TEST_FIELDS if key in test} for test in results["tests"]]
    return {"lab": lab, "score": results["score"],
            "max_score": sum(test["max_score"] for test in tests),
            "trusted": results["extra_data"]["trusted"], "tests": tests}
