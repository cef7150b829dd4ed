"""A walk for an HTML page: its drawing to step through, the sum, each reference in words.

figure() is for a page about something else, page() is a page about one walk alone.  Without
a script a page shows the whole walk, as on paper; templates/walk_steps.js adds the steps.
The drawing is walk_dot.py's, the words are walk_steps.py's.
"""
from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from html import escape
from typing import Dict, List, Optional, Tuple

from viz import walk, walk_words
from viz.html_page import render
from viz.trace import Trace, TraceError
from viz.walk_data import Walk, Walks
from viz.walk_steps import Part, formula, other_tables, parts, sentences


@dataclass
class WalkFigure:
    """One walk and what a page says about it; `problem` tells why there is none."""

    title: str = ""
    svg: str = ""
    sum: List[Part] = field(default_factory=list)
    formula: Optional[str] = None
    steps: List[Tuple[int, str]] = field(default_factory=list)
    count: int = 0
    faults: int = 0
    problem: str = ""
    others: str = "nested"      # the tables that are not the guest's


def figure(trace: Trace) -> WalkFigure:
    """The walk that `viz walk` would draw, ready for a page."""
    try:
        walks = Walks(trace)
        return one_of(walks, walk.choose(walks))
    except (TraceError, OSError) as error:
        return WalkFigure(problem=str(error))


def one_of(walks: Walks, chosen: Walk) -> WalkFigure:
    """That walk, and how many there are."""
    made = of(chosen, walk.about(walks.trace, chosen, len(walks)))
    made.count = len(walks)
    made.faults = sum(fault not in ("NONE", "?") for fault in walks.faults())
    return made


def of(drawn: Walk, about: Dict[str, str]) -> WalkFigure:
    """One walk, drawn and in words; `about` as walk.about() gives it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "walk.svg")
        walk.save(drawn, about, "svg", path)
        with open(path, encoding="utf-8") as file:
            svg = inline(file.read(), f"Page walk with {len(drawn.refs)} references")
    return WalkFigure(_title(drawn), svg, parts(drawn), formula(drawn),
                      list(enumerate(sentences(drawn), start=1)), others=other_tables(drawn))


def page(drawn: Walk, about: Dict[str, str]) -> str:
    """A page about one walk, to step through, to let run, and to print."""
    return render("walk.html.j2", {
        "walk": of(drawn, about), "drawn": drawn, "about": about,
        "story": walk_words.fault_story(drawn), "access": walk_words.access_words(drawn.access),
        "mode": walk_words.mode_words(drawn), "kind": walk_words.kind_words(drawn),
        "made": walk_words.made_words(drawn)})


def _title(drawn: Walk) -> str:
    return f"VM {drawn.vm}, gVA {drawn.gva:#x}, {len(drawn.refs)} references"


def inline(svg: str, label: str) -> str:
    """An SVG file as an element of a page: no prolog, no tool tips, as wide as its place."""
    body = svg[svg.index("<svg"):]
    body = re.sub(r"<!--.*?-->\s*|<title>.*?</title>\s*", "", body, flags=re.S)
    return re.sub(r'<svg width="[^"]*" height="[^"]*"',
                  f'<svg role="img" aria-label="{escape(label)}"', body, count=1)
