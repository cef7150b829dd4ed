"""The timeline as one self-contained HTML page to zoom, select and measure in.

All records travel with the page: as columns, each in the narrowest type that
holds it, deflated and in base64.  The page needs no network and works from
file://.  What is computed here and what in the browser: lanes (states) here, so
that picture and page cannot disagree; sums over a span of time there.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple

import numpy as np

from viz import timeline_style as words
from viz import timeline_totals as sums
from viz.html_page import TEMPLATES, render
from viz.style import DARK, FONT_CSS, LIGHT, MONO_CSS, Theme, css
from viz.timeline_data import TICKS, Timeline
from viz.trace import Trace

SCRIPTS = ("timeline_model.js", "timeline_sched.js", "timeline_draw.js", "timeline_list.js",
           "timeline_page.js", "timeline.js")
LEVEL = 6  # of deflate
THEME_WORDS = ("page", "ink", "muted", "line", "panel", "good", "bad", "warn")


class Columns:
    """Arrays by name, on their way into the page."""

    def __init__(self) -> None:
        self.index: List[Tuple[str, str, int, int]] = []
        self._packer = zlib.compressobj(LEVEL)
        self._parts: List[bytes] = []
        self._offset = 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Add a column; whole numbers (never negative) take the narrowest type."""
        narrow = _narrow(values)
        raw = narrow.astype(narrow.dtype.newbyteorder("<")).tobytes()
        raw += bytes(-len(raw) % 8)
        self.index.append((name, narrow.dtype.str[1:], self._offset, len(values)))
        self._parts.append(self._packer.compress(raw))
        self._offset += len(raw)

    def base64(self) -> str:
        return base64.b64encode(b"".join(self._parts) + self._packer.flush()).decode("ascii")


def _narrow(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    most = int(values.max()) if len(values) else 0
    size = next(size for size in (1, 2, 4, 8) if most < 1 << 8 * size)
    return values.astype(f"u{size}")


def save(line: Timeline, out_path: str, start: int, end: int, vms: Sequence[int]) -> None:
    """Write the page into a file."""
    Path(out_path).write_text(page_of(line, start, end, vms), "utf-8")


def page_of(line: Timeline, start: int, end: int, vms: Sequence[int]) -> str:
    """The page; it opens at start..end with the lanes of `vms`, and holds the whole trace."""
    columns = Columns()
    strings = _add_records(columns, line.trace)
    _add_lanes(columns, line, vms)
    facts = _facts(line, start, end, vms)
    facts.update(strings=strings, columns=columns.index)
    return render("timeline.html.j2", {
        "title": facts["title"], "records": f"{len(line.trace):,}", "subtitle": facts["subtitle"],
        "sources": words.sources(line), "asked": words.asked_rule(line),
        "caveats": facts["caveats"], "style": style(), "facts": _script_json(facts),
        "data": columns.base64()}, SCRIPTS)


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def style() -> str:
    """The style sheet of timelines' pages."""
    fonts = f":root {{ --font: {FONT_CSS}; --mono: {MONO_CSS}; }}\n"
    return css() + fonts + (TEMPLATES / "timeline.css").read_text("utf-8")


def _add_records(columns: Columns, trace: Trace) -> List[str]:
    """Every record: when, what, whose; then each event's fields, texts as string numbers."""
    columns.add("step", np.diff(trace.ns, prepend=trace.ns[:1]))
    for name in ("event", "vm", "vcpu", "pcpu"):
        columns.add(name, getattr(trace, name))
    strings: Dict[str, int] = {}
    for number in np.unique(trace.event).tolist():
        event = trace.schema.by_number.get(number)
        if event is None:
            continue
        records = trace.select(event.name)
        for field, _ in event.fields:
            columns.add(f"{number}.{field}", records[field])
        if event.text is not None:
            texts = (strings.setdefault(records.text(i), len(strings))
                     for i in range(len(records)))
            columns.add(f"{number}.text", np.fromiter(texts, np.int64, len(records)))
    return list(strings)


def _add_lanes(columns: Columns, line: Timeline, vms: Iterable[int]) -> None:
    requested = sums.asked(line)
    columns.add("asked", requested.edge)
    for vm in vms:
        columns.add(f"vm{vm}.at", line.vms[vm].at)
        columns.add(f"vm{vm}.state", line.vms[vm].state)
        columns.add(f"asked{vm}", requested.total[vm])
    for cpu, lane in line.pcpus.items():
        columns.add(f"pcpu{cpu}.at", lane.at)
        columns.add(f"pcpu{cpu}.state", lane.state)


def _facts(line: Timeline, start: int, end: int, vms: Sequence[int]) -> Dict[str, Any]:
    schema = line.trace.schema
    scheduler = f", scheduler {line.scheduler}" if line.scheduler else ""
    return {
        "title": f"Who ran when{scheduler}", "subtitle": words.subtitle(line),
        "caveats": words.caveats(line), "start": line.start, "end": line.end,
        "view": [start, end], "scheduler": line.scheduler, "reasons": line.reasons, "leftOut": line.left_out,
        "vms": [{"vm": vm, "name": line.names[vm]} for vm in vms],
        "pcpus": list(line.pcpus), "ticks": list(TICKS),
        "marks": [vars(m) for m in line.marks if not m.vm or m.vm in vms],
        "events": {n: {"name": e.name, "fields": e.fields, "text": e.text, "doc": e.doc}
                   for n, e in schema.by_number.items()},
        "enums": schema.enums,
        "colors": {"light": _colors(LIGHT), "dark": _colors(DARK)},
    }


def _colors(theme: Theme) -> Dict[str, Any]:
    result: Dict[str, Any] = {word: getattr(theme, word) for word in THEME_WORDS}
    return {**result, "vms": theme.vms, "exits": words.exit_colors(theme)}
