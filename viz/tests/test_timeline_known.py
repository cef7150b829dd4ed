"""What the scheduler knows, in the still timeline: values worked out by hand, and that they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from viz import timeline, timeline_known
from viz.tests.synth import TraceWriter
from viz.timeline_data import extract
from viz.trace import load


def traced(path: Path, scheduler: str, records: int = 2) -> Path:
    """VM 1 runs from 0 to 600 and from 800; a record at 0 and each 1000 / records."""
    w = TraceWriter(path)
    w.emit("sched_start", ns=0, name=scheduler)
    w.emit("vm_create", vm=1, ns=0, args="guest")
    w.emit("sched_pick", vm=1, ns=0, why="FIRST")
    for i in range(records):
        ns = i * 1000 // records
        if scheduler == "credit":
            w.emit("sched_credit", vm=1, ns=ns, pri="OVER", credit=2**64 - 40 + i, parked=i % 2)
        elif scheduler == "bvt":
            w.emit("sched_bvt", vm=1, ns=ns, avt=i, evt=2**64 - 100, svt=i, warped=1)
        else:
            w.emit("sched_sedf", vm=1, ns=ns, deadline=500, slice=300, used=100 * i,
                   **{"as": "L1"})
    w.emit("note", ns=1000)
    return w.save()


@pytest.mark.parametrize("scheduler, values, bands, low, high", [
    ("credit", [-40, -39], [2, 3], -300, 300), ("bvt", [-100, -101], [1, 1], -101, 1),
    ("sedf", [300, 200], [3, 3], 0, 300)])
def test_values_and_bands(tmp_path, scheduler, values, bands, low, high):
    strips = timeline_known.extract(extract(load(str(traced(tmp_path / "t", scheduler)))))
    assert strips is not None and (strips.low, strips.high) == (low, high)
    known = strips.of[1]
    assert known.value.tolist() == values and known.band.tolist() == bands
    assert known.ns.tolist() == [0, 500]
    assert known.deadline.tolist() == ([500, 500] if scheduler == "sedf" else [0, 0])


def test_round_robin_has_none(tmp_path):
    w = TraceWriter(tmp_path / "t")
    w.emit("sched_start", ns=0, name="rr").emit("vm_create", vm=1, args="a").emit("note", ns=9)
    assert timeline_known.extract(extract(load(str(w.save())))) is None


@pytest.mark.parametrize("scheduler, shown", [
    ("credit", ["credits", "BOOST", "parked"]), ("bvt", ["evt - svt", "warped"]),
    ("sedf", ["slice left", "extra time L1", "deadline"])])
def test_the_picture_says_it(tmp_path, scheduler, shown):
    timeline.draw(load(str(traced(tmp_path / "t", scheduler))), str(tmp_path / "t.svg"))
    svg = (tmp_path / "t.svg").read_text()
    assert all(f">{word}<" in svg for word in shown)


@pytest.mark.parametrize("traces", [1, 2])
def test_all_records_are_gone_through_once(tmp_path, monkeypatch, traces):
    """Not again for each VM's lane."""
    calls, real = [], timeline_known.extract
    monkeypatch.setattr(timeline_known, "extract", lambda line: calls.append(line) or real(line))
    path = traced(tmp_path / "t", "credit")
    timeline.draw_together([load(str(path)) for _ in range(traces)], str(tmp_path / "t.svg"))
    assert len(calls) == traces


def test_many_records_are_aggregated_and_the_picture_says_so(tmp_path):
    many = timeline_known.MOST_RECORDS + 10
    w = TraceWriter(tmp_path / "t")
    w.emit("sched_start", ns=0, name="credit").emit("vm_create", vm=1, ns=0, args="guest")
    w.emit("sched_pick", vm=1, ns=0)
    for i in range(many):
        w.emit("sched_credit", vm=1, ns=i * 10, credit=i % 300)
    timeline.draw(load(str(w.save())), str(tmp_path / "t.svg"))
    assert "credits of VM 1" in (tmp_path / "t.svg").read_text()
