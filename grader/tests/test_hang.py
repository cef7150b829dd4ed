"""When a run hangs (grader/hang.py): by its trace, live and after it, and the words for it."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader import hang
from grader.platform import Stop
from grader.progress import CROSSINGS, Tail
from grader.tests.test_run_cli import Cli
from viz import trace as viz_trace
from viz.tests.synth import ENUMS, EVENTS, TraceWriter

IN4 = dict(reason="IO", rip=0x100d07, code=0x7b, info1=0x5e0 << 16 | 1 << 6 | 1, info2=0x100d08)
TIME = 60_000_000


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short traces will do."""
    monkeypatch.setattr(hang, "STUCK", 10)
    monkeypatch.setattr(hang, "LATELY", 5)


def crossings(path: Path, count: int, moved: int = 0, vm: int = 1, inject: int = 0,
              platform: str = "qemu-svm", **changed: Any) -> TraceWriter:
    w = TraceWriter(path, platform=platform)
    return more(w, count, moved, vm, inject, **changed)


def more(w: TraceWriter, count: int, moved: int = 0, vm: int = 1, inject: int = 0,
         **changed: Any) -> TraceWriter:
    fields = {**IN4, **changed}
    for _ in range(count):
        w.emit("exit", vm=vm, **fields)
        w.emit("io", vm=vm, port=0x5e0, size=4)
        w.emit("entry", vm=vm, rip=fields["rip"] + moved, inject=inject)
    return w


def judge(w: TraceWriter) -> str:
    return hang.judge(viz_trace.load(str(w.save())), TIME)


def test_an_instruction_that_is_never_left_hangs_in_words(tmp_path):
    assert judge(crossings(tmp_path / "t", 10)) == (
        "it hangs: more than 10 exits in a row are IO (IN of 4 at port 0x5e0) of VM 1 at rip "
        "0x100d07: RIP was not moved behind the instruction")
    assert judge(crossings(tmp_path / "t", 9)) == ""


def test_a_page_that_is_never_mapped_hangs(tmp_path):
    said = judge(crossings(tmp_path / "t", 12, reason="NESTED", code=0x400, info1=4, info2=0x7000))
    assert "nested page fault: read of gPA 0x7000" in said and "no mapping was made" in said


@pytest.mark.parametrize("case", [
    dict(moved=1),                                              # a loop that polls a port
    dict(reason="INTR", code=0x60, info1=0, info2=0),           # a loop without an exit of its own
    dict(inject=0x80000020),                                    # what it met was delivered
    dict(info1=0x3f8 << 16 | 1 << 4 | 1 << 3 | 1 << 2),         # REP OUTSB
])
def test_what_only_looks_alike_does_not_hang(tmp_path, case):
    assert judge(crossings(tmp_path / "t", 50, **case)) == ""


def test_two_vms_in_turns_or_two_places_are_no_row(tmp_path):
    w = TraceWriter(tmp_path / "t")
    for _ in range(10):
        more(more(w, 1), 1, vm=2)
        more(w, 1, rip=0x200000)
    assert judge(w) == ""


def test_the_repeat_bit_is_the_processor_s(tmp_path):
    rep = dict(info1=0x3f8 << 16 | 1 << 5 | 1 << 4, code=30)
    assert judge(crossings(tmp_path / "t", 10, platform="bochs-vmx", **rep)) == ""
    assert judge(crossings(tmp_path / "t", 10, platform="bochs-vmx", code=30, info1=8)) == (
        "it hangs: more than 10 exits in a row are IO of VM 1 at rip 0x100d07: RIP was not moved "
        "behind the instruction")


def test_the_words_are_the_same_whenever_it_is_looked(tmp_path):
    """The first row counts, whatever follows it and however long it became."""
    short = judge(crossings(tmp_path / "t", 10))
    assert short == judge(crossings(tmp_path / "t", 300))
    assert short == judge(more(crossings(tmp_path / "t", 11), 30, rip=0x42))


def test_a_run_far_beyond_its_time(tmp_path):
    beyond = hang.limit_ns(TIME)
    w = TraceWriter(tmp_path / "t").emit("note", ns=0).emit("note", ns=beyond)
    assert judge(w) == ""
    assert judge(w.emit("note", ns=beyond + 1)) == (
        "it does not end: its time was 60 ms of virtual time (time=), and it went on beyond "
        "twice that")


def test_what_came_last_is_told_of_a_run_that_was_broken_off(tmp_path):
    trace = viz_trace.load(str(crossings(tmp_path / "t", 7).save()))
    assert hang.lately(trace).startswith("the last 7 exits are IO (IN of 4 at port 0x5e0) of VM 1")
    assert hang.lately(viz_trace.load(str(
        more(crossings(tmp_path / "t", 7), 1, rip=1).save()))) == ""


STEP = st.tuples(st.sampled_from(["IO", "INTR", "CPUID", "NESTED"]), st.sampled_from([7, 8]),
                 st.sampled_from([0, 0, 0, 1]), st.sampled_from([1, 1, 1, 2]), st.integers(1, 14))


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, max_size=6))
def test_who_looks_on_sees_what_is_judged_after(tmp_path_factory, steps: List[Tuple]) -> None:
    w = TraceWriter(tmp_path_factory.mktemp("live") / "t")
    for reason, rip, moved, vm, count in steps:
        more(w, count, moved, vm, reason=reason, rip=rip)
    tail = Tail(w.save(), 0)
    watch = hang.Watch(tail, TIME, "qemu-svm")
    if not judge(w):
        watch(1.0)
    else:
        with pytest.raises(Stop):
            watch(1.0)


def test_the_numbers_are_those_of_the_kernel_s_list():
    numbers = ENUMS["exit_reason"]
    named = re.findall(r"\w+", "HLT CPUID IO MSR CR DR NESTED HYPERCALL RDTSC INVLPG PAUSE RDPMC "
                       "WBINVD MONITOR VIRT_INSN XSETBV")
    assert hang.MUST_MOVE == tuple(sorted(numbers[name] for name in named))
    assert CROSSINGS == (hang.ENTRY, hang.EXIT) == (EVENTS["entry"].number, EVENTS["exit"].number)


def test_a_link_in_place_of_the_memory_is_not_followed(tmp_path):
    w = crossings(tmp_path / "t", 20)
    (tmp_path / "link").symlink_to(w.save())
    assert Tail(tmp_path / "t", 0).update() and not Tail(tmp_path / "link", 0).update()


@pytest.mark.parametrize("mode", ["stuck", "stuck-ended"])
def test_the_command_line_stops_a_run_that_hangs(tmp_path, mode):
    cli = Cli(tmp_path)
    result = cli.run(mode, "--time", "60ms")
    assert result.returncode == 2
    assert ("grader: it hangs: more than 20,000 exits in a row are IO (IN of 4 at port 0x5e0) of "
            "VM 1 at rip 0x100d07: RIP was not moved behind the instruction\n") in result.stderr
    assert (cli.json["exit_reason"], cli.json["status"]) == ("timeout", None)
