"""The experiment as one page: what each figure shows, how it was made, and its numbers.

The page refers to the plots and tables beside it and needs no network.
"""
from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

import jinja2

from grader.experiment import side_by_side, studies
from grader.experiment.studies import Row
from viz.style import FONT_CSS, LIGHT, MONO_CSS, css_variables

HERE = Path(__file__).parent
GROWTH = (100, 10000)  # VMs


def save(out: Path, tables: Mapping[str, Sequence[Row]], figures: Sequence[str]) -> None:
    """Write index.html."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template("page.html.j2").render(
        colors=css_variables(LIGHT), font=FONT_CSS, mono=MONO_CSS, figures=figures,
        size=studies.SIZE, side=side_by_side, live="cost" in tables, growth=growth(tables.get("cost", ())),
        errors=[row for row in tables["error"] if row["window_ms"] in (100, 1000)],
        attack=[row for row in tables["attack"] if row["stops_before_us"] == 500],
        latency=_medians(tables["latency"]), tables=sorted(tables))
    (out / "index.html").write_text(page, "utf-8")


def growth(rows: Sequence[Row]) -> List[Tuple[str, int, int, float]]:
    """By scheduler: what a decision costs with few and with many VMs, and how often the one
    is the other."""
    cost: Dict[Tuple[str, int], int] = {(str(row["scheduler"]), int(row["vms"])):
                                        int(row["decision"]) for row in rows}
    few, many = GROWTH
    return [(name, cost[name, few], cost[name, many], cost[name, many] / cost[name, few])
            for name, vms in cost if vms == few and (name, many) in cost]


def _medians(rows: Sequence[Row]) -> List[Tuple[str, float, float]]:
    """By scheduler: the median wait and the longest, in ms."""
    found: Dict[str, Dict[int, float]] = {}
    for row in rows:
        found.setdefault(str(row["scheduler"]), {})[int(row["percent"])] = \
            float(row["wait_us"]) / 1000
    return [(name, waits[50], waits[100]) for name, waits in found.items()]
