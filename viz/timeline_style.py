"""Words, units and colours that the static and the interactive timeline share.

The colours of VMs are viz/style.py's; here are those of exit reasons, which must
not be taken for a VM, and the way in which times and ratios are written.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from viz import recorded, requested
from viz.style import PROVENANCE, Theme
from viz.timeline_data import Timeline

# The seven most frequent reasons in order, then one colour for all the others.
EXIT_LIGHT = ("#4c6fff", "#e0457b", "#12a594", "#f5a524", "#7c3aed", "#84a60b", "#0e7490",
              "#8b95a1")
EXIT_DARK = ("#8fa8ff", "#ff7aa8", "#3fd6c4", "#ffc35c", "#b794ff", "#b6d94c", "#53c3de",
             "#77818c")
UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "us"), (1, "ns"))
COMPUTED = "computed (from these records, nothing estimated): shares, errors, totals"
SIMULATOR = "simulator"  # the platform of traces without a machine (handouts/formats.md, 10)


def exit_colors(theme: Theme) -> Tuple[str, ...]:
    return EXIT_DARK if theme.name == "dark" else EXIT_LIGHT


def exit_color(place: int, theme: Theme) -> str:
    """The colour of the place-th most frequent reason."""
    colors = exit_colors(theme)
    return colors[min(place, len(colors) - 1)]


def parse_time(text: str) -> int:
    """'250ms', '1.5s' or plain ns -> ns; ValueError in words."""
    for scale, unit in sorted(UNITS, key=lambda u: -len(u[1])):
        if text.endswith(unit):
            return _scaled(text, text[:-len(unit)], scale)
    return _scaled(text, text, 1)


def _scaled(text: str, number: str, scale: int) -> int:
    try:
        value = float(number) * scale
        if 0 <= value < 2**63:
            return round(value)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is not a time such as 250ms, 1.5s or 1000000 (ns)")


def show_time(ns: float, digits: int = 4) -> str:
    """A time with the unit that suits it, `digits` of them significant."""
    for scale, unit in UNITS:
        if abs(ns) >= scale or (unit == "ns" and ns):
            value = ns / scale
            places = max(0, digits - len(str(int(abs(value)))))
            text = f"{value:,.{places}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + f" {unit}"
    return "0"


def show_percent(fraction: Optional[float], sign: bool = False) -> str:
    if fraction is None:
        return "unknown"
    tenths = round(1000 * fraction) / 10 + 0.0  # no "-0.0"
    return f"{tenths:{'+' if sign and tenths else ''}.1f} %"


def show_counts(counts: Dict[str, int], most: int = 3) -> str:
    """'IO 60 %, HLT 30 %, 4 others 10 %' of a dict sorted by frequency."""
    total = sum(counts.values())
    if not total:
        return ""
    items = sorted(counts.items(), key=lambda item: -item[1])
    if len(items) > most + 1:
        rest = sum(n for _, n in items[most:])
        items = items[:most] + [(f"{len(items) - most} others", rest)]
    return ", ".join(f"{word} {100 * n / total:.3g} %".replace(" ", "\N{NO-BREAK SPACE}")
                     for word, n in items)


def plural(count: int, what: str) -> str:
    """plural(1, "exit") -> '1 exit', plural(1200, "exit") -> '1,200 exits'."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def printable(text: str) -> str:
    """A guest's or a damaged trace's text without what SVG forbids: control characters."""
    return "".join(c if c.isprintable() or c in "\n\N{NO-BREAK SPACE}" else "?" for c in text)


def asked_rule(line: Timeline) -> str:
    """How the requested shares come about, in words."""
    part = requested.rule(line.scheduler, line.requests)
    return (f"asked: {part} for each VM that exists, blocked or not; shares: of the time from "
            "the scheduler's first decision on; beside a lane, asked and error stand only "
            "where no VM blocked or ended early")


def sources(line: Timeline) -> str:
    """Where the facts come from."""
    if line.trace.header.platform == SIMULATOR:
        return (f"modelled ({PROVENANCE['modelled']}; it is the scheduler's own code that decides): "
                f"states, decisions; {COMPUTED}")
    return f"observed ({PROVENANCE['observed']}): states, decisions, exits, ticks; {COMPUTED}"


def subtitle(line: Timeline) -> str:
    header = line.trace.header
    words = [header.platform, header.cmdline, f"seed {header.seed:#x}",
             f"nonce {header.nonce:#x}", f"build {header.build_id[:12]}"]
    return "  ·  ".join(word for word in words if word.strip())


def caveats(line: Timeline) -> List[str]:
    """What the trace lacks: for the picture, so nobody takes a part for the whole."""
    result = [f"panic at {show_time(mark.ns, 9)}: {mark.text}"
              for mark in line.marks if mark.kind == "panic"]
    if line.trace.dropped:
        result.append(f"{line.trace.dropped:,} records did not fit the trace buffer: the lanes "
                      "are unknown from the moment at which it was full, and totals "
                      "count nothing there")
    missing = recorded.remark(line.trace)
    result += [missing] if missing else []
    if line.names and not len(line.picks.ns) and "sched" not in line.left_out:
        result.append("no scheduling decision in this trace: who ran is not known")
    return result + [w for w in line.trace.warnings
                     if "was full" not in w and "no scheduling decision" not in w]
