"""`python3 -m grader grade`: its arguments, its help, and the summary on the terminal."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List

from grader import args as arguments
from grader.grading.job import ALL, PUBLIC, Job

EPILOG = """\
examples:
  grade --lab 1 --submission . --out build/grade        your own work, as it will be graded
  grade --lab 1 --submission ada.zip --out grades/ada   one upload of a class
  grade --lab 1 --submission . --out build/grade --only test_a_guest_boots

A submission is a folder (a git checkout, too), a zip or a tar file; only the files that the
lab's lab.toml names are taken from it.  They are built and run in a sandbox on pristine
everything else.  OUT then holds report.html (open it in a browser), results.json (Gradescope),
junit.xml, record.json (for the instructor: everything that a regrade needs), build.log and runs/.
Exit code: 0 when it graded, whatever the score; 2 when it could not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `grade`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add_common(parser, ALL)
    add("--submission", type=Path, required=True, metavar="DIR|ZIP|TAR", help="what to grade")
    add("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    add("--only", default="", metavar="TEST,...", help="these tests, and those they need")
    add("--record", type=Path, metavar="FILE",
        help="record.json of an earlier grading: grade again with its seeds and nonces")
    add("--platform", default=Job.platform, metavar="P",
        help="where the runs are made; default: %(default)s")
    add("--keep", action="store_true", help="keep the memory of each run (512 MiB, sparse)")
    add("--quiet", action="store_true", help="no progress and no summary")
    add("--sandbox", help=argparse.SUPPRESS)
    parser.set_defaults(work=work)


def add_common(parser: argparse.ArgumentParser, tests: str) -> None:
    """What every command that grades takes; `tests` is its default."""
    add = parser.add_argument
    add("--lab", type=int, required=True, metavar="N", help="the lab to grade")
    add("--seed", type=arguments.number_option, metavar="S",
        help="fixes all seeds; by default public tests have seed 1, hidden ones a fresh secret")
    add("--tests", choices=(PUBLIC, ALL), default=tests,
        help=f"hidden tests are in the instructor's tree only; default: {tests}")
    add("--disposable", action="store_true",
        help="this machine may be spoilt: trust scores even where there is no sandbox")


def work(options: argparse.Namespace) -> int:
    """Grade and tell."""
    from grader.grading import grade
    only = tuple(name for name in options.only.replace(",", " ").split() if name)
    job = grade.Job(options.lab, options.submission, options.out, options.seed, options.tests,
                    only, options.disposable, options.record, options.quiet, options.sandbox,
                    keep=options.keep, platform=options.platform)
    contents = grade.grade(job)
    if not options.quiet:
        print("\n".join(summary(contents, options.out)))
    return 0


def summary(contents: Dict[str, Any], out: Path) -> List[str]:
    """The score and what was lost, for a terminal: first what went wrong, then what went well,
    and in one line what was not tried."""
    from grader.grading.plugin import NOT_TRIED
    more, tests = contents["extra_data"], contents["tests"]
    lines: List[str] = []
    if more["built"]:
        tried = [test for test in tests if NOT_TRIED not in test["tags"]]
        for test in sorted(tried, key=lambda test: test["status"] == "passed"):
            lines += _test(test)
        lines += [f"{_tests(len(names))} not tried (they need {name})"
                  for name, names in more["not_tried"].items()]
    else:
        lines.append(f"{_tests(len(tests))} not tried: it was not built; all that the compiler said "
                     f"is in {out / 'build.log'}")
    if contents["output"]:
        lines += ["", contents["output"]]
    return lines + ["", f"lab {more['lab']}: {contents['score']:g} of {more['max_score']:g} points "
                        f"in {contents['execution_time']:g} s; {out / 'report.html'} says more"]


def _test(test: Dict[str, Any]) -> List[str]:
    passed = test["status"] == "passed"
    head = f"{'ok  ' if passed else 'LOST'} {test['score']:>4g} of {test['max_score']:<4g} {test['name']}"
    return [head] + ([] if passed else ["       " + line for line in test["output"].splitlines()])


def _tests(count: int) -> str:
    return f"{count} test" + ("" if count == 1 else "s")
