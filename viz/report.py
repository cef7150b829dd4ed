"""Pages about a run: `viz report`, and the start page of a demo folder.

A run is a folder with trace.bin, run.json and console.txt, or a trace alone.
Both pages need no network; the report carries its figures inside.  Their one script
steps through a page walk, and the pages are whole without it; a content security
policy lets no other run.  What the pages state is gathered in viz/report_facts.py and
viz/report_memory.py, what they look like is in viz/templates/.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import List, Optional
from urllib.parse import quote

from viz import exits, report_memory, tables_draw, timeline, walk_page
from viz.html_page import render as render_page
from viz.report_facts import Run, gather
from viz.stats import exit_reasons, format_text, write_text
from viz.trace import WHERE, Trace, TraceError, announce

CONSOLE_LINES = 60


@dataclass(frozen=True)
class Figure:
    """A drawing as a data URI, or the reason why there is none."""

    title: str
    provenance: str
    caption: str
    source: Optional[str]
    problem: str = ""


def timeline_figure(trace: Trace) -> Figure:
    """The timeline, drawn into the page; a drawing that fails says why."""
    title, caption = "Timeline", ("Who ran when: one lane for each VM and each physical CPU, with "
                                  "exits, timer ticks and the scheduler's decisions.")
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "figure.svg")
            timeline.draw(trace, path)
            with open(path, "rb") as file:
                data = base64.b64encode(file.read()).decode("ascii")
    except (TraceError, OSError, ImportError) as error:
        return Figure(title, "observed", caption, None, str(error))
    return Figure(title, "observed", caption, "data:image/svg+xml;base64," + data)


def render(run: Run) -> str:
    """The report of a run as one HTML page."""
    causes = report_memory.by_cause(run)
    return render_page("report.html.j2", {
        "run": run, "stats": run.stats, "timeline": timeline_figure(run.trace),
        "walks": report_memory.walks(run.trace), "reasons": exit_reasons(run.stats),
        "causes": causes, "shown_causes": exits.shown(list(causes.values())),
        "cause_words": exits.CAUSES, "mode_of": partial(exits.mode_of, run.trace),
        "tables": report_memory.side_by_side(run), "columns": tables_draw.columns,
        "legend": tables_draw.LEGEND, "command": partial(report_memory.command, run),
        "console": _console(run)})


def save(run_dir: str, out: str) -> Run:
    """Write the report of a run to the file `out`."""
    found = gather(run_dir)
    write_text(out, render(found))
    return found


def _console(run: Run) -> List[str]:
    """The last lines of the console, without what is not text."""
    path = run.file("console.txt")
    if path is None:
        return []
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = ["".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in line.rstrip("\r"))
             for line in text.rstrip("\n").split("\n")]
    return lines[-CONSOLE_LINES:]


def index(run_dir: str, out: str) -> None:
    """Write the page that shows what a demo folder holds to the file `out`."""
    run = gather(run_dir)
    here = os.path.dirname(os.path.abspath(out))
    links = {}
    for name in ("walk.svg", "timeline.svg", "timeline.html", "trace.bin", "console.txt",
                 "run.json", "report.html"):
        path = run.file(name)
        links[name.replace(".", "_")] = quote(os.path.relpath(path, here)) if path else None
    values = {"run": run, "stats": run.stats, "links": links, "console": _console(run),
              "walk": walk_page.figure(run.trace), "table": format_text(run.stats, run.remark)}
    write_text(out, render_page("index.html.j2", values))
    announce(run.trace)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=WHERE)
    parser.add_argument("-o", "--output", metavar="FILE", default="report.html",
                        help="the page to write (default: report.html)")
    parser.add_argument("--index", action="store_true",
                        help="write the start page that links the folder's figures instead")


def run(args: argparse.Namespace) -> int:
    if args.index:
        index(args.run, args.output)
        print(f"{args.output}: the start page of {args.run}")
        return 0
    found = save(args.run, args.output)
    announce(found.trace)
    print(f"{args.output}: the report of {args.run}, {len(found.trace):,} records")
    return 0
