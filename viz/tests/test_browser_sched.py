"""What the scheduler knows, in the interactive timeline: a strip for each VM, and in words.

Made-up traces with values that are worked out by hand; the pages open in headless Chromium.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Tuple

import pytest

from viz import timeline
from viz.tests.synth import TraceWriter
from viz.trace import load

pytest.importorskip("selenium.webdriver")
from viz.tests.test_browser_timeline import LEFT, STATES_OF_VM1, Page  # noqa: E402

pytestmark = pytest.mark.browser
STATES: Dict[str, Tuple[Dict[str, Any], Dict[str, Any]]] = {
    "credit": (dict(pri="OVER", credit=2**64 - 120), dict(pri="BOOST", credit=60)),
    "bvt": (dict(avt=5, evt=2**64 - 495, svt=2**64 - 2, warped=1), dict(avt=9, evt=9, svt=3)),
    "sedf": (dict({"as": "EDF"}, deadline=500, slice=300, used=100),
             dict({"as": "IDLE"}, deadline=900, slice=200, used=200))}


def page_of(browser: Any, folder: Path, scheduler: str) -> Page:
    """VM 1 runs from 0 to 600, VM 2 after it; what is known is known at 0."""
    w = TraceWriter(folder / "trace.bin")
    w.emit("sched_start", ns=0, name=scheduler)
    for vm in (1, 2):
        w.emit("vm_create", vm=vm, ns=0, args="a")
    w.emit("sched_pick", vm=1, ns=0, why="FIRST", key=1, other=2, other_key=2, until=600,
           runnable=2)
    for vm, words in enumerate(STATES[scheduler], start=1):
        w.emit(f"sched_{scheduler}", vm=vm, ns=0, **words)
    w.emit("sched_pick", vm=2, ns=600, prev=1, why="SLICE_END", key=2, until=900, runnable=2)
    w.emit("note", ns=1000)
    w.save()
    timeline.draw(load(str(folder / "trace.bin")), str(folder / "t.html"))
    return Page(browser, folder / "t.html")


@pytest.mark.parametrize("scheduler, one, two, low, high", [
    ("credit", -120, 60, -300, 300), ("bvt", -493, 6, -493, 6), ("sedf", 200, 0, 0, 200)])
def test_a_strip_shows_what_is_compared(browser, tmp_path, scheduler, one, two, low, high):
    page = page_of(browser, tmp_path, scheduler)
    values = page.js("timeline.model.lanes.map(lane => lane.known.map("
                     "i => timeline.model.strip.kind.value(timeline.model, i)))")
    assert values == [[one], [two]]
    assert page.js("[timeline.model.strip.low, timeline.model.strip.high]") == [low, high]
    band = page.js("timeline.model.strip.kind.band(timeline.model, timeline.model.lanes[0].known[0])")
    assert band == {"credit": "warn", "bvt": "warn", "sedf": "line"}[scheduler]
    assert page.js("timeline.plot.laneAt(22 + 26 + 98 + 20).strip") == "known"


@pytest.mark.parametrize("scheduler, words", [
    ("credit", ["priority UNDER against VM 2's OVER", "pri=OVER  credit=-120"]),
    ("bvt", ["effective virtual time 1 against VM 2's 2", "evt=-495"]),
    ("sedf", ["deadline 1 ns against VM 2's 2 ns", "deadline=500 ns"])])
def test_pointing_at_a_run_tells_why_in_the_schedulers_words(browser, tmp_path, scheduler, words):
    page = page_of(browser, tmp_path, scheduler)
    tip = page.js(f"timeline.describe({LEFT} + 0.3 * timeline.plot.width, {STATES_OF_VM1})")
    assert all(each in tip for each in words), tip


def test_round_robin_has_no_strip(browser, tmp_path):
    w = TraceWriter(tmp_path / "trace.bin")
    w.emit("sched_start", ns=0, name="rr").emit("vm_create", vm=1, ns=0, args="a")
    w.emit("sched_pick", vm=1, ns=0, key=7).emit("note", ns=1000)
    w.save()
    timeline.draw(load(str(tmp_path / "trace.bin")), str(tmp_path / "t.html"))
    page = Page(browser, tmp_path / "t.html")
    assert page.js("timeline.model.strip === null && timeline.plot.laneH === 98")
    assert "turn 7, no other" in page.js(
        f"timeline.describe({LEFT} + 0.3 * timeline.plot.width, {STATES_OF_VM1})")
