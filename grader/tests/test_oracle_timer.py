"""The timer oracle: right traces pass under every policy and schedule, wrong ones are named."""
from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Callable, List

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.oracle import share, timer
from grader.oracle.ticks import Rate, Record
from grader.oracle.vmlife import lives
from grader.tests.vtimer_sim import Segment, Sim
from viz.tests.synth import EVENTS, TraceWriter, three_vms
from viz.trace import load

MS = 1_000_000
POLICIES = ("DISCARD", "MERGE", "DELAY", "SLEW")
AWAY = [Segment(25 * MS), Segment(47 * MS, running=False), Segment(60 * MS)]

segment = st.builds(Segment, ns=st.integers(1, 40 * MS), running=st.booleans(), open=st.booleans(),
                    halted=st.booleans(), reload=st.sampled_from((0, 0, 0, 0, 2000, 50000)))


@pytest.mark.parametrize("policy, delivered, backlog, discarded",
                         [("DISCARD", 8, 0, 5), ("MERGE", 9, 0, 4), ("DELAY", 9, 4, 0),
                          ("SLEW", 13, 0, 0)])
def test_the_policy_table(policy: str, delivered: int, backlog: int, discarded: int,
                          tmp_path: Path) -> None:
    """The model itself: five ticks of 10 ms fall due in the 47 ms away."""
    sim = Sim(tmp_path / "t", policy).play(AWAY)
    assert (sim.delivered, sim.backlog(), sim.discarded) == (delivered, backlog, discarded)
    assert timer.check(sim.trace()) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_apparent_time_loses_nothing(policy: str, tmp_path: Path) -> None:
    sim = Sim(tmp_path / "t", policy, "APPARENT").play(AWAY)
    assert (sim.delivered, sim.due, sim.discarded) == (8, 8, 0)
    assert timer.check(sim.trace()) == []


@given(policy=st.sampled_from(POLICIES), view=st.sampled_from(("WALL", "APPARENT")),
       reload=st.integers(1193, 65536), mode=st.sampled_from((0, 2)),
       script=st.lists(segment, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_honest_timers_pass(policy: str, view: str, reload: int, mode: int,
                            script: List[Segment], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("honest") / "t"
    assert timer.check(Sim(path, policy, view, reload, mode).play(script).trace()) == []


@given(policy=st.sampled_from(POLICIES), ns=st.integers(1, 30 * MS),
       reloads=st.lists(st.integers(1193, 65536), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_reprogramming_keeps_the_totals(policy: str, reloads: List[int], ns: int,
                                        tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("reprogram") / "t"
    sim = Sim(path, policy).play([Segment(ns, reload=reload) for reload in reloads])
    assert timer.check(sim.trace()) == []


def corrupt(path: Path, event: str, nth: int, word: int, change: Callable[[int], int]) -> Path:
    """Change one payload word of the nth record of an event in a trace file."""
    data = bytearray(path.read_bytes())
    off, _, used, _ = struct.unpack_from("<4Q", data, 640)
    at = off
    while at < off + used:
        number, words = struct.unpack_from("<H", data, at + 8)[0], data[at + 14]
        if number == EVENTS[event].number:
            if nth == 0:
                where = at + 16 + 8 * word
                value = struct.unpack_from("<Q", data, where)[0]
                struct.pack_into("<Q", data, where, change(value))
                path.write_bytes(data)
                return path
            nth -= 1
        at += 16 + 8 * words
    raise AssertionError(f"the trace has too few records of {event}")


@pytest.mark.parametrize("event", ["timer_due", "timer_delivered", "timer_dropped"])
@pytest.mark.parametrize("word", range(6))
@pytest.mark.parametrize("step", [1, -1, 10 ** 9])
def test_every_field_matters(event: str, word: int, step: int, tmp_path: Path) -> None:
    """Any of the six words of a timer record changed: noticed. `at` may be off by a few ns."""
    sim = Sim(tmp_path / "t", "MERGE").play(AWAY)
    sim.w.save()
    if word == 5:
        step *= 10 ** 7
    corrupt(tmp_path / "t", event, 0, word, lambda value: (value + step) % 2 ** 63)
    assert timer.check(load(str(tmp_path / "t")))


def test_a_broken_balance_is_said_in_numbers(tmp_path: Path) -> None:
    Sim(tmp_path / "t", "MERGE").play(AWAY).w.save()
    corrupt(tmp_path / "t", "timer_dropped", 0, 4, lambda value: value + 1)
    text = "delivered 2 + backlog 1 + discarded 5 = 8, but due is 7"
    assert any(text in found for found in timer.check(load(str(tmp_path / "t"))))


@pytest.mark.parametrize("word, value", [(1, 0), (2, 11933), (2, 23864), (3, 9 * MS)])
def test_a_wrong_program_is_noticed(word: int, value: int, tmp_path: Path) -> None:
    Sim(tmp_path / "t", "DELAY").play(AWAY).w.save()
    corrupt(tmp_path / "t", "timer_program", 0, word, lambda _: value)
    assert timer.check(load(str(tmp_path / "t")))


@pytest.mark.parametrize("claimed", POLICIES)
@pytest.mark.parametrize("done", POLICIES)
def test_a_policy_is_told_from_the_others(claimed: str, done: str, tmp_path: Path) -> None:
    """What one policy does is a breach of every other, where they differ at all."""
    Sim(tmp_path / "t", done).play(AWAY).w.save()
    corrupt(tmp_path / "t", "timer_program", 0, 4, lambda _: POLICIES.index(claimed))
    found = timer.check(load(str(tmp_path / "t")))
    # A slew that never catches up is a delay: of that a trace is no evidence.
    assert bool(found) == (claimed != done and (claimed, done) != ("SLEW", "DELAY")), found


def test_slew_that_is_too_fast(tmp_path: Path) -> None:
    class Hasty(Sim):
        def spacing(self) -> int:
            return super().spacing() // 2

    found = timer.check(Hasty(tmp_path / "t", "SLEW").play(AWAY).trace())
    assert any("an owed tick was delivered" in text for text in found)


def test_late_ticks_delivered_under_discard(tmp_path: Path) -> None:
    class Generous(Sim):
        def drop(self, ticks: int) -> None:
            super().drop(ticks - 1) if ticks > 1 else None
            self.late, self.offered = 0, 1

    found = timer.check(Generous(tmp_path / "t", "DISCARD").play(AWAY).trace())
    assert any("policy discard" in text for text in found)


def test_a_descheduled_vm_takes_no_tick(tmp_path: Path) -> None:
    sim = Sim(tmp_path / "t", "DELAY").play([Segment(5 * MS)])
    sim.w.emit("sched_pick", vm=2, ns=sim.now)
    sim.now += 10 * MS
    sim.advance(True)
    assert sim.offer()
    sim.accept()
    assert any("delivered to a VM that is ready" in text for text in timer.check(sim.trace()))


def test_a_wall_clock_that_hides_stolen_time(tmp_path: Path) -> None:
    Sim(tmp_path / "t", "DELAY", "APPARENT").play(AWAY).w.save()
    corrupt(tmp_path / "t", "timer_program", 0, 5, lambda _: 0)
    assert any("wall clock" in text for text in timer.check(load(str(tmp_path / "t"))))


def test_a_trace_without_timers_proves_nothing(tmp_path: Path) -> None:
    assert "nothing could be judged" in timer.check(load(str(TraceWriter(tmp_path / "t").save())))[0]


def test_rates_are_exact() -> None:
    rate = Rate()
    rate.set(Record(0, 0, "timer_program", mode=2, reload=1193182))
    assert [rate.due(at) for at in (0, 10 ** 9 - 1, 10 ** 9, 2 * 10 ** 9)] == [0, 0, 1, 2]
    rate.set(Record(0, 0, "timer_program", mode=0, reload=1193182, start=2 * 10 ** 9))
    assert [rate.due(at) for at in (2 * 10 ** 9, 3 * 10 ** 9, 9 * 10 ** 9)] == [2, 3, 3]


def test_stolen_time(tmp_path: Path) -> None:
    sim = Sim(tmp_path / "t", "DELAY").play(AWAY + [Segment(5 * MS, halted=True, open=False)])
    life = lives(sim.trace())[0]
    assert life.stolen_at(sim.now) == 47 * MS
    assert life.stolen_at(life.created + 25 * MS + 7) == 7


def test_nothing_is_stolen_before_there_is_a_vcpu(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t")
    for ns, event in ((10, "vm_create"), (30, "vcpu_create"), (70, "sched_pick"), (75, "vm_end")):
        writer.emit(event, vm=1, ns=ns)
    (life,) = lives(load(str(writer.save())))
    assert [life.stolen_at(ns) for ns in (20, 30, 31, 70, 90)] == [0, 0, 1, 40, 40]


def test_shares(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t")
    for ns, vm in ((0, 1), (30, 2), (40, 0), (50, 1), (100, 0)):
        writer.emit("sched_pick", vm=vm, ns=ns)
    trace = load(str(writer.save()))
    assert share.run_times(trace) == {0: 10, 1: 80, 2: 10}
    assert share.shares(trace, 20, 60) == {1: 0.5, 2: 0.25, 0: 0.25}
    with pytest.raises(ValueError, match="no time passes"):
        share.shares(trace, 50, 50)


def test_shares_of_three_vms_add_up(tmp_path: Path) -> None:
    found = share.shares(load(str(three_vms(tmp_path / "t", ms=300))))
    assert abs(sum(found.values()) - 1) < 1e-9
    assert all(abs(found[vm] - 1 / 3) < 0.02 for vm in (1, 2, 3))
