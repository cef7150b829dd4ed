"""The plots of the experiment, from its tables: PNG and SVG each, drawn with matplotlib.

A curve is the simulator's; a ring is a run on the emulated machine, drawn where its own
measurement falls.  Nothing is computed here but the places of things.
"""
from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

from grader.experiment.studies import Row  # noqa: E402
from viz.style import LIGHT as T, matplotlib_settings  # noqa: E402

Tables = Mapping[str, Sequence[Row]]
# Colour of a family, line of its variant.
LOOKS: Dict[str, Tuple[str, str]] = {
    "BVT": (T.vm(1), "-"), "BVT, warp": (T.vm(1), "--"),
    "SEDF, 10 ms": (T.vm(2), ":"), "SEDF, 20 ms": (T.vm(2), "--"), "SEDF, 100 ms": (T.vm(2), "-"),
    "SEDF, 1 ms in 10 ms": (T.vm(2), "--"), "SEDF, 5 ms in 100 ms": (T.vm(2), "-"),
    "Credit": (T.vm(3), "-"), "Credit, charged exactly": (T.vm(3), "-"),
    "Credit, charged by ticks": (T.bad, "-"), "Round robin, 10 ms": (T.vm(7), "-"),
    "rr": (T.vm(7), "-"), "bvt": (T.vm(1), "-"), "sedf": (T.vm(2), "-"), "credit": (T.vm(3), "-"),
}
NAMES = {"rr": "Round robin", "bvt": "BVT", "sedf": "SEDF", "credit": "Credit"}
LEAST_PERCENT = 0.01  # what is less is drawn there, since the axis is logarithmic
RING = dict(marker="o", markersize=5, markerfacecolor="none", markeredgewidth=1.2, linestyle="")


Drawings = Mapping[str, Callable[[Tables], plt.Figure]]


def save_all(tables: Tables, out: Path, drawings: Optional[Drawings] = None) -> List[str]:
    """Draw everything that there is a table for; the names of the plots."""
    made = []
    with plt.rc_context({**matplotlib_settings(T), "legend.frameon": False,
                         "legend.fontsize": 8, "axes.titlesize": 9.5}):
        for name, draw in (drawings or PLOTS).items():
            if tables.get(name):
                figure = draw(tables)
                for kind, metadata in (("svg", {"Date": None}), ("png", None)):
                    figure.savefig(out / f"{name}.{kind}", dpi=130, bbox_inches="tight",
                                   metadata=metadata)
                plt.close(figure)
                made.append(name)
    return made


def _pick(rows: Sequence[Row], **wanted: object) -> List[Row]:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _labels(rows: Sequence[Row], key: str = "scheduler") -> List[str]:
    return list(dict.fromkeys(str(row[key]) for row in rows))


def _line(ax: plt.Axes, look: str, x: Sequence[float], y: Sequence[float], **more: object) -> None:
    color, style = LOOKS[look]
    ax.plot(x, y, **{"color": color, "linestyle": style, "linewidth": 1.5, "label": look, **more})


def _rings(ax: plt.Axes, label: str, x: Sequence[float], y: Sequence[float]) -> None:
    if len(x):  # an empty one, unclipped, has no place, and the layout looks for it
        ax.plot(x, y, color=LOOKS[label][0], zorder=4, clip_on=False, **RING)


def label_axes(ax: plt.Axes, x: str, y: str, title: str = "") -> None:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.set_title(title, loc="left")
    ax.grid(True, color=T.line, linewidth=0.5)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _legend(ax: plt.Axes, live: bool, extra: Sequence[Line2D] = (), **more: object) -> None:
    handles = [*ax.get_legend_handles_labels()[0], *extra]
    if live:
        handles.append(Line2D([], [], color=T.ink, label="the live VMM", **RING))
    ax.legend(handles=handles, **more)


def _percent(values: Sequence[float]) -> List[float]:
    return [max(LEAST_PERCENT, 100 * value) for value in values]


def plain(axis: "matplotlib.axis.Axis") -> None:
    axis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:,.10g}"))


# --- Allocation error ---------------------------------------------------------------------------

def _cdf(tables: Tables) -> plt.Figure:
    rows, live = tables["cdf"], tables.get("live_cdf", ())
    windows = list(dict.fromkeys(row["window_ms"] for row in rows))
    figure, axes = plt.subplots(1, len(windows), figsize=(3.1 * len(windows) + 0.4, 3.3),
                                sharey=True, squeeze=False, layout="constrained")
    for ax, window in zip(axes[0], windows):
        for label in _labels(rows):
            mine = _pick(rows, scheduler=label, window_ms=window)
            _line(ax, label, _percent([row["error"] for row in mine]),
                  [row["percent"] for row in mine])
            seen = _pick(live, scheduler=label, window_ms=window)[::20]
            _rings(ax, label, _percent([row["error"] for row in seen]),
                   [row["percent"] for row in seen])
        ax.set_xscale("log")
        ax.set_xlim(LEAST_PERCENT, 1000)
        ax.set_ylim(0, 102)
        plain(ax.xaxis)
        ax.tick_params(axis="x", labelsize=7.5)
        label_axes(ax, "|allocation error|, %", "" if ax is not axes[0][0] else "windows, %",
              f"windows of {window} ms")
    handles = [*axes[0][0].get_legend_handles_labels()[0]]
    if live:
        handles.append(Line2D([], [], color=T.ink, label="the live VMM", **RING))
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncol=len(handles))
    return figure


def _error(tables: Tables) -> plt.Figure:
    rows, live = tables["error"], tables.get("live_error", ())
    figure, ax = plt.subplots(figsize=(7.4, 4.2), layout="constrained")
    for label in _labels(rows):
        mine, seen = _pick(rows, scheduler=label), _pick(live, scheduler=label)
        _line(ax, label, [row["window_ms"] for row in mine], _percent([row["p95"] for row in mine]))
        _rings(ax, label, [row["window_ms"] for row in seen],
               _percent([row["p95"] for row in seen]))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(LEAST_PERCENT, 1000)
    plain(ax.xaxis)
    plain(ax.yaxis)
    label_axes(ax, "length of the window, ms", "|allocation error|, %: 95 of 100 windows have less")
    _legend(ax, bool(live), loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


# --- Requested against received -----------------------------------------------------------------

PANELS = (("SEDF, always wants the CPU", "SEDF", "always"),
          ("SEDF, 1 ms of work, then blocks for 0.1 ms", "SEDF", "blocks"),
          ("Credit: a cap (NWC), or a weight (WC)", "Credit", ""))


def _received(tables: Tables) -> plt.Figure:
    rows, live = tables["received"], tables.get("live_received", ())
    figure, axes = plt.subplots(1, 3, figsize=(12.4, 4.3), sharey=True, layout="constrained")
    for ax, (title, scheduler, behaviour) in zip(axes, PANELS):
        ax.plot([0, 100], [0, 100], color=T.muted, linewidth=0.8, linestyle=(0, (1, 2)),
                label="as asked for")
        mine = _pick(rows, scheduler=scheduler)
        for each in ([behaviour] if behaviour else ["always", "blocks"]):
            for period in dict.fromkeys(row["period_ms"] for row in mine):
                _asked(ax, _pick(mine, behaviour=each, period_ms=period), scheduler)
        if behaviour != "blocks":
            seen = _pick(live, scheduler=scheduler)
            _rings(ax, scheduler if scheduler == "Credit" else "SEDF, 100 ms",
                   [row["requested"] for row in seen], [row["received"] for row in seen])
        ax.set_xlim(0, 100)
        ax.set_ylim(0, 102)
        label_axes(ax, "requested, % of the CPU", "received, %" if ax is axes[0] else "", title)
        _legend(ax, bool(live) and behaviour != "blocks", loc="upper left", fontsize=7)
    return figure


DOES = {"always": "always wants the CPU", "blocks": "blocks as in the middle"}
PERIOD_COLORS = {0: T.vm(3), 10: T.vm(5), 20: T.vm(6), 100: T.vm(2)}


def _asked(ax: plt.Axes, rows: Sequence[Row], scheduler: str) -> None:
    """WC dashed and thin, NWC whole; of Credit one that blocks is paler."""
    for mode, style, width in (("NWC", "-", 2.0), ("WC", "--", 1.1)):
        mine = _pick(rows, mode=mode)
        period, behaviour = rows[0]["period_ms"], rows[0]["behaviour"]
        what = f"period {period} ms" if scheduler == "SEDF" else DOES[str(behaviour)]
        pale = scheduler == "Credit" and behaviour == "blocks"
        ax.plot([row["requested"] for row in mine], [row["received"] for row in mine],
                color=T.vm(1) if pale else PERIOD_COLORS[int(period)], linestyle=style,
                linewidth=width, label=f"{mode}, {what}")


# --- Latency, attack, cost ----------------------------------------------------------------------

def _latency(tables: Tables) -> plt.Figure:
    rows, live = tables["latency"], tables.get("live_latency", ())
    figure, ax = plt.subplots(figsize=(7.4, 4.2), layout="constrained")
    for label in _labels(rows):
        mine = _pick(rows, scheduler=label)
        median = mine[50]["wait_us"]
        told = f"median {median / 1000:.3g} ms" if median else "mostly at once"
        _line(ax, label, [row["wait_us"] for row in mine], [row["percent"] for row in mine],
              label=f"{label}: {told}")
        seen = _pick(live, scheduler=label)[::10]
        _rings(ax, label, [row["wait_us"] for row in seen], [row["percent"] for row in seen])
    ax.set_xscale("symlog", linthresh=100, linscale=0.4)
    ax.set_xlim(-25, 2e5)
    ax.set_ylim(0, 102)
    ax.set_xticks([0, 100, 1000, 10000, 100000])
    plain(ax.xaxis)
    label_axes(ax, "from its wake until it runs, us", "wakes, %")
    _legend(ax, bool(live), loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _attack(tables: Tables) -> plt.Figure:
    rows = tables["attack"]
    figure, ax = plt.subplots(figsize=(7.4, 4.0), layout="constrained")
    for label in _labels(rows, "charging"):
        mine = _pick(rows, charging=label)
        _line(ax, label, [row["stops_before_us"] for row in mine],
              [row["received"] for row in mine], marker=".")
    most = _pick(rows, charging=rows[0]["charging"])
    ax.plot([row["stops_before_us"] for row in most], [row["most"] for row in most],
            color=T.muted, linewidth=0.8, linestyle="--", label="all that it wants")
    ax.axhline(100 / 3, color=T.muted, linewidth=0.8, linestyle=(0, (1, 2)), label="its third")
    ax.set_xscale("log")
    ax.set_ylim(0, 102)
    plain(ax.xaxis)
    label_axes(ax, "how long before each 10 ms tick it blocks, us", "what it gets of the CPU, %")
    _legend(ax, False, loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def _cost(tables: Tables) -> plt.Figure:
    rows = tables["cost"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.0), layout="constrained")
    for label in _labels(rows):
        mine = _pick(rows, scheduler=label)
        vms = [row["vms"] for row in mine]
        _line(left, label, vms, [row["decision"] for row in mine], marker="o", markersize=4,
              label=NAMES[label])
        _line(left, label, vms, [row["dearest decision"] for row in mine], linewidth=0.8,
              linestyle=":", label="_")
        if any(row["account"] for row in mine):
            _line(right, label, vms, [row["account"] for row in mine], marker="o", markersize=4,
                  label="an accounting, each 30 ms")
            _line(right, label, vms, [row["decision"] for row in mine], linewidth=0.8,
                  label="a decision")
    for ax, title in ((left, "A decision (dotted: the dearest)"), (right, "Credit's accounting")):
        ax.set_xscale("log")
        plain(ax.xaxis)
        plain(ax.yaxis)
        label_axes(ax, "VMs", "instructions", title)
    left.set_ylim(0)
    right.set_yscale("log")
    plain(right.yaxis)
    _legend(left, False, loc="upper left")
    _legend(right, False, loc="upper left")
    return figure


PLOTS: Dict[str, Callable[[Tables], plt.Figure]] = {
    "cdf": _cdf, "error": _error, "received": _received, "latency": _latency, "attack": _attack,
    "cost": _cost}
