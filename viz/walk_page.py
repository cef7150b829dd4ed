"""A walk for an HTML page: its drawing to step through, the sum, each reference in words.

Without a script the page shows the whole walk; templates/walk_steps.js adds the
steps.  The drawing is walk_dot.py's, the words are walk_steps.py's.
"""
from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from html import escape
from typing import List, Optional, Tuple

from viz import walk
from viz.trace import Trace, TraceError
from viz.walk_data import Walk, Walks
from viz.walk_steps import Part, formula, parts, sentences


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


def figure(trace: Trace) -> WalkFigure:
    """The walk that `viz walk` would draw, ready for a page."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "walk.svg")
            drawn = walk.draw(trace, path)
            with open(path, encoding="utf-8") as file:
                svg = inline(file.read(), f"Page walk with {len(drawn.refs)} references")
    except (TraceError, OSError) as error:
        return WalkFigure(problem=str(error))
    walks = Walks(trace)
    faults = sum(fault not in ("NONE", "?") for fault in walks.faults())
    steps = [(ref.n, text) for ref, text in zip(drawn.refs, sentences(drawn))]
    return WalkFigure(_title(drawn), svg, parts(drawn), formula(drawn), steps, len(walks), faults)


def _title(drawn: Walk) -> str:
    return f"VM {drawn.vm}, gVA {drawn.gva:#x}, {len(drawn.refs)} references"


def inline(svg: str, label: str) -> str:
    """An SVG file as an element of a page: no prolog, no tool tips, as wide as its place."""
    body = svg[svg.index("<svg"):]
    body = re.sub(r"<!--.*?-->\s*|<title>.*?</title>\s*", "", body, flags=re.S)
    return re.sub(r'<svg width="[^"]*" height="[^"]*"',
                  f'<svg role="img" aria-label="{escape(label)}"', body, count=1)
