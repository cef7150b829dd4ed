"""Pages about a run: `viz report`, and the start page of a demo folder.

A run is a folder with trace.bin, run.json and console.txt, or a trace alone.
Both pages need no network and no script; the report carries its figures inside.
What the pages state is gathered in viz/report_facts.py, what they look like is
in viz/templates/.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional
from urllib.parse import quote

import jinja2

from viz import style
from viz.report_facts import Run, gather
from viz.stats import (exit_reasons, format_ns, format_text, show, show_ns, show_share,
                       write_text)
from viz.trace import Trace, TraceError, announce

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
CONSOLE_LINES = 60


@dataclass(frozen=True)
class Figure:
    """A drawing as a data URI, or the reason why there is none."""

    title: str
    provenance: str
    caption: str
    source: Optional[str]
    problem: str = ""


def _draw_timeline(trace: Trace, path: str) -> None:
    from viz import timeline
    timeline.draw(trace, path)


def _draw_walk(trace: Trace, path: str) -> None:
    from viz import walk
    walk.draw(trace, path)


def figure(trace: Trace, title: str, provenance: str, caption: str,
           draw: Callable[[Trace, str], Any]) -> Figure:
    """Draw into a temporary SVG and take it in; a drawing that fails says why."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "figure.svg")
            draw(trace, path)
            with open(path, "rb") as file:
                data = base64.b64encode(file.read()).decode("ascii")
    except (TraceError, OSError, ImportError) as error:
        return Figure(title, provenance, caption, None, str(error))
    return Figure(title, provenance, caption, "data:image/svg+xml;base64," + data)


def figures(trace: Trace) -> List[Figure]:
    """The figures that a report shows."""
    return [
        figure(trace, "Timeline", "observed",
               "Who ran when: one lane for each VM and each physical CPU, with exits, timer "
               "ticks and the scheduler's decisions.", _draw_timeline),
        figure(trace, "Page walk", "computed",
               "From a guest-virtual address to a host-physical one, each memory reference "
               "numbered in the order of the processor.", _draw_walk),
    ]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    environment.filters.update(time=format_ns, ns=show_ns, percent=show_share, show=show)
    environment.globals.update(theme_css=style.css(), font=style.FONT_CSS, mono=style.MONO_CSS,
                               provenance=style.PROVENANCE)
    return environment


def _render(template: str, values: Dict[str, Any]) -> str:
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace").decode("utf-8")


def render(run: Run) -> str:
    """The report of a run as one HTML page."""
    drawn = figures(run.trace)
    return _render("report.html.j2", {"run": run, "stats": run.stats, "figures": drawn,
                                      "reasons": exit_reasons(run.stats),
                                      "console": _console(run)})


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
              "table": format_text(run.stats), "folder": os.path.relpath(run_dir)}
    write_text(out, _render("index.html.j2", values))
    announce(run.trace)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder, or its trace.bin")
    parser.add_argument("-o", "--output", metavar="FILE", default="report.html",
                        help="the page to write (default: report.html)")
    parser.add_argument("--index", action="store_true",
                        help="write the start page that links the folder's figures instead")


def run(args: argparse.Namespace) -> int:
    if args.index:
        index(args.run, args.output)
        return 0
    found = gather(args.run)
    page = render(found)
    write_text(args.output, page)
    announce(found.trace)
    return 0
