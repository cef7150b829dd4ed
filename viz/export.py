"""A trace for other programs: Chrome/Perfetto JSON, or CSV.

Both are written as they are made, a chunk of records at a time, so memory does
not grow with the trace.  JSON follows the "Trace Event Format" that Perfetto
and chrome://tracing load: runs, blocked times and times in the guest are duration
events, timer totals are counters, and every record is an instant, except the
entries: those are the starts of the durations "in guest".
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, TextIO, Tuple

import numpy as np

from viz import recorded
from viz.schema import HEX_TYPES, Event, Schema
from viz.spans import Spans, blocked_spans, guest_spans, run_spans
from viz.stats import TIMER_EVENTS, TOTALS
from viz.trace import WHERE, Trace, TraceError, announce, load

CHUNK = 20_000
CPU_PROCESS, VM_PROCESS = 1, 1000  # VM n is the process VM_PROCESS + n
FORMATS = ("perfetto", "chrome", "csv")
Row = Tuple[int, Optional[Event], List[Any], str]  # position, event, values, text
Show = Callable[[str, int], Any]


def rows(trace: Trace, index: np.ndarray, show: Show) -> Iterator[Row]:
    """The records at `index` in that order, each payload value passed through `show`."""
    for low in range(0, len(index), CHUNK):
        yield from _chunk(trace, index[low:low + CHUNK], show)


def _chunk(trace: Trace, part: np.ndarray, show: Show) -> List[Row]:
    result: List[Row] = [(0, None, [], "")] * len(part)
    numbers = trace.event[part]
    for number in np.unique(numbers).tolist():
        where = np.flatnonzero(numbers == number)
        index, event = part[where], trace.schema.by_number.get(number)
        if event is None:
            columns, texts = [], [""] * len(index)
        else:
            columns = [[show(kind, v) for v in trace.payload_word(index, k).tolist()]
                       for k, (_, kind) in enumerate(event.fields)]
            texts = [trace.text(i) for i in index.tolist()] if event.text else [""] * len(index)
        for j, (place, i) in enumerate(zip(where.tolist(), index.tolist())):
            result[place] = (i, event, [column[j] for column in columns], texts[j])
    return result


def json_show(schema: Schema) -> Show:
    """Values for JSON: words for enums, hex strings for addresses, numbers else."""
    def show(kind: str, value: int) -> Any:
        if kind in schema.enums or kind in HEX_TYPES:
            return schema.show(kind, value)
        return value
    return show


def write_chrome(trace: Trace, out: TextIO) -> None:
    """The whole trace as Trace Event JSON, one event a line."""
    out.write('{"displayTimeUnit": "ns", "otherData": %s,\n"traceEvents": [\n'
              % json.dumps(_facts(trace)))
    separator = ""
    encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    for event in _chrome_events(trace):
        out.write(separator + encode(event))
        separator = ",\n"
    out.write("\n]}\n")


def _facts(trace: Trace) -> Dict[str, Any]:
    header = trace.header
    return {"platform": header.platform, "cmdline": header.cmdline, "seed": hex(header.seed),
            "nonce": hex(header.nonce), "build_id": header.build_id, "dropped": trace.dropped,
            "warnings": trace.warnings}


def _chrome_events(trace: Trace) -> Iterator[Dict[str, Any]]:
    names = trace.vms()
    yield from _track_names(trace, names)
    runs = run_spans(trace)
    yield from _durations(runs, lambda vm: f"VM {vm} {names.get(vm, '')}".strip(), on_cpu=True)
    yield from _durations(runs, lambda vm: "running")
    yield from _durations(blocked_spans(trace), lambda vm: "blocked")
    yield from _durations(guest_spans(trace), lambda vm: "in guest")
    yield from _instants(trace)


def _track_names(trace: Trace, names: Dict[int, str]) -> Iterator[Dict[str, Any]]:
    def name(what: str, pid: int, tid: int, text: str) -> Dict[str, Any]:
        return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": text}}

    yield name("process_name", CPU_PROCESS, 0, "physical CPUs")
    for cpu in np.unique(trace.pcpu).tolist():
        yield name("thread_name", CPU_PROCESS, cpu, f"pCPU {cpu}")
    for vm, text in names.items():
        yield name("process_name", VM_PROCESS + vm, 0, f"VM {vm} {text}")
        yield name("thread_name", VM_PROCESS + vm, 0, "vCPU 0")


def _durations(spans: Spans, name: Callable[[int], str],
               on_cpu: bool = False) -> Iterator[Dict[str, Any]]:
    for low in range(0, len(spans.start), CHUNK):
        part = [column[low:low + CHUNK].tolist() for column in spans]
        for start, end, vm, cpu in zip(*part):
            if vm:
                pid, tid = (CPU_PROCESS, cpu) if on_cpu else (VM_PROCESS + vm, 0)
                yield {"ph": "X", "name": name(vm), "pid": pid, "tid": tid, "ts": start / 1000,
                       "dur": (end - start) / 1000}


def _instants(trace: Trace) -> Iterator[Dict[str, Any]]:
    entry = trace.schema.by_name.get("entry")
    index = np.flatnonzero(trace.event != (entry.number if entry else 0))
    for i, event, values, text in rows(trace, index, json_show(trace.schema)):
        name = event.name if event else trace.schema.event_name(int(trace.event[i]))
        vm, ns = int(trace.vm[i]), int(trace.ns[i])
        args: Dict[str, Any] = {"chosen": vm} if name == "sched_pick" else {}
        args.update(zip((field for field, _ in event.fields) if event else (), values))
        if event and event.text:
            args[event.text] = text
        if name == "exit":
            name = f"exit {args.get('reason', '')}"
        of_cpu = vm == 0 or name == "sched_pick"
        pid, tid = (CPU_PROCESS, int(trace.pcpu[i])) if of_cpu else \
            (VM_PROCESS + vm, int(trace.vcpu[i]))
        yield {"ph": "i", "s": "t", "name": name, "pid": pid, "tid": tid, "ts": ns / 1000,
               "args": args}
        if name in TIMER_EVENTS:
            yield {"ph": "C", "name": "ticks", "pid": pid, "tid": tid, "ts": ns / 1000,
                   "args": {key: args[key] for key in TOTALS[1:] if key in args}}


def write_csv(trace: Trace, out: TextIO, event_name: Optional[str]) -> None:
    """All records with their fields in one column, or one event with a column each."""
    writer = csv.writer(out, lineterminator="\n")
    if event_name is None:
        writer.writerow(["ns", "event", "vm", "vcpu", "pcpu", "fields"])
        index = np.arange(len(trace))
    else:
        index = trace.select(event_name).index
        chosen = _known_event(trace, event_name)
        writer.writerow(["ns", "vm", "vcpu", "pcpu", *(name for name, _ in chosen.fields)]
                        + ([chosen.text] if chosen.text else []))
    for i, event, values, text in rows(trace, index, trace.schema.show):
        place = [int(trace.vm[i]), int(trace.vcpu[i]), int(trace.pcpu[i])]
        if event_name is not None:
            writer.writerow([int(trace.ns[i]), *place, *values]
                            + ([text] if event and event.text else []))
            continue
        name = event.name if event else trace.schema.event_name(int(trace.event[i]))
        writer.writerow([int(trace.ns[i]), name, *place, _joined(event, values, text)])


def _joined(event: Optional[Event], values: List[Any], text: str) -> str:
    if event is None:
        return ""
    words = [f"{name}={value}" for (name, _), value in zip(event.fields, values)]
    return " ".join(words + ([f"{event.text}={text}"] if event.text else []))


def _known_event(trace: Trace, name: str) -> Event:
    event = trace.schema.by_name.get(name)
    if event is None:
        known = ", ".join(sorted(trace.schema.by_name))
        raise TraceError(f"{trace.path}: no event {name!r}; the trace knows {known}")
    return event


@contextmanager
def opened(path: Optional[str]) -> Iterator[TextIO]:
    """The file `path` for writing, or stdout without one."""
    if not path:
        yield sys.stdout
        return
    with io.open(path, "w", encoding="utf-8", newline="") as file:
        yield file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help=WHERE)
    parser.add_argument("--to", choices=FORMATS,
                        help="perfetto and chrome are the same JSON (default: by FILE's ending)")
    parser.add_argument("--event", metavar="NAME", help="CSV: only this event, a column a field")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE (default: stdout)")


def run(args: argparse.Namespace) -> int:
    target = args.to or ("csv" if (args.output or "").endswith(".csv") else "perfetto")
    if args.event and target != "csv":
        raise TraceError("--event goes with --to csv only")
    trace = load(args.trace)
    if args.event:
        _known_event(trace, args.event)
    with opened(args.output) as out:
        if target == "csv":
            write_csv(trace, out, args.event)
        else:
            write_chrome(trace, out)
    announce(trace)
    missing = recorded.remark(trace)
    if missing:
        print(f"{trace.path}: {missing}", file=sys.stderr)
    return 0
