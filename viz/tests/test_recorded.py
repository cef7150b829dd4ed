"""What a run was told not to record is said, and never shown as a zero."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Set

import pytest

from viz import recorded
from viz.tests.synth import EVENTS, TraceWriter
from viz.trace import Trace, load

TRACE_C = Path(__file__).resolve().parents[2] / "kernel" / "trace.c"


def traced(folder: Path, cmdline: str, *events: str) -> Trace:
    w = TraceWriter(folder / "t", cmdline=cmdline)
    for event in ("trace_start", "vm_create", *events):
        w.emit(event, vm=1, ns=w.now + 10)
    return load(str(w.save()))


def test_the_groups_are_those_of_the_kernel() -> None:
    groups: Dict[str, Set[str]] = {}
    found = re.findall(r'\{"(\w+)", EVENT_(\w+), EVENT_(\w+)\}', TRACE_C.read_text())
    for group, first, last in found:
        low, high = EVENTS[first].number, EVENTS[last].number
        groups.setdefault(group, set()).update(
            name for name, event in EVENTS.items() if low <= event.number <= high)
    assert groups == {group: set(events) for group, events in recorded.GROUPS.items()}
    assert set(recorded.WORDS) == set(recorded.GROUPS)


@pytest.mark.parametrize("cmdline, missing", [
    ("", set()), ("trace=all", set()), ("sched=rr trace=some", {"exits", "io"}),
    ("trace=off", set(recorded.GROUPS)), ("trace=none", set(recorded.GROUPS)),
    ("trace=sched,time", {"exits", "walks", "memory", "io"}), ("trace=nonsense", set())])
def test_the_option_tells_what_is_left_out(tmp_path: Path, cmdline: str,
                                           missing: Set[str]) -> None:
    trace = traced(tmp_path, cmdline)
    assert set(recorded.left_out(trace)) == missing
    assert (recorded.remark(trace) is None) == (not missing)


def test_records_count_for_more_than_the_option(tmp_path: Path) -> None:
    trace = traced(tmp_path, "trace=walks", "exit")
    assert recorded.has(trace, "exits") and not recorded.has(trace, "sched")
    assert "exits" not in str(recorded.remark(trace))
    assert "trace=walks" in str(recorded.remark(trace))
