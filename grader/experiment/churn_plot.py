"""Lab 4's figure and page: the cost of an access against the rate of table changes.

One panel a working set; the solid lines are measured alone (c = 0), the others add c for each
reference of a modelled TLB miss.  A ring marks where shadow paging becomes the dearer one.
"""
from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

import jinja2
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from grader.experiment.churn import Size
from grader.experiment.plots import Drawings, Tables, label_axes, plain, save_all
from grader.experiment.studies import Row
from viz.style import FONT_CSS, LIGHT as T, MONO_CSS, PROVENANCE, css_variables

COLORS = {"nested": T.nested, "shadow": "#6f3c91"}
DASHES = ("-", "--", "-.", ":")
HERE = Path(__file__).parent
LEAST = 0.5     # where a rate of 0 is drawn: the axis is logarithmic


def save(tables: Tables, size: Size, out: Path) -> List[str]:
    """Draw and write the page; the names of the plots."""
    drawings: Drawings = {"churn": lambda found: draw(found, size)}
    made = save_all(tables, out, drawings)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template("churn.html.j2").render(
        colors=css_variables(T), font=FONT_CSS, mono=MONO_CSS, size=size,
        refs={row["mode"]: row["references"] for row in tables["churn"]},
        crossings=tables["crossings"], words=PROVENANCE,
        from_where=lambda row: from_where(row, tables["churn"]))
    (out / "index.html").write_text(page, "utf-8")
    return made


def from_where(crossing: Row, rows: Sequence[Row]) -> str:
    """From which rate on shadow costs more, in words where it is none that was measured."""
    where = crossing["changes_per_1000"]
    if where == "":
        return "never"
    if where != 0:
        return f"{where:.3g}"
    still = {row["mode"]: float(row[f"total_c{crossing['c']}"]) for row in rows
             if row["pages"] == crossing["pages"] and row["changes_per_1000"] == 0}
    return "always" if still["shadow"] > still["nested"] else "as soon as anything changes"


def draw(tables: Tables, size: Size) -> plt.Figure:
    figure, panels = plt.subplots(1, len(size.pages), figsize=(5.3 * len(size.pages), 4.6),
                                  sharey=True, squeeze=False, layout="constrained")
    for ax, pages in zip(panels[0], size.pages):
        mine = [row for row in tables["churn"] if row["pages"] == pages]
        _curves(ax, mine, size)
        _rings(ax, mine, [row for row in tables["crossings"] if row["pages"] == pages])
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks([LEAST, *[n for n in (1, 10, 100) if n <= max(size.changes)]],
                      ["0", *[str(n) for n in (1, 10, 100) if n <= max(size.changes)]])
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.minorticks_off()
        plain(ax.yaxis)
        fits = "fits" if pages <= size.entries else "does not fit"
        label_axes(ax, "page-table changes in 1,000 accesses", "",
                   f"{pages:,} pages: the working set {fits} in the TLB")
    panels[0][0].set_ylabel("cost of one access, instructions")
    figure.legend(handles=_keys(tables, size), loc="lower center",
                  bbox_to_anchor=(0.5, 1.0), ncols=4)
    figure.supxlabel(
        f"observed: instructions between two checkpoints.  computed: references of a walk.  "
        f"modelled: misses of a TLB of {size.entries:,} entries, x references x c",
        fontsize=7.5, color=T.muted)
    return figure


def _curves(ax: plt.Axes, rows: Sequence[Row], size: Size) -> None:
    for mode, color in COLORS.items():
        mine = [row for row in rows if row["mode"] == mode]
        for c, dash in zip(size.prices, DASHES):
            ax.plot([max(LEAST, float(row["changes_per_1000"])) for row in mine],
                    [float(row[f"total_c{c}"]) for row in mine], color=color, linestyle=dash,
                    linewidth=1.8 if c == 0 else 1.2, marker="o" if c == 0 else "", markersize=3)


def _rings(ax: plt.Axes, rows: Sequence[Row], crossings: Sequence[Row]) -> None:
    for each in crossings:
        if each["changes_per_1000"] == "":
            continue
        at, name = float(each["changes_per_1000"]), f"total_c{each['c']}"
        nested = [row for row in rows if row["mode"] == "nested"]
        height = _between(at, [float(row["changes_per_1000"]) for row in nested],
                          [float(row[name]) for row in nested])
        ax.plot([max(LEAST, at)], [height], marker="o", markersize=8, markerfacecolor="none",
                markeredgecolor=T.ink, linestyle="", zorder=4)
        if at == 0:
            continue
        ax.annotate(f"{at:.3g}", (max(LEAST, at), height), textcoords="offset points",
                    xytext=(7, -11), fontsize=8)


def _between(at: float, x: Sequence[float], y: Sequence[float]) -> float:
    """By straight lines."""
    for (x0, y0), (x1, y1) in zip(zip(x, y), zip(x[1:], y[1:])):
        if x0 <= at <= x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    return y[0]


def _keys(tables: Tables, size: Size) -> List[Line2D]:
    refs = {str(row["mode"]): row["references"] for row in tables["churn"]}
    keys = [Line2D([], [], color=color, linewidth=1.8,
                   label=f"{mode} paging, {refs[mode]} references a miss")
            for mode, color in COLORS.items()]
    keys += [Line2D([], [], color=T.ink, linestyle=dash, label=f"c = {c}" if c else
                    "c = 0: measured alone") for c, dash in zip(size.prices, DASHES)]
    return keys + [Line2D([], [], color=T.ink, marker="o", markersize=8, markerfacecolor="none",
                          linestyle="", label="from here on shadow costs more")]
