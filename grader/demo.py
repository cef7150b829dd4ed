"""make demo: three guests on one CPU, traced and drawn; the first thing a newcomer sees.

Two tickers at different rates share the machine with a guest that tries to
keep it.  Only composes: grader/run.py makes the run, viz/ draws.
"""
from __future__ import annotations

import sys
from pathlib import Path
from typing import List

from grader import plan, report, run
from viz import report as viz_report
from viz import timeline, walk
from viz import trace as viz_trace

GUESTS = ("ticker -- hz=100", "ticker -- hz=250", "greedy")
OPTION = "sched=rr slice=10ms"
PICTURES = (("walk.svg", walk.draw), ("timeline.svg", timeline.draw),
            ("timeline.html", timeline.draw))
REPORT = "report.html"
PAGE = "index.html"
TIME = "2100ms"  # a little more than 2 s, since the boot counts too


def request(out: Path, seed: int, build: Path) -> plan.Request:
    """The demonstration's run."""
    return plan.Request(GUESTS, out, option=OPTION, time=TIME, seed=seed, build=build)


def show(wanted: plan.Request) -> int:
    """Make the run, draw it, and say where the pictures are; the exit code."""
    for name in (PAGE, REPORT, *(name for name, _ in PICTURES)):
        (wanted.out / name).unlink(missing_ok=True)  # of an earlier run
    _say(f"running {len(wanted.guests)} guests for {wanted.time} of virtual time ...")
    result = run.make(wanted, show_progress=True)
    code = report.tell(result, quiet=False)
    if result.trace is None or code == report.INTERRUPTED:
        return code
    try:
        pictures = draw(result)
    except viz_trace.TraceError as error:
        print(f"grader: {error}", file=sys.stderr)
        return code or report.NOT_MADE
    _say("\nThe pictures:")
    for path in pictures:
        _say(f"  {plan.short(path)}")
    _say("Beside them: trace.bin, console.txt, run.json and the machine's memory.bin.")
    _say(f"Open {plan.short(pictures[0])} in a browser.")
    return code


def draw(result: run.Result) -> List[Path]:
    """Draw what a run left, beside it; the page that leads to all comes first."""
    _say("reading the trace ...")
    trace = viz_trace.load(str(result.trace))
    pictures = []
    for name, draw_one in PICTURES:
        path = result.dir / name
        _say(f"drawing {name} ...")
        draw_one(trace, str(path))
        pictures.append(path)
    _say(f"writing {REPORT} ...")
    viz_report.save(str(result.dir), str(result.dir / REPORT))
    page = result.dir / PAGE  # last: it links what is there
    viz_report.index(str(result.dir), str(page))
    return [page, *pictures, result.dir / REPORT]


def _say(text: str) -> None:
    print(text, flush=True)
