"""The timeline as a still picture: SVG, PNG or PDF, drawn with matplotlib.

Few spans are drawn one by one; many become the occupancy of equal buckets, exits
and ticks a density, so nothing is left out and the picture's size is bounded.
The note under the picture says what was aggregated.  Units of the axes: ns of
virtual time to the right, inches down.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import matplotlib

matplotlib.use("Agg")
import numpy as np  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.patches import Patch, Rectangle  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

from viz import timeline_known as known  # noqa: E402
from viz import timeline_style as words  # noqa: E402
from viz import timeline_totals as sums  # noqa: E402
from viz.spans import known_end  # noqa: E402
from viz.style import LIGHT, matplotlib_settings, vm_hatch  # noqa: E402
from viz.timeline_data import (BLOCKED, HOST, LOST, READY, RUN, TICKS, UNKNOWN,  # noqa: E402
                               Lane, Mark, Timeline)

WIDTH, LEFT, RIGHT = 12.0, 1.45, 2.75  # inches
TOP, BELOW, VM_H, CPU_H = 0.85, 0.35, 1.12, 0.74
LOW_VM_H = 0.56  # of a VM in a run without exits and ticks: a simulation
STATE_Y, STATE_H = 0.10, 0.32  # inside a VM lane
EXIT_Y, EXIT_H = 0.46, 0.24
TICK_Y, TICK_H, TICK_STEP = 0.74, 0.085, 0.105
CPU_Y, CPU_BAR = 0.20, 0.34
STRIP_ROOM = known.H + 0.12
BUCKETS = 1000
MOST_SPANS, MOST_MARKS, MOST_LETTERS, MOST_LIVES = 700, 250, 110, 30
END_ROOM, WHY_ROOM = 0.0062, 0.0056  # of the width: for a letter of an end, of a reason
T = LIGHT


@dataclass
class Page:
    """The picture being made: what to draw, where, and what was aggregated."""

    line: Timeline
    ax: plt.Axes
    start: int
    end: int
    vms: List[int]
    totals: Dict[int, sums.Totals]
    edges: np.ndarray
    strips: Optional[known.Strips]
    aggregated: List[str] = field(default_factory=list)


def save(line: Timeline, out_path: str, start: int, end: int, vms: Sequence[int]) -> None:
    """Draw start..end of the VMs `vms` and all pCPUs into a file; its ending says how."""
    strips = known.extract(line)
    with plt.rc_context(settings()):
        height = height_of(line, vms, strips)
        ax, figure = canvas(height, start, end)
        page = page_of(line, ax, start, end, vms, strips)
        lanes(page, 0.0)
        _title(page)
        footer(page, height + 0.42, f"Facts: {words.sources(line)}; {words.asked_rule(line)}")
        write(figure, out_path)


def settings() -> Dict[str, Any]:
    """matplotlib's, for these pictures."""
    return {**matplotlib_settings(T), "text.parse_math": False}


def height_of(line: Timeline, vms: Sequence[int], strips: Optional[known.Strips]) -> float:
    """Of all lanes of a trace, in inches."""
    strip = STRIP_ROOM if strips else 0
    return len(vms) * (_vm_height(line, strips) + strip) + len(line.pcpus) * CPU_H


def _vm_height(line: Timeline, strips: Optional[known.Strips]) -> float:
    """Of a VM's lane without its strip."""
    quiet = not len(line.exits.ns) and not len(line.ticks.ns) and strips
    return LOW_VM_H if quiet and not line.left_out else VM_H


def page_of(line: Timeline, ax: plt.Axes, start: int, end: int, vms: Sequence[int],
            strips: Optional[known.Strips]) -> Page:
    """What is to be drawn of a trace; `strips` as timeline_known.extract() has them."""
    rows = {row.vm: row for row in sums.totals(line, start, end)}
    return Page(line, ax, start, end, list(vms), rows, sums.edges(start, end, BUCKETS), strips)


def lanes(page: Page, top: float) -> float:
    """All lanes of a trace from `top` on; where they end."""
    y = top
    for vm in page.vms:
        _vm_lane(page, vm, y)
        y += _vm_height(page.line, page.strips) + (STRIP_ROOM if page.strips else 0)
    for cpu, lane in page.line.pcpus.items():
        _pcpu_lane(page, cpu, lane, y)
        y += CPU_H
    _last_moments(page, top, y)
    return y


def canvas(height: float, start: int, end: int) -> Tuple[plt.Axes, plt.Figure]:
    """A figure whose axes are `height` inches high; text may grow past its edges."""
    total = TOP + height + BELOW
    figure = plt.figure(figsize=(WIDTH, total))
    ax = figure.add_axes((LEFT / WIDTH, BELOW / total, (WIDTH - LEFT - RIGHT) / WIDTH,
                          height / total))
    ax.set_xlim(start, end)
    ax.set_ylim(height, 0)
    ax.set_yticks([])
    ax.tick_params(axis="x", labelsize=7.5)
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ns, _: words.show_time(ns, 6)))
    ax.xaxis.set_major_locator(plt.MaxNLocator(7, steps=[1, 2, 2.5, 5, 10], integer=True))
    ax.xaxis.grid(True, color=T.line, linewidth=0.5)
    ax.set_axisbelow(True)
    return ax, figure


def write(figure: plt.Figure, out_path: str) -> None:
    """Into a file, in the format that its name says."""
    kind = out_path.rsplit(".", 1)[-1].lower()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    figure.savefig(out_path, dpi=150, bbox_inches="tight", pad_inches=0.15, metadata=metadata)
    plt.close(figure)


def put(page: Page, x: float, y: float, text: str, **options) -> None:
    """Text at `x` inches from the plot's left edge."""
    part = x / (WIDTH - LEFT - RIGHT)
    options = {"fontsize": 7.5, "va": "top", **options}
    text = words.printable(text)
    page.ax.text(part, y, text, transform=page.ax.get_yaxis_transform(), clip_on=False, **options)


def _separator(page: Page, y: float) -> None:
    page.ax.axhline(y, color=T.line, linewidth=0.6)


def _vm_lane(page: Page, vm: int, y: float) -> None:
    height = _vm_height(page.line, page.strips)
    _separator(page, y)
    put(page, -LEFT, y + 0.08, f"VM {vm}", fontsize=9.5, fontweight="bold", color=T.vm(vm))
    put(page, -LEFT, y + 0.26, "\n".join(textwrap.wrap(page.line.names[vm], 17)[:2]))
    _states(page, vm, y + STATE_Y)
    if height == VM_H:
        _label(page, y + EXIT_Y + EXIT_H / 2, "exits")
        _exits(page, vm, y + EXIT_Y)
        _ticks(page, vm, y + TICK_Y)
    if page.strips:
        _label(page, y + height + known.H / 2, known.LABELS[page.strips.scheduler])
        if not known.draw(page.ax, page.line, page.strips, vm, y + height):
            page.aggregated.append(f"{known.LABELS[page.strips.scheduler]} of VM {vm}")
    ends = _lifetime(page, vm, y)
    _vm_margin(page, vm, y, ends)


def _label(page: Page, y: float, name: str) -> None:
    """What a row shows, left of it."""
    put(page, -0.08, y, name, ha="right", va="center", color=T.muted, fontsize=6.5)


def _states(page: Page, vm: int, y: float) -> None:
    lane, color = page.line.vms[vm], T.vm(vm)
    styles: Dict[int, Dict[str, Any]] = {
        RUN: dict(color=color, hatch=vm_hatch(vm), ec=T.page if vm_hatch(vm) else color),
        READY: dict(color=color, alpha=0.22), BLOCKED: dict(color=T.muted, alpha=0.5, part=0.3)}
    _bands(page, lane, styles, y, STATE_H, f"states of VM {vm}")
    _unknown(page, lane, UNKNOWN, y, STATE_H)


def _bands(page: Page, lane: Lane, styles: Dict[int, dict], y: float, h: float,
           what: str) -> None:
    """Spans as rectangles, or the buckets' occupancy stacked upwards when there are many.

    A style's `part` makes its rectangles lower than the band.  Spans too short for a
    rectangle are lines, so that a VM that runs for moments is seen to run.
    """
    first, last = lane.within(page.start, page.end)
    if last - first > MOST_SPANS:
        page.aggregated.append(what)
        plain = [{k: v for k, v in style.items() if k != "part"} for style in styles.values()]
        _stack(page, sums.occupancy(lane, list(styles), page.edges), plain, y, h)
        return
    state, edge = lane.state[first:last], lane.edge[first:last + 1].clip(page.start, page.end)
    for code, style in styles.items():
        mine = np.flatnonzero(state == code)
        spans = list(zip(edge[mine], np.diff(edge)[mine]))
        options = {"linewidth": 0, **style}
        part = options.pop("part", 1)
        short = mine[np.diff(edge)[mine] < (page.end - page.start) / BUCKETS]
        page.ax.vlines(edge[short], y + h - part * h, y + h, color=options["color"],
                       alpha=options.get("alpha"), linewidth=0.4)
        page.ax.broken_barh(spans, (y + h - part * h, part * h), facecolor=options.pop("color"),
                            edgecolor=options.pop("ec", "none"), **options)


def _stack(page: Page, parts: np.ndarray, styles: Sequence[dict], y: float, h: float) -> None:
    """Bucket fractions as areas, the first at the bottom of y..y+h."""
    low = np.zeros(parts.shape[1] + 1)
    for part, style in zip(parts, styles):
        high = low + np.append(part, part[-1:])
        if part.any():
            options = {"linewidth": 0, **style}
            page.ax.fill_between(page.edges, y + h - h * low, y + h - h * high, step="post",
                                 facecolor=options.pop("color"),
                                 edgecolor=options.pop("ec", "none"), **options)
        low = high


def _unknown(page: Page, lane: Lane, code: int, y: float, h: float) -> None:
    for i in np.flatnonzero(lane.state == code):
        left, right = np.clip(lane.edge[i:i + 2], page.start, page.end)
        page.ax.add_patch(Rectangle((left, y), right - left, h, facecolor="none", hatch="xxxx",
                                    edgecolor=T.muted, linewidth=0))


def _exits(page: Page, vm: int, y: float) -> None:
    if "exits" in page.line.left_out:
        put(page, 0.06, y + EXIT_H / 2, "not recorded", va="center", color=T.muted, fontsize=6.5)
        return
    points = page.line.exits.within(page.start, page.end, page.line.end)
    mine = points.vm == vm
    colors = words.exit_colors(T)
    if mine.sum() <= MOST_MARKS:
        for kind in np.unique(points.kind[mine]):
            page.ax.vlines(points.ns[mine & (points.kind == kind)], y, y + EXIT_H, linewidth=0.9,
                           color=words.exit_color(int(kind), T))
        return
    page.aggregated.append(f"exits of VM {vm}")
    counted = sums.counts(points, vm, len(page.line.reasons), page.edges)
    shown = np.vstack([counted[:len(colors) - 1], counted[len(colors) - 1:].sum(axis=0)])
    total = shown.sum(axis=0)
    scale = np.log1p(total) / np.log1p(total.max()) / np.maximum(total, 1)
    _stack(page, shown * scale, [dict(color=c) for c in colors], y, EXIT_H)
    put(page, WIDTH - LEFT - RIGHT, y, f"{int(total.max()):,}", fontsize=5, color=T.muted)


def _ticks(page: Page, vm: int, y: float) -> None:
    """Three rows: due, delivered, dropped."""
    points = page.line.ticks.within(page.start, page.end, page.line.end)
    mine = points.vm == vm
    if not mine.any():
        return
    counted: Optional[np.ndarray] = None
    if mine.sum() > MOST_MARKS:
        page.aggregated.append(f"ticks of VM {vm}")
        counted = sums.counts(points, vm, len(TICKS), page.edges)
    for kind, color in enumerate((T.ink, T.good, T.bad)):
        row = y + kind * TICK_STEP
        put(page, -0.08, row + TICK_H / 2, ("ticks due", "delivered", "dropped")[kind],
              ha="right", va="center", color=color, fontsize=5.5)
        if counted is not None:
            _stack(page, sums.heights(counted[kind:kind + 1], int(counted.max())),
                   [dict(color=color)], row, TICK_H)
        else:
            page.ax.vlines(points.ns[mine & (points.kind == kind)], row, row + TICK_H,
                           color=color, linewidth=0.9)


def _lifetime(page: Page, vm: int, y: float) -> List[Mark]:
    """A line where the VM was created and where it ended: through its lane, or when there
    are many short ones above it.  Returns the ends."""
    marks = [m for m in page.line.marks
             if m.vm == vm and page.start <= m.ns <= page.end and m.kind in ("create", "end")]
    ends = [m for m in marks if m.kind == "end"]
    low = _vm_height(page.line, page.strips) - 0.06 if len(ends) <= MOST_LIVES else STATE_Y - 0.01
    for kind, color in (("create", T.muted), ("end", T.bad)):
        at = np.array([m.ns for m in marks if m.kind == kind])
        places = np.unique(((at - page.start) * BUCKETS // max(1, page.end - page.start)))
        page.ax.vlines(page.start + places * (page.end - page.start) / BUCKETS, y + 0.03,
                       y + low, color=color, linewidth=0.8, clip_on=False)
    if len(ends) <= MOST_LIVES:
        _end_words(page, ends, y)
    return ends


def _end_words(page: Page, ends: List[Mark], y: float) -> None:
    """How each end came about, where the words do not cover those before."""
    free, span = float(page.start), page.end - page.start
    for mark in ends:
        text = textwrap.shorten(words.printable(mark.text), 40, placeholder="…")
        width = span * END_ROOM * len(text)
        late = mark.ns + width > page.end
        left = mark.ns - width if late else mark.ns
        if left < free:
            continue
        free = left + width
        page.ax.annotate(text, (mark.ns, y + 0.09), (-2 if late else 2, 0),
                         textcoords="offset points", fontsize=5.5, color=T.bad, zorder=4,
                         bbox=dict(facecolor=T.page, edgecolor="none", alpha=0.85, pad=0.2),
                         ha="right" if late else "left", va="bottom")


def _vm_margin(page: Page, vm: int, y: float, ends: List[Mark]) -> None:
    row = page.totals[vm]
    x = WIDTH - LEFT - RIGHT + 0.22
    share = "share unknown" if row.share is None else f"{words.show_percent(row.share)} of the CPU"
    put(page, x, y + 0.08, share, fontsize=9, fontweight="bold", color=T.vm(vm))
    lines = [] if row.share is None else _time_words(page, row)
    exits = sum(row.exits.values())
    if "exits" not in page.line.left_out:
        lines += textwrap.wrap(words.plural(exits, "exit") + (": " if exits else "")
                               + words.show_counts(row.exits), 50)[:2]
    if any(row.ticks.values()):
        lines.append("ticks: " + ", ".join(f"{n:,} {kind}" for kind, n in row.ticks.items()))
    if row.picks:
        lines.append("chosen: " + words.show_counts(row.picks, 2))
    if len(ends) > 1:
        how = Counter(mark.how for mark in ends)
        lines.append(f"ended {len(ends):,} times: " + words.show_counts(how, 1))
    put(page, x, y + 0.26, "\n".join(lines), fontsize=6.5, linespacing=1.35)


def _time_words(page: Page, row: sums.Totals) -> List[str]:
    span = max(1, page.end - page.start)
    asked = [f"asked {words.show_percent(row.asked)}, error "
             f"{words.show_percent(row.error, sign=True)}"]
    shown = row.asked and sums.contested(page.totals.values())
    return (asked if shown else []) + [
            f"ran {words.show_time(row.run)}, ready {words.show_percent(row.ready / span)}, "
            f"blocked {words.show_percent(row.blocked / span)}"]


def _pcpu_lane(page: Page, cpu: int, lane: Lane, y: float) -> None:
    _separator(page, y)
    put(page, -LEFT, y + 0.20, f"pCPU {cpu}", fontsize=9.5, fontweight="bold")
    put(page, -LEFT, y + 0.38, "who runs; above: why", color=T.muted, fontsize=6.5)
    styles: Dict[int, Dict[str, Any]] = {
        vm: dict(color=T.vm(vm), hatch=vm_hatch(vm), ec=T.page if vm_hatch(vm) else T.vm(vm))
        for vm in page.line.names}
    styles[HOST] = dict(color=T.muted, part=0.5)
    page.ax.add_patch(Rectangle((page.start, y + CPU_Y), page.end - page.start, CPU_BAR,
                                facecolor=T.panel, edgecolor=T.line, linewidth=0.5))
    _bands(page, lane, styles, y + CPU_Y, CPU_BAR, f"pCPU {cpu}")
    _unknown(page, lane, LOST, y + CPU_Y, CPU_BAR)
    _decisions(page, cpu, y)


def _decisions(page: Page, cpu: int, y: float) -> None:
    """Why each decision was taken: words, letters, or counts in the margin."""
    picks = page.line.picks
    inside = np.flatnonzero((picks.pcpu == cpu) & (picks.ns >= page.start)
                            & (picks.ns <= page.end))
    counted: Dict[str, int] = {}
    for i in inside.tolist():
        counted[picks.why[i]] = counted.get(picks.why[i], 0) + 1
    if len(inside) <= MOST_LETTERS:
        _whys(page, inside, y)
    lines = []
    for code, name in ((0, "idle"), (HOST, "host, after a VM's end")):
        part = sums.pcpu_part(page.line.pcpus[cpu], code, page.start, page.end)
        lines += [f"{name}: {words.show_percent(part)}"] if part or code == 0 and part == 0 else []
    lines.append(words.plural(len(inside), "decision") + (", by reason:" if counted else ""))
    if "sched" in page.line.left_out:
        lines = ["scheduling was not recorded"]
    lines += textwrap.wrap(words.show_counts(counted, 4), 50)[:3]
    put(page, WIDTH - LEFT - RIGHT + 0.22, y + 0.16, "\n".join(lines), fontsize=6.5,
          linespacing=1.35)


def _whys(page: Page, inside: np.ndarray, y: float) -> None:
    """A word above each decision, or its first letter, or nothing where there is no room."""
    picks, span = page.line.picks, page.end - page.start
    until = np.append(picks.ns[inside][1:], page.end)
    free = float(page.start)
    for i, end in zip(inside.tolist(), until.tolist()):
        why = words.printable(picks.why[i].lower().replace("_", " "))
        if picks.ns[i] < free:
            continue
        shown = why if end - picks.ns[i] > span * WHY_ROOM * (len(why) + 1) else why[:1].upper()
        free = picks.ns[i] + span * WHY_ROOM * (len(shown) + 0.5)
        page.ax.text(picks.ns[i], y + CPU_Y - 0.02, shown, fontsize=5, ha="left", va="bottom",
                     color=T.muted)


def _last_moments(page: Page, top: float, bottom: float) -> None:
    """Where the trace buffer was full, and panics; their words stand among the notes below."""
    moments = [(mark.ns, "panic") for mark in page.line.marks if mark.kind == "panic"]
    if page.line.trace.dropped:
        moments.append((known_end(page.line.trace), "buffer full"))
    for ns, what in moments:
        if page.start <= ns <= page.end:
            page.ax.vlines(ns, top, bottom, color=T.bad, linewidth=1.4, clip_on=False,
                           linestyle="-" if what == "panic" else (0, (2, 1)))
            page.ax.annotate(what, (ns, top), (-3, 3), textcoords="offset points", fontsize=6.5,
                             color=T.bad, ha="right", va="bottom")


def _title(page: Page) -> None:
    line = page.line
    scheduler = f", scheduler {line.scheduler}" if line.scheduler else ""
    put(page, -LEFT, -0.78, f"Who ran when{scheduler}", fontsize=13, fontweight="bold")
    put(page, -LEFT, -0.52, words.subtitle(line), color=T.muted, fontsize=7)
    part = "a part of the trace"
    if page.start <= line.start and page.end >= line.end:
        part = "as far as the records go" if line.trace.dropped else "the whole trace"
    put(page, -LEFT, -0.36, f"{words.show_time(page.start, 6)} to {words.show_time(page.end, 6)}"
        f" of virtual time ({part})", fontsize=7.5)
    legend(page, 0.0, states_legend(page) + strips_legend(page) + exits_legend(line))


def legend(page: Page, y: float, handles: Sequence[Any]) -> None:
    """One row, above the height y of the plot."""
    made = page.ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, y), frameon=False,
                          bbox_transform=page.ax.get_yaxis_transform(), ncol=len(handles),
                          fontsize=6.5, borderpad=0, columnspacing=0.9, handlelength=1.0,
                          handletextpad=0.4, borderaxespad=0.3)
    page.ax.add_artist(made)


def states_legend(page: Page) -> List[Any]:
    """What lanes are made of."""
    handles = [Patch(color=T.ink, label="run"), Patch(color=T.ink, alpha=0.22, label="ready"),
               Patch(color=T.muted, alpha=0.5, label="blocked"),
               Line2D([], [], color=T.bad, label="VM ended")]
    if sums.host_time(page.line, page.start, page.end):
        handles.append(Patch(color=T.muted, label="host, after a VM's end"))
    return handles


def strips_legend(page: Page) -> List[Any]:
    """What the scheduler knows."""
    return [Patch(color=color, alpha=1 if name == "deadline" else 0.5, label=name)
            for name, color in (known.legend(page.strips) if page.strips else [])]


def exits_legend(line: Timeline) -> List[Any]:
    """The frequent reasons, and the others."""
    shown = line.reasons[:len(words.EXIT_LIGHT) - 1]
    handles = [Patch(color=words.exit_color(i, T), label=words.printable(f"exit {reason}"))
               for i, reason in enumerate(shown)]
    if len(line.reasons) > len(shown):
        handles.append(Patch(color=words.exit_color(99, T), label="other exits"))
    return handles


def footer(page: Page, y: float, facts: str) -> float:
    """Notes below the plot, from y on; where they end."""
    bucket = words.show_time((page.end - page.start) / BUCKETS, 3)
    notes = [f"{facts}."]
    if page.aggregated:
        notes.append(f"Aggregated into {BUCKETS} buckets of {bucket}, nothing left out "
                     "(height: occupancy; exits and ticks: logarithm of their number, the peak of "
                     f"exits is at the right): {_grouped(page.aggregated)}.")
    for color, lines in ((T.muted, notes), (T.bad, ["! " + c for c in _short(page.line)])):
        for note in lines:
            wrapped = textwrap.wrap(note, 190)
            put(page, -LEFT, y, "\n".join(wrapped), color=color, fontsize=6.8)
            y += 0.13 * len(wrapped) + 0.04
    return y


def _grouped(items: List[str]) -> str:
    """'states of VM 1', 'states of VM 2' -> 'states of VM 1, 2'."""
    groups: Dict[str, List[str]] = {}
    for item in items:
        head, _, last = item.rpartition(" ")
        groups.setdefault(head, []).append(last)
    return "; ".join(f"{head} {', '.join(lasts)}" for head, lasts in groups.items())


def _short(line: Timeline, most: int = 6) -> List[str]:
    found = words.caveats(line)
    more = [f"and {len(found) - most} more warnings (viz stats lists them)"]
    return found[:most] + (more if len(found) > most else [])
