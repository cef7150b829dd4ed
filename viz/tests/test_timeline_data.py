"""The timeline's lanes and totals, against values worked out by hand and by brute force."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import pytest

from viz import timeline_data as data
from viz import timeline_totals as sums
from viz.tests.synth import TraceWriter, three_vms
from viz.timeline_data import ABSENT, BLOCKED, HOST, LOST, NOBODY, READY, RUN, UNKNOWN, Timeline
from viz.timeline_style import asked_rule as words_rule
from viz.trace import load

DEFAULTS = {"weight": 256, "cap": 0, "slice": 5, "period": 100, "mcu_adv": 10}


def small(path: Path, **options) -> TraceWriter:
    """VM 1 runs 100..400 and 700..1000, VM 2 400..700; VM 2 is blocked 700..800."""
    w = TraceWriter(path, **options)
    w.emit("sched_start", ns=0, slice=300, name="rr")
    w.emit("vm_create", vm=1, ns=0, args="ticker -- hz=100")
    w.emit("vm_create", vm=2, ns=0, args="greedy")
    w.emit("sched_pick", vm=1, ns=100, why="FIRST", until=400, runnable=2)
    w.emit("exit", vm=1, ns=400, reason="HLT")
    w.emit("sched_pick", vm=2, ns=400, prev=1, why="SLICE_END", until=700, runnable=2)
    w.emit("timer_due", vm=1, ns=500, ticks=3, due=3, backlog=3)
    w.emit("exit", vm=2, ns=700, reason="IO")
    w.emit("sched_block", vm=2, ns=700, why="HLT")
    w.emit("sched_pick", vm=1, ns=700, prev=2, why="BLOCKED", until=1000, runnable=1)
    w.emit("timer_delivered", vm=1, ns=750, ticks=1, due=3, delivered=1, backlog=2)
    w.emit("timer_dropped", vm=1, ns=760, ticks=2, due=3, delivered=1, discarded=2)
    w.emit("sched_wake", vm=2, ns=800, why="INTERRUPT")
    w.emit("exit", vm=1, ns=1000, reason="IO")
    return w


def line_of(writer: TraceWriter) -> Timeline:
    return data.extract(load(str(writer.save())))


def spans(lane: data.Lane) -> List[Tuple[int, int]]:
    """(start, state) of each span that lasts."""
    return [(int(a), int(s)) for a, b, s in zip(lane.edge, lane.edge[1:], lane.state) if b > a]


def test_states_by_hand(tmp_path: Path) -> None:
    line = line_of(small(tmp_path / "t"))
    assert spans(line.vms[1]) == [(0, READY), (100, RUN), (400, READY), (700, RUN)]
    assert spans(line.vms[2]) == [(0, READY), (400, RUN), (700, BLOCKED), (800, READY)]
    assert spans(line.pcpus[0]) == [(0, NOBODY), (100, 1), (400, 2), (700, 1)]


def test_totals_by_hand(tmp_path: Path) -> None:
    line = line_of(small(tmp_path / "t"))
    one, two = sums.totals(line, 0, 1000)
    assert (one.run, one.ready, one.blocked) == (600, 400, 0)
    assert (two.run, two.ready, two.blocked) == (300, 600, 100)
    assert one.exits == {"IO": 1, "HLT": 1} and two.exits == {"IO": 1}
    assert one.ticks == {"due": 3, "delivered": 1, "dropped": 2}
    assert one.picks == {"FIRST": 1, "BLOCKED": 1} and two.picks == {"SLICE_END": 1}
    assert (one.share, one.asked) == (pytest.approx(600 / 900), pytest.approx(0.5))
    assert one.error == pytest.approx(1 / 3) and two.error == pytest.approx(-1 / 3)
    assert [row.share for row in sums.totals(line, 0, 100)] == [None, None]  # not decided yet


def test_an_error_says_something_only_where_nobody_gave_up_its_share(tmp_path: Path) -> None:
    line = line_of(small(tmp_path / "t"))
    assert not sums.contested(sums.totals(line, 0, 1000))   # VM 2 blocked for a tenth
    assert sums.contested(sums.totals(line, 0, 700))
    assert not sums.contested(sums.totals(line, 0, 700)[:1])
    assert not sums.contested(sums.totals(line, 0, 100))    # nothing was decided yet
    w = TraceWriter(tmp_path / "ends")
    for vm in (1, 2):
        w.emit("vm_create", vm=vm, ns=0, args="a")
    w.emit("sched_pick", vm=1, ns=0).emit("vm_end", vm=1, ns=100, how="EXITED")
    w.emit("sched_pick", vm=2, ns=100).emit("note", ns=1000)
    assert not sums.contested(sums.totals(line_of(w), 0, 1000))     # VM 1's turn was all its life


def test_a_span_is_half_open_but_for_the_last_moment(tmp_path: Path) -> None:
    line = line_of(small(tmp_path / "t"))
    assert sums.totals(line, 400, 700)[0].exits == {"HLT": 1}
    assert sums.totals(line, 100, 400)[0].exits == {}
    assert sums.totals(line, 700, 1000)[0].exits == {"IO": 1}
    part = sums.totals(line, 300, 750)[0]
    assert (part.run, part.ticks["due"], part.ticks["delivered"]) == (150, 3, 0)


def test_a_vm_asks_only_while_it_exists(tmp_path: Path) -> None:
    w = small(tmp_path / "t")
    w.emit("vm_end", vm=1, ns=1000, how="EXITED", why="done")
    w.emit("sched_pick", vm=2, ns=1000, prev=1, why="ENDED")
    w.emit("note", ns=2000)
    one, two = sums.totals(line_of(w), 0, 2000)
    assert one.asked == pytest.approx(450 / 1900) and two.asked == pytest.approx(1450 / 1900)
    assert sums.totals(line_of(w), 1500, 2000)[0].error is None


@pytest.mark.parametrize("scheduler, one, two, asked", [
    ("rr", {"weight": 768}, {}, [0.5, 0.5]),
    ("credit", {"weight": 768}, {}, [0.75, 0.25]),
    ("credit", {"cap": 10}, {}, [0.1, 0.9]),
    ("credit", {"cap": 10}, {"cap": 30}, [0.1, 0.3]),
    ("bvt", {"mcu_adv": 30}, {"weight": 9}, [0.25, 0.75]),
    ("sedf", {"slice": 10, "period": 100}, {"slice": 15, "period": 20}, [0.1, 0.75])])
def test_each_scheduler_is_asked_in_its_own_terms(tmp_path: Path, scheduler: str,
                                                  one: Dict[str, int], two: Dict[str, int],
                                                  asked: List[float]) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("sched_start", ns=0, name=scheduler)
    for vm, words in ((1, one), (2, two)):
        w.emit("vm_create", vm=vm, args=f"guest{vm}")
        w.emit("sched_add", vm=vm, **{**DEFAULTS, **words})
    w.emit("sched_pick", vm=1, ns=0)
    w.emit("note", ns=1000)
    line = line_of(w)
    assert [row.asked for row in sums.totals(line, 0, 1000)] == pytest.approx(asked)
    rule = words_rule(line)
    assert all(f"{100 * part:.3g} %" in rule for part in asked) or scheduler != "sedf"
    assert ("mcu_adv" in rule) == (scheduler == "bvt") and ("cap" in rule) == ("cap" in one)


def test_a_change_counts_from_then_on(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("sched_start", ns=0, name="credit")
    for vm in (1, 2):
        w.emit("vm_create", vm=vm, args="a")
        w.emit("sched_add", vm=vm, **DEFAULTS)
    w.emit("sched_pick", vm=1, ns=0)
    w.emit("sched_set", vm=1, ns=500, **{**DEFAULTS, "weight": 768})
    w.emit("note", ns=1000)
    line = line_of(w)
    assert [row.asked for row in sums.totals(line, 0, 500)] == [0.5, 0.5]
    assert [row.asked for row in sums.totals(line, 500, 1000)] == [0.75, 0.25]
    assert "as it is changed" in words_rule(line)


def test_two_pcpus_run_two_vms_at_once(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t", cpus=2)
    for vm in (1, 2, 3):
        w.emit("vm_create", vm=vm, ns=0, args=f"guest{vm}")
    w.emit("sched_pick", vm=1, pcpu=0, ns=0)
    w.emit("sched_pick", vm=2, pcpu=1, ns=0)
    w.emit("sched_pick", vm=3, pcpu=0, ns=500, prev=1)
    w.emit("sched_pick", vm=0, pcpu=1, ns=900, prev=2)
    w.emit("note", pcpu=0, ns=1000)
    line = line_of(w)
    rows = sums.totals(line, 0, 1000)
    assert [row.run for row in rows] == [500, 900, 500]
    assert [row.share for row in rows] == [0.25, 0.45, 0.25]
    assert all(row.asked == pytest.approx(1 / 3) for row in rows)


def test_what_follows_dropped_records_is_unknown(tmp_path: Path) -> None:
    w = small(tmp_path / "t")
    w.emit("panic", ns=5000, message="out of frames")
    w.dropped[0] = 7
    line = line_of(w)
    assert spans(line.vms[1])[-1] == (1000, UNKNOWN)
    assert spans(line.pcpus[0])[-1] == (1000, LOST)
    whole = sums.totals(line, 0, 5000)[0]
    assert (whole.run, whole.share) == (600, pytest.approx(600 / 900))
    assert [(m.kind, m.ns, m.text) for m in line.marks][-1] == ("panic", 5000, "out of frames")


def test_a_vm_without_creation_is_there_from_its_first_record(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("note", ns=0)
    w.emit("sched_pick", vm=4, ns=10)
    w.emit("sched_pick", vm=0, ns=30, prev=4, why="IDLE")
    w.emit("note", ns=50)
    assert spans(line_of(w).vms[4]) == [(0, ABSENT), (10, RUN), (30, READY)]


def test_after_a_vm_s_end_the_host_runs(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("vm_create", vm=1, ns=0, args="a").emit("vm_create", vm=2, ns=0, args="b")
    w.emit("sched_pick", vm=1, ns=10).emit("vm_end", vm=1, ns=30, how="TRIPLE_FAULT")
    w.emit("vm_create", vm=1, ns=60, args="a", generation=1).emit("sched_pick", vm=2, ns=80)
    w.emit("note", ns=110)
    line = line_of(w)
    assert spans(line.pcpus[0]) == [(0, NOBODY), (10, 1), (30, HOST), (80, 2)]
    assert spans(line.vms[1]) == [(0, READY), (10, RUN), (30, ABSENT), (60, READY)]
    assert sums.host_time(line, 0, 110) == 50 and sums.pcpu_part(line.pcpus[0], HOST, 0, 110) == 0.5
    assert [row.run for row in sums.totals(line, 0, 110)] == [20, 30]


def test_without_decisions_nobody_is_said_to_wait(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t", cmdline="trace=walks")
    w.emit("vm_create", vm=1, ns=0, args="a").emit("vm_end", vm=1, ns=50).emit("note", ns=90)
    line = line_of(w)
    assert spans(line.vms[1]) == [(0, UNKNOWN), (50, ABSENT)] and "sched" in line.left_out
    (row,) = sums.totals(line, 0, 90)
    assert (row.ready, row.share, row.asked, row.error) == (0, None, None, None)


def brute_force(trace, start: int, end: int) -> Dict[int, Dict[str, int]]:
    """Times in state by stepping through the records, with no array in sight."""
    vms: Dict[int, Dict[str, int]] = {}
    base: Dict[int, str] = {}
    running, now = 0, trace.t0
    for i in range(len(trace)):
        record = trace.record(i)
        for vm, state in base.items():
            state = "run" if vm == running else state
            overlap = min(end, record["ns"]) - max(start, now)
            vms.setdefault(vm, dict(run=0, ready=0, blocked=0, absent=0))[state] += max(0, overlap)
        now, vm = record["ns"], record["vm"]
        change = {"vm_create": "ready", "vm_end": "absent", "sched_block": "blocked",
                  "sched_wake": "ready"}.get(record["event"])
        if change:
            base[vm] = change
        if record["event"] == "sched_pick":
            running = vm
        if record["event"] == "vm_end" and vm == running:
            running = 0
    return vms


@pytest.mark.parametrize("seed", range(12))
def test_totals_equal_brute_force(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = three_vms(tmp_path / "t", ms=60, slice_ms=rng.choice([1, 3, 10]),
                     quantum_us=rng.choice([170, 400]), sleeps=bool(seed % 2), seed=seed)
    trace = load(str(path))
    line = data.extract(trace)
    for _ in range(4):
        start, end = sorted(rng.sample(range(line.start, line.end), 2))
        expected = brute_force(trace, start, end)
        for row in sums.totals(line, start, end):
            want = expected[row.vm]
            assert (row.run, row.ready, row.blocked) == (want["run"], want["ready"],
                                                         want["blocked"])


def test_one_tick_is_seen_beside_thousands() -> None:
    one, many, none = sums.heights(np.array([1, 8000, 0]), 8000)
    assert none == 0 and many == 1 and 0.25 < one < 0.5


def test_buckets_leave_nothing_out(tmp_path: Path) -> None:
    line = data.extract(load(str(three_vms(tmp_path / "t", ms=40, slice_ms=1, sleeps=True))))
    at = sums.edges(line.start, line.end, 37)
    for row in sums.totals(line, line.start, line.end):
        parts = sums.occupancy(line.vms[row.vm], [RUN, READY, BLOCKED], at) * np.diff(at)
        assert parts.sum(axis=1) == pytest.approx([row.run, row.ready, row.blocked])
        exits = sums.counts(line.exits, row.vm, len(line.reasons), at).sum(axis=1)
        assert exits.tolist() == [row.exits.get(reason, 0) for reason in line.reasons]
        ticks = sums.counts(line.ticks, row.vm, 3, at).sum(axis=1)
        assert ticks.tolist() == list(row.ticks.values())
