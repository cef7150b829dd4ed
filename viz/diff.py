"""Where two traces part, in words.

Compares header and records in order and explains the first difference: which
record, when, which field, what came before on both sides, and whether one side
merely has something more.  Events are matched by name, so traces of different
kernels can be compared.  What it does not do: align the rest of the traces.
"""

from __future__ import annotations

import argparse
from typing import Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from viz.stats import format_ns, table, write_text
from viz.trace import WHERE, Trace, announce, load

CHUNK = 1 << 16
LOOK_AHEAD = 64  # records searched for the place where the traces meet again
MEET = 6  # records that must agree there
HEADER_FIELDS = {"nonce": ("nonce",), "seed": ("seed",), "build": ("build_id",),
                 "platform": ("platform",), "cmdline": ("cmdline",),
                 "clock": ("clock_hz", "tsc_base")}
IGNORABLE = (*HEADER_FIELDS, "time")


class Point(NamedTuple):
    """The first record at which the traces differ, and how."""

    at: int
    reasons: List[str]


def describe(trace: Trace, i: int) -> str:
    """Record `i` in one line: who, event, fields."""
    record = trace.record(i)
    event = trace.schema.by_number.get(int(trace.event[i]))
    types = dict(event.fields) if event else {}
    words = [f"{name}={trace.schema.show(kind, int(value)) if isinstance(value, int) else value}"
             for name, kind in types.items() for value in [record[name]]]
    text = [repr(record["text"])] if "text" in record else []
    who = f"VM {int(trace.vm[i])}" if trace.vm[i] else "host"
    return " ".join([who, str(record["event"]), *words, *text])


def header_differences(a: Trace, b: Trace, ignore: Tuple[str, ...]) -> List[str]:
    """A sentence for each field of the headers that differs."""
    result = []
    for group, names in HEADER_FIELDS.items():
        for name in names if group not in ignore else ():
            one, two = getattr(a.header, name), getattr(b.header, name)
            if one != two:
                show = hex if name in ("nonce", "seed") else repr
                result.append(f"{name}: {show(one)} in A, {show(two)} in B")
    return result + _schema_differences(a, b)


def _schema_differences(a: Trace, b: Trace) -> List[str]:
    result = []
    for one, two, side in ((a, b, "A"), (b, a, "B")):
        extra = sorted(set(one.schema.by_name) - set(two.schema.by_name))
        if extra:
            result.append(f"schema: only {side} knows the events {', '.join(extra)}")
    for name in sorted(set(a.schema.by_name) & set(b.schema.by_name)):
        if a.schema.by_name[name].fields != b.schema.by_name[name].fields:
            result.append(f"schema: event {name} has different fields")
    return result


class Comparison:
    """Two traces, compared record by record."""

    def __init__(self, a: Trace, b: Trace, ignore: Tuple[str, ...] = ()) -> None:
        self.a, self.b, self.with_time = a, b, "time" not in ignore
        self.common = min(len(a), len(b))
        self.headers = header_differences(a, b, ignore)
        self._b_events = self._translation()
        self.point = self._find()

    @property
    def same(self) -> bool:
        return self.point is None and not self.headers

    def _translation(self) -> np.ndarray:
        """B's event numbers as A's, by name; unknown ones become 0."""
        result = np.arange(65536, dtype=np.uint16)
        for event in self.b.schema.by_number.values():
            same = self.a.schema.by_name.get(event.name)
            result[event.number] = same.number if same else 0
        return result

    def _find(self) -> Optional[Point]:
        for low in range(0, self.common, CHUNK):
            index = np.arange(low, min(low + CHUNK, self.common))
            differ = self._heads_differ(index) | self._payloads_differ(index)
            if differ.any():
                i = low + int(np.argmax(differ))
                return Point(i, self._reasons(i))
        if len(self.a) != len(self.b):
            return Point(self.common, [])
        return None

    def _heads_differ(self, index: np.ndarray) -> np.ndarray:
        a, b = self.a, self.b
        differ = a.event[index] != self._b_events[b.event[index]]
        for name in ("vm", "vcpu", "pcpu", "words", "flags") + ("ns",) * self.with_time:
            differ |= getattr(a, name)[index] != getattr(b, name)[index]
        return differ

    def _payloads_differ(self, index: np.ndarray) -> np.ndarray:
        a, b = self.a, self.b
        differ = np.zeros(len(index), bool)
        left = np.flatnonzero((a.words[index] > 0) | (b.words[index] > 0))
        k = 0
        while len(left):
            part = index[left]
            differ[left] |= a.payload_word(part, k) != b.payload_word(part, k)
            k += 1
            left = left[(a.words[part] > k) | (b.words[part] > k)]
        return differ

    def _reasons(self, i: int) -> List[str]:
        one, two = self.a.record(i), self.b.record(i)
        if one["event"] != two["event"]:
            return [f"the event: A has {describe(self.a, i)}", f"B has {describe(self.b, i)}"]
        event = self.a.schema.by_name.get(str(one["event"]))
        types = {"ns": "ns", **(dict(event.fields) if event else {})}
        result = []
        for name in one:
            if one[name] == two.get(name) or (name == "ns" and not self.with_time):
                continue
            show = [self.a.schema.show(types.get(name, "dec"), v) if isinstance(v, int) else str(v)
                    for v in (one[name], two.get(name, "nothing"))]
            label = "the time (ns)" if name == "ns" else name
            result.append(f"{label}: {show[0]} in A, {show[1]} in B")
        return result or ["words that the schema does not name"]

    def meeting(self) -> Optional[Tuple[int, int]]:
        """(k, l): A's k and B's l records more after which both agree again, times apart."""
        if self.point is None:
            return None
        i = self.point.at
        for total in range(1, LOOK_AHEAD):
            for k in range(total + 1):
                if self._agree(i + k, i + total - k):
                    return k, total - k
        return None

    def _agree(self, i: int, j: int) -> bool:
        left = len(self.a) - i, len(self.b) - j
        if min(left) < MEET and left[0] != left[1] or min(left) < 0:
            return False
        a, b = slice(i, i + min(MEET, *left)), slice(j, j + min(MEET, *left))
        return bool((self.a.event[a] == self._b_events[self.b.event[b]]).all()
                    and (self.a.vm[a] == self.b.vm[b]).all())


def explain(comparison: Comparison, width: int = 60, context: int = 6) -> str:
    """The whole comparison as text."""
    a, b, point = comparison.a, comparison.b, comparison.point
    parts = [f"A: {a.path} ({len(a)} records)", f"B: {b.path} ({len(b)} records)"]
    if comparison.headers:
        parts += ["", "The headers differ:", *(f"  {line}" for line in comparison.headers)]
    if point is None:
        times = "" if comparison.with_time else " (times not compared)"
        parts += ["", f"All {len(a)} records are the same{times}."]
        return "\n".join(parts)
    parts += ["", _where(comparison), *_what(comparison), "",
              *side_by_side(comparison, width, context), "", *_counts(a, b)]
    return "\n".join(parts)


def _where(comparison: Comparison) -> str:
    i = comparison.point.at if comparison.point else 0
    if i == 0:
        return "The traces differ from their first record on."
    when = format_ns(int(comparison.a.ns[i - 1]))
    return (f"The first {i} records are the same, up to {when} of virtual time "
            f"({int(comparison.a.ns[i - 1])} ns). Record {i + 1} is the first that differs.")


def _what(comparison: Comparison) -> List[str]:
    a, b, point = comparison.a, comparison.b, comparison.point
    assert point is not None
    i = point.at
    for trace, other, mine, its in ((a, b, "A", "B"), (b, a, "B", "A")):
        if i == len(trace):
            return [f"There {mine} ends; {its} goes on for {len(other) - i} records, "
                    f"until {format_ns(other.t1)}. Its next one: {describe(other, i)}."]
    lines = [f"  {reason}" for reason in point.reasons]
    meeting = comparison.meeting()
    if meeting == (1, 1) and i + 1 == len(a):
        lines.append("It is the last record of both.")
    elif meeting == (1, 1):
        lines.append("After that the same events follow on both sides, for a while at least.")
    elif meeting:
        more = " and ".join(f"{side} has {count} more"
                            for side, count in zip("AB", meeting) if count)
        lines.append(f"Then {more} before the same events follow on both sides.")
    else:
        lines.append(f"The next {LOOK_AHEAD} records do not bring the traces together again.")
    return lines


def side_by_side(comparison: Comparison, width: int, context: int) -> List[str]:
    """Records around the first difference, A left, B right: '>' there, '|' at later ones."""
    i = comparison.point.at if comparison.point else 0
    lines = [f"{'':>10}  {'A':<{width}}     B"]
    for k in range(max(0, i - context), i + context // 2 + 1):
        cells = [_cell(trace, k, width) for trace in (comparison.a, comparison.b)]
        if not any(cells):
            break
        differ = describe_at(comparison.a, k) != describe_at(comparison.b, k)
        mark = ">" if k == i else "|" if differ else " "
        lines.append(f"{k + 1:>10}  {cells[0]:<{width}}  {mark}  {cells[1]}".rstrip())
    return lines


def describe_at(trace: Trace, i: int) -> str:
    """Record `i` with its time, on one line; '' past the end."""
    if i >= len(trace):
        return ""
    return " ".join(f"{int(trace.ns[i])} {describe(trace, i)}".split())


def _cell(trace: Trace, i: int, width: int) -> str:
    text = describe_at(trace, i)
    return text if len(text) <= width else text[:width - 3] + "..."


def _counts(a: Trace, b: Trace) -> List[str]:
    """How often each event occurs where the numbers differ."""
    totals: Dict[str, List[int]] = {}
    for side, trace in enumerate((a, b)):
        for number, count in zip(*np.unique(trace.event, return_counts=True)):
            totals.setdefault(trace.schema.event_name(number), [0, 0])[side] = int(count)
    rows = [[name, str(x), str(y), f"{y - x:+d}"] for name, (x, y) in sorted(totals.items())
            if x != y]
    same = len(totals) - len(rows)
    if not rows:
        return [f"Each of the {same} kinds of event occurs equally often in both."]
    return [table([["event", "A", "B", "difference"], *rows]),
            f"({same} other kinds of event occur equally often.)"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help=f"one run: {WHERE}")
    parser.add_argument("b", metavar="B", help="the other one, the same")
    parser.add_argument("--ignore", metavar="WHAT", nargs="+", action="extend", default=[],
                        choices=IGNORABLE,
                        help="what may differ: " + ", ".join(IGNORABLE))
    parser.add_argument("--width", type=int, default=60, help="of each column (default 60)")
    parser.add_argument("--context", type=int, default=6, help="records shown before (default 6)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE (default: stdout)")


def run(args: argparse.Namespace) -> int:
    a, b = load(args.a), load(args.b)
    comparison = Comparison(a, b, tuple(args.ignore))
    text = explain(comparison, max(20, args.width), max(0, args.context))
    announce(a)
    announce(b)
    write_text(args.output, text + "\n")
    return 0 if comparison.same else 1
