"""What timekeeping says of a guest that hangs, of an interrupt taken too soon, of catching up."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.oracle import timekeeping as time
from viz.tests.synth import TraceWriter
from viz.trace import load


@pytest.fixture
def writer(tmp_path: Path) -> TraceWriter:
    return TraceWriter(tmp_path / "trace.bin").emit("vm_create", vm=1, ns=1000, args="lines")


def read(writer: TraceWriter) -> Any:
    return load(str(writer.save()))


def busy(writer: TraceWriter, reason: str, times: int) -> None:
    for _ in range(times):
        writer.emit("entry", vm=1).emit("exit", vm=1, ns=writer.now + 1000, reason=reason)


@pytest.mark.parametrize("reason, word", [("INTR_WINDOW", "handout 2.2"), ("INTR", "handout 2.4"),
                                          ("IO", "of its 8 exits 5 were IO;")])
def test_a_guest_that_hangs_is_told_by_its_exits(writer: TraceWriter, reason: str, word: str) -> None:
    busy(writer, reason, 5)
    busy(writer, "NESTED", 3)
    writer.emit("timer_due", vm=1, ticks=4, due=4, backlog=4, at=500)
    said = time.broken(read(writer), 1, {"order": "the urgent one first"})
    assert word in said[0] and "4 ticks fell due, 0 were delivered" in said[0]
    assert said[1] == "VM 1 never came to its check order (the urgent one first)"


def test_one_that_ended_is_not_said_to_hang(writer: TraceWriter) -> None:
    busy(writer, "INTR", 5)
    trace = read(writer.emit("vm_end", vm=1, how="EXITED", why="exited"))
    assert time.unfinished(trace, 1) == ""
    assert len(time.broken(trace, 1, {"order": "the urgent one first"})) == 1


def test_an_acknowledge_is_followed_by_its_delivery(writer: TraceWriter) -> None:
    writer.emit("irq_ack", vm=1, line=4).emit("inject", vm=1, vector=36).emit("entry", vm=1)
    writer.emit("irq_ack", vm=2, line=4)
    busy(writer, "IO", 1)
    assert time.held_back(read(writer), 1) == ""
    writer.emit("irq_ack", vm=1, line=4)
    busy(writer, "IO", 1)
    assert "when it is interruptible" in time.held_back(read(writer), 1)


def test_catching_up_is_measured_from_tick_to_tick(writer: TraceWriter) -> None:
    for at, left in ((10, 0), (50, 2), (55, 1), (60, 1), (65, 0), (70, 0), (100, 1), (110, 0)):
        writer.emit("timer_delivered", vm=1, ticks=1, at=at * 100_000, backlog=left)
    assert time.caught_up(read(writer), 1, 1000) == [(3, 1.5), (2, 1.0)]
