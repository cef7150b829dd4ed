"""Timelines of two or three traces on one time axis: the same workload under other schedulers.

Lanes and margins are those of a single timeline (timeline_static.py), one trace below the
other, over the span that all of them have; as a page (timeline_html.py) each trace keeps its
tools, and moving the view of one moves all.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import numpy as np

from viz import timeline_html, timeline_known
from viz import timeline_static as still
from viz import timeline_style as words
from viz import timeline_totals as sums
from viz.html_page import render
from viz.style import LIGHT as T
from viz.timeline_data import Timeline

HEAD, MOST = 0.52, 3    # inches above the lanes of each; traces


def names(lines: Sequence[Timeline]) -> List[str]:
    """What tells them apart: their schedulers, or else their numbers."""
    found = [line.scheduler or "unknown" for line in lines]
    if len(set(found)) == len(found):
        return found
    return [f"{name} ({i})" for i, name in enumerate(found, start=1)]


def save(lines: Sequence[Timeline], out_path: str, start: int, end: int,
         vms: Sequence[Sequence[int]]) -> None:
    """The picture; vms: of each trace those to draw."""
    same_reasons(lines)
    strips = [timeline_known.extract(line) for line in lines]
    with still.plt.rc_context(still.settings()):
        heights = [HEAD + still.height_of(*each) for each in zip(lines, vms, strips)]
        ax, figure = still.canvas(sum(heights), start, end)
        pages = [still.page_of(line, ax, start, end, *each) for line, *each
                 in zip(lines, vms, strips)]
        top = 0.0
        for page, name, height in zip(pages, names(lines), heights):
            _head(page, name, top)
            still.lanes(page, top + HEAD)
            top += height
        _title(pages, names(lines))
        _notes(pages, names(lines), top + 0.42)
        still.write(figure, out_path)


def same_reasons(lines: Sequence[Timeline]) -> None:
    """One order of exit reasons, so that a colour means the same in all of them."""
    total: Counter[str] = Counter()
    for line in lines:
        found = np.bincount(line.exits.kind, line.exits.count, len(line.reasons))
        total.update({word: int(n) for word, n in zip(line.reasons, found)})
    order = [word for word, _ in total.most_common()]
    for line in lines:
        place = np.array([order.index(word) for word in line.reasons] or [0])
        line.exits.kind = place[line.exits.kind]
        line.reasons = order


def _head(page: still.Page, name: str, top: float) -> None:
    still.put(page, -still.LEFT, top + 0.12, f"scheduler {name}", fontsize=11, fontweight="bold")
    still.put(page, -still.LEFT, top + 0.32, words.subtitle(page.line), color=T.muted, fontsize=6.5)
    if page.strips:
        still.legend(page, top + 0.3, still.strips_legend(page))


def _title(pages: Sequence[still.Page], named: Sequence[str]) -> None:
    first = pages[0]
    still.put(first, -still.LEFT, -0.62, "Who ran when: " + ", ".join(named), fontsize=13,
              fontweight="bold")
    still.put(first, -still.LEFT, -0.36, f"{words.show_time(first.start, 6)} to "
              f"{words.show_time(first.end, 6)} of the virtual time of each", fontsize=7.5)
    still.legend(first, 0.0, still.states_legend(first) + still.exits_legend(first.line))


def _notes(pages: Sequence[still.Page], named: Sequence[str], y: float) -> None:
    for page, name in zip(pages, named):
        facts = f"{name}: {words.asked_rule(page.line)}"
        y = still.footer(page, y, facts if page is not pages[0]
                         else f"Facts: {words.sources(page.line)}; {facts}")


def save_page(lines: Sequence[Timeline], out_path: str, start: int, end: int,
              vms: Sequence[Sequence[int]]) -> None:
    """One page: what each VM got under each, then the timelines, whose views move together."""
    rows = [{row.vm: row for row in sums.totals(line, start, end)} for line in lines]
    table = [(vm, lines[0].names.get(vm, ""), [_cells(found, vm) for found in rows])
             for vm in sorted({vm for chosen in vms for vm in chosen})]
    page = render("timeline_pair.html.j2", {
        "names": names(lines), "style": timeline_html.style(), "table": table,
        "sources": words.sources(lines[0]),
        "span": f"{words.show_time(start, 6)} to {words.show_time(end, 6)}",
        "frames": [timeline_html.page_of(line, start, end, chosen)
                   for line, chosen in zip(lines, vms)]}, ())
    Path(out_path).write_text(page, "utf-8")


def _cells(rows: Dict[int, sums.Totals], vm: int) -> Tuple[str, str]:
    """Share and error; the error only where it says something of the scheduler."""
    row = rows.get(vm)
    if row is None:
        return "", ""
    told = row.asked and sums.contested(rows.values())
    return (words.show_percent(row.share),
            words.show_percent(row.error, sign=True) if told else "")
