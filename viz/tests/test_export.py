"""Exports: JSON that a Trace Event reader takes, CSV that holds every record."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import pytest

from viz.export import write_chrome, write_csv
from viz.stats import compute
from viz.trace import TraceError


@pytest.fixture(scope="module")
def events(run_trace):
    out = io.StringIO()
    write_chrome(run_trace, out)
    return json.loads(out.getvalue())["traceEvents"]


def test_every_event_has_what_the_format_demands(events):
    for event in events:
        assert event["ph"] in "XiCM" and isinstance(event["pid"], int)
        assert isinstance(event["tid"], int) and event["name"]
        if event["ph"] != "M":
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(v, int) for v in event["args"].values())


def test_the_durations_are_the_run_times(events, run_trace):
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    for vm in compute(run_trace).vms:
        pid = next(pid for pid, name in names.items() if name == f"VM {vm.vm} {vm.name}")
        for kind, expected in (("running", vm.run_ns), ("in guest", vm.guest_ns),
                               ("blocked", vm.blocked_ns)):
            total = sum(e["dur"] for e in events
                        if e["ph"] == "X" and e["pid"] == pid and e["name"] == kind)
            assert round(total * 1000) == expected
    assert sum(vm.blocked_ns for vm in compute(run_trace).vms) > 0


def test_durations_of_one_track_nest(events):
    """A viewer draws a track as a stack: each duration lies in the one it begins in."""
    tracks = {}
    for event in events:
        if event["ph"] == "X":
            start = round(event["ts"] * 1000)
            span = (start, start + round(event["dur"] * 1000))
            tracks.setdefault((event["pid"], event["tid"]), []).append(span)
    for spans in tracks.values():
        open_ends = []
        for start, end in sorted(spans, key=lambda s: (s[0], -s[1])):
            while open_ends and open_ends[-1] <= start:
                open_ends.pop()
            assert not open_ends or end <= open_ends[-1]
            open_ends.append(end)


def test_every_record_but_entries_is_an_instant(events, run_trace):
    count = sum(1 for e in events if e["ph"] == "i")
    assert count == len(run_trace) - len(run_trace.select("entry"))
    exits = Counter(e["name"] for e in events if e["ph"] == "i" and e["name"].startswith("exit "))
    assert exits == Counter(f"exit {word}" for word in run_trace.select("exit").word("reason"))
    why = [e["args"]["why"] for e in events if e["name"] == "sched_pick"]
    assert why == run_trace.select("sched_pick").word("why")


def test_counters_follow_the_totals(events, run_trace):
    last = [e for e in events if e["ph"] == "C" and e["pid"] == 1001][-1]["args"]
    ticks = compute(run_trace).vms[0].ticks
    assert last == {name: ticks[name] for name in ("delivered", "backlog", "discarded")}


def read_csv(trace, event=None):
    out = io.StringIO()
    write_csv(trace, out, event)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_csv_holds_every_record_in_order(run_trace):
    rows = read_csv(run_trace)
    assert len(rows) == len(run_trace)
    assert [int(row["ns"]) for row in rows] == run_trace.ns.tolist()
    create = next(row for row in rows if row["event"] == "vm_create")
    assert create["fields"].endswith("args=ticker -- hz=100")


def test_csv_of_one_event_has_a_column_a_field(run_trace):
    rows, exits = read_csv(run_trace, "exit"), run_trace.select("exit")
    assert [row["reason"] for row in rows] == exits.word("reason")
    assert [int(row["rip"], 16) for row in rows] == exits["rip"].tolist()
    assert read_csv(run_trace, "check")[0]["name"] == "ticks"


def test_an_unknown_event_is_refused_with_the_known_ones(run_trace, viz, run_path):
    with pytest.raises(TraceError, match="no event 'exix'.*exit"):
        read_csv(run_trace, "exix")
    done = viz("export", run_path, "--to", "csv", "--event", "exix")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stdout == ""


def test_the_format_follows_the_ending(viz, run_path, tmp_path):
    for name, start in (("t.csv", "ns,event"), ("t.json", '{"displayTimeUnit"')):
        assert viz("export", run_path, "-o", tmp_path / name).returncode == 0
        assert (tmp_path / name).read_text().startswith(start)
