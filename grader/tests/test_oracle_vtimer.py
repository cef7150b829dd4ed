"""The VMM's own timer, compiled for the host, before the timer oracle: any schedule passes.

The oracle and vmm/time were written apart from one page of rules; here they meet,
thousands of decisions at a time, without a machine.
"""
from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, List, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grader.oracle import timer
from grader.tests import clib
from grader.tests.test_oracle_timer import AWAY, MS, POLICIES, segment
from grader.tests.vtimer_sim import Segment, Sim
from viz.tests.synth import ENUMS, EVENTS

SOURCES = ["vmm/time/vtimer.c", "vmm/time/tick_policy.c", "vmm/time/ledger.c", "kernel/trace.c",
           "kernel/trace_schema.c", "kernel/args.c", "vmm/tests/host.c", "vmm/tests/host_trace.c"]
NEVER = 2 ** 64 - 1
DONE = [EVENTS[name].number for name in ("timer_delivered", "timer_dropped")]
U64 = ctypes.c_uint64


class TraceCpu(ctypes.Structure):
    """struct trace_cpu of kernel/trace.h; the buffer is formats.md's off, size, used, dropped."""

    _fields_ = [("base", ctypes.c_void_p), ("limit", U64), ("buf", ctypes.POINTER(U64 * 4))]


@pytest.fixture(scope="module")
def lib(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = clib.library(tmp_path_factory.mktemp("vtimer"), SOURCES)
    library.vtimer_deliver.restype = ctypes.c_bool
    library.vtimer_next.restype = U64
    return library


class CTimer(Sim):
    """The simulation's schedule, with the VMM's timer in place of the model's."""

    def __init__(self, lib: ctypes.CDLL, path: Path, policy: str, view: str = "WALL",
                 reload: int = 11932, mode: int = 2) -> None:
        self.lib, self.timer = lib, ctypes.create_string_buffer(1024)
        lib.host_trace_start()
        self.read = 0
        lib.vtimer_init(self.timer, 1, ENUMS["tick_policy"][policy], ENUMS["clock_view"][view])
        super().__init__(path, policy, view, reload, mode)

    def copy_records(self) -> None:
        """What the timer traced goes into the simulation's trace, at its time."""
        cpu = TraceCpu.in_dll(self.lib, "trace_cpu")
        used = cpu.buf.contents[2]
        raw = ctypes.string_at(cpu.base + self.read, used - self.read)
        self.read, at, self.w.now = used, 0, self.now
        while at < len(raw):
            tag = int.from_bytes(raw[at + 8:at + 16], "little")
            end = at + 16 + 8 * (tag >> 48 & 0xFF)
            self.w.raw(tag & 0xFFFF, tag >> 16 & 0xFFFF, 0, 0, raw[at + 16:end])
            at = end

    def program(self, reload: int, mode: int) -> None:
        self.mode = mode
        self.lib.vtimer_program(self.timer, U64(self.clock()), mode, reload)
        self.copy_records()

    def advance(self, could_take: bool) -> None:
        self.lib.vtimer_advance(self.timer, U64(self.clock()), could_take)
        self.copy_records()

    def offer(self) -> bool:
        offered = self.lib.vtimer_deliver(self.timer, U64(self.clock()))
        self.copy_records()
        return bool(offered)

    def accept(self) -> None:
        self.lib.vtimer_accept(self.timer, U64(self.clock()))
        self.copy_records()

    def next_change(self, open_: bool) -> Optional[int]:
        following = self.lib.vtimer_next(self.timer, U64(self.clock()))
        return following - self.clock() if open_ and following != NEVER else None


@given(policy=st.sampled_from(POLICIES), view=st.sampled_from(("WALL", "APPARENT")),
       reload=st.integers(1193, 65536), mode=st.sampled_from((0, 2, 3, 4)),
       script=st.lists(segment, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_vmms_timer_keeps_every_promise(policy: str, view: str, reload: int, mode: int,
                                            script: List[Segment], lib: Any,
                                            tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("vtimer") / "t"
    assert timer.check(CTimer(lib, path, policy, view, reload, mode).play(script).trace()) == []


@pytest.mark.parametrize("policy", POLICIES)
def test_it_equals_the_model(policy: str, lib: Any, tmp_path: Path) -> None:
    """On one schedule the VMM delivers and drops as the model does, at the same times.

    How many ticks one timer_due speaks of is each one's own affair.
    """
    script = AWAY + [Segment(33 * MS, open=False), Segment(90 * MS, reload=30000)]
    theirs = CTimer(lib, tmp_path / "c", policy).play(script)
    ours = Sim(tmp_path / "model", policy).play(script)
    done = [[raw for raw in sim.w.buffers[0] if raw[8] in DONE] for sim in (theirs, ours)]
    assert len(done[0]) > 10 and done[0] == done[1]


def test_a_policy_that_is_not_kept_is_noticed(lib: Any, tmp_path: Path) -> None:
    """The VMM told to merge while the trace promises delay: the oracle sees it."""
    class Liar(CTimer):
        def copy_records(self) -> None:
            super().copy_records()
            delay = ENUMS["tick_policy"]["DELAY"].to_bytes(8, "little")
            self.w.buffers[0] = [raw[:48] + delay + raw[56:] if len(raw) == 64 and raw[8] == 30
                                 else raw for raw in self.w.buffers[0]]

    found = timer.check(Liar(lib, tmp_path / "t", "MERGE").play(AWAY).trace())
    assert any("policy delay gives up no tick" in text for text in found)
