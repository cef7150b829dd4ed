"""The interactive timeline in headless Chromium, from file:// and without a network.

What the page shows is compared with what Python computes from the same trace.
Waits are for a state of the page, never for a time.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from viz import timeline
from viz import timeline_data as data
from viz import timeline_totals as sums
from viz.style import DARK, LIGHT
from viz.tests.synth import TraceWriter, million_events, three_vms
from viz.trace import load

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PATIENCE = 120  # seconds until a page that never gets ready is a failure
LEFT, STATES_OF_VM1, PCPU = 128, 22 + 26 + 20, 22 + 26 + 3 * 98 + 30  # timeline_draw.js


class Page:
    """A timeline page open in the browser."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.browser = browser
        browser.get(path.as_uri())
        self.wait("document.documentElement.dataset.drawn > 0 || "
                  "document.querySelector('main > .caveat')")
        assert self.js("document.documentElement.dataset.ready") == "yes", self.text("main")
        self.canvas = browser.find_element(By.ID, "canvas")

    def wait(self, condition: str) -> None:
        WebDriverWait(self.browser, PATIENCE).until(lambda _: self.js(condition))

    def js(self, expression: str) -> Any:
        return self.browser.execute_script(f"return ({expression});")

    def drawn(self, action: str = "") -> None:
        """Carry out `action` and wait until the page has been drawn after it."""
        self.browser.execute_async_script(
            f"{action}; const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()));")

    def text(self, selector: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).text

    def click(self, element: str) -> None:
        self.browser.find_element(By.ID, element).click()
        self.drawn()

    def press(self, *keys: str) -> None:
        self.canvas.send_keys(*keys)
        self.drawn()

    def view(self) -> List[float]:
        return self.js("[timeline.state.start, timeline.state.end]")

    def selection(self) -> Any:
        return self.js("timeline.state.selection && "
                       "[timeline.state.selection.start, timeline.state.selection.end]")

    def totals(self) -> List[Dict[str, Any]]:
        """The table as it stands on the page: unrounded values by VM."""
        rows = self.js("[...document.querySelectorAll('#totals tr[data-vm]')].map(r => "
                       "[r.dataset.vm, "
                       "...[...r.querySelectorAll('td')].map(c => c.dataset.value)])")
        names = ("vm", "run", "share", "asked", "error", "ready", "blocked", "exits", "due",
                 "delivered", "dropped", "reasons")
        return [dict(zip(names, row)) for row in rows]

    def mouse(self) -> ActionChains:
        return ActionChains(self.browser, duration=0)

    def at(self, x: float, y: float) -> Dict[str, int]:
        """Offsets from the canvas's centre, as selenium counts them."""
        width, height = self.js("[canvas.clientWidth, canvas.clientHeight]")
        return dict(xoffset=round(x - width // 2), yoffset=round(y - height // 2))

    def x(self, ns: float) -> float:
        return self.js(f"timeline.plot.x({ns})")

    def pixel(self, x: float, y: float) -> str:
        """The colour at a point of the canvas, read from a copy so that Chromium does not warn."""
        red, green, blue = self.browser.execute_script(
            "const c = document.createElement('canvas').getContext('2d', "
            "{willReadFrequently: true}); const r = devicePixelRatio;"
            "c.drawImage(canvas, -arguments[0] * r, -arguments[1] * r);"
            "return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3)", round(x), round(y))
        return f"#{red:02x}{green:02x}{blue:02x}"

    def errors(self) -> List[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    trace = load(str(three_vms(folder / "trace.bin", sleeps=True)))
    timeline.draw(trace, str(folder / "t.html"))
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("million")
    timeline.draw(load(str(million_events(folder / "trace.bin"))), str(folder / "t.html"))
    return folder


@pytest.fixture
def page(browser: Any, small: Path) -> Iterator[Page]:
    opened = Page(browser, small / "t.html")
    yield opened
    assert opened.errors() == []


def expect_totals(page: Page, folder: Path, start: int, end: int) -> None:
    line = data.extract(load(str(folder / "trace.bin")))
    assert page.js(f"timeline.plot.model.totals({start}, {end}).every(row => row.contested)") == \
        sums.contested(sums.totals(line, start, end))
    for shown, row in zip(page.totals(), sums.totals(line, start, end)):
        assert int(shown["vm"]) == row.vm
        assert [float(shown[k]) for k in ("run", "ready", "blocked")] == \
            [row.run, row.ready, row.blocked]
        assert float(shown["share"]) == pytest.approx(row.share, abs=1e-12)
        assert float(shown["asked"]) == pytest.approx(row.asked, abs=1e-9)
        assert float(shown["error"]) == pytest.approx(row.error, abs=1e-6)
        assert int(shown["exits"]) == sum(row.exits.values())
        assert json.loads(shown["reasons"]) == row.exits
        assert {k: int(shown[k]) for k in row.ticks} == row.ticks


def test_it_opens_with_the_whole_trace(page: Page, small: Path) -> None:
    trace = load(str(small / "trace.bin"))
    assert page.view() == [trace.t0, trace.t1]
    expect_totals(page, small, trace.t0, trace.t1)
    assert f"{len(trace)} events" in page.text("#found")
    assert "observed" in page.text("footer")


def test_lanes_have_the_colours_of_their_states(page: Page, small: Path) -> None:
    line = data.extract(load(str(small / "trace.bin")))
    lane, run = line.pcpus[0], []
    for start, end, vm in zip(lane.edge, lane.edge[1:], lane.state):
        if end - start > 1e6:
            x = page.x((int(start) + int(end)) / 2)
            assert page.pixel(x, PCPU) == LIGHT.vm(int(vm))
            run.append(page.pixel(x, STATES_OF_VM1) == LIGHT.vm(1))
            assert run[-1] == (vm == 1)
    assert True in run and False in run


def test_wheel_buttons_and_keys_zoom(page: Page) -> None:
    whole = page.view()
    middle = sum(whole) / 2
    page.browser.execute_script(
        "const r = canvas.getBoundingClientRect(); canvas.dispatchEvent(new WheelEvent('wheel', "
        "{deltaY: -300, clientX: r.left + timeline.plot.x(arguments[0]), clientY: r.top + 90, "
        "bubbles: true, cancelable: true}))", middle)
    page.drawn()
    wheel = page.view()
    assert wheel[0] > whole[0] and wheel[1] < whole[1]
    pixel = (whole[1] - whole[0]) / page.js("timeline.plot.width")
    assert sum(wheel) / 2 == pytest.approx(middle, abs=pixel)
    page.click("zoom-in")
    button = page.view()
    assert button[1] - button[0] == pytest.approx((wheel[1] - wheel[0]) / 2)
    page.click("back")
    assert page.view() == pytest.approx(wheel)
    page.press("+")
    assert page.view()[1] - page.view()[0] == pytest.approx((wheel[1] - wheel[0]) / 2)
    before = page.view()
    page.press(Keys.ARROW_RIGHT)
    assert page.view()[0] == pytest.approx(before[0] + 0.1 * (before[1] - before[0]))
    page.press("0")
    assert page.view() == whole


def test_dragging_moves_the_view(page: Page) -> None:
    page.drawn("timeline.view(40e6, 60e6)")
    page.mouse().move_to_element_with_offset(page.canvas, **page.at(600, STATES_OF_VM1)) \
        .click_and_hold().move_by_offset(100, 0).release().perform()
    page.drawn()
    moved = 100 / page.js("timeline.plot.width") * 20e6
    assert page.view() == pytest.approx([40e6 - moved, 60e6 - moved])


def test_a_selection_made_with_the_mouse_shows_its_totals(page: Page, small: Path) -> None:
    page.click("tool-select")
    page.mouse().move_to_element_with_offset(page.canvas, **page.at(page.x(20e6), STATES_OF_VM1)) \
        .click_and_hold().move_by_offset(333, 0).release().perform()
    page.drawn()
    start, end = page.selection()
    assert start == pytest.approx(20e6, rel=0.01)
    assert end - start == pytest.approx(333 / page.js("timeline.plot.width") * 100.007e6, rel=0.01)
    assert "Totals of the selection" in page.text("#totals-head")
    expect_totals(page, small, start, end)
    page.press("z")
    assert page.view() == [start, end]
    page.press(Keys.ESCAPE)
    assert page.selection() is None and "Totals of the view" in page.text("#totals-head")


def test_totals_of_seeded_selections(page: Page, small: Path) -> None:
    rng = random.Random(5)
    line = data.extract(load(str(small / "trace.bin")))
    edges = line.trace.ns.tolist()
    spans = [sorted(rng.sample(range(line.start, line.end), 2)) for _ in range(6)]
    spans += [sorted(rng.sample(sorted(set(edges)), 2)) for _ in range(6)]
    for start, end in spans + [[line.start, line.end]]:
        page.drawn(f"timeline.select({start}, {end})")
        expect_totals(page, small, start, end)


def test_two_markers_show_their_difference(page: Page) -> None:
    for name, ns in (("a", 12_000_000), ("b", 33_000_000)):
        page.click(f"mark-{name}")
        page.mouse().move_to_element_with_offset(
            page.canvas, **page.at(page.x(ns), STATES_OF_VM1)).click().perform()
        page.drawn()
    a, b = page.js("[timeline.state.markers.a, timeline.state.markers.b]")
    assert (a, b) == (pytest.approx(12e6, rel=0.02), pytest.approx(33e6, rel=0.02))
    page.drawn("timeline.mark('a', 12e6); timeline.mark('b', 33e6)")
    assert re.search(r"A 12 ms\s+B 33 ms\s+B − A = 21 ms", page.text("#markers"))


def test_a_click_in_the_plot_scrolls_the_list(page: Page, small: Path) -> None:
    trace = load(str(small / "trace.bin"))
    picks = trace.select("sched_pick")
    late = len(picks) - 3
    page.mouse().move_to_element_with_offset(
        page.canvas, **page.at(page.x(int(picks.ns[late])) + 1, PCPU)).click().perform()
    page.drawn()
    chosen = page.browser.find_element(By.CSS_SELECTOR, "#window [aria-selected=true]")
    assert int(chosen.get_attribute("data-record")) == picks.index[late]
    assert "sched_pick" in chosen.text and f"why={picks.word('why')[late]}" in chosen.text
    box, row = page.js("[document.querySelector('#list').getBoundingClientRect().toJSON(), "
                       "document.querySelector('#window [aria-selected=true]')"
                       ".getBoundingClientRect().toJSON()]")
    assert box["top"] <= row["top"] and row["bottom"] <= box["bottom"]


def test_a_click_in_the_list_centres_the_plot(page: Page, small: Path) -> None:
    trace = load(str(small / "trace.bin"))
    page.drawn("timeline.view(10e6, 14e6); timeline.list.scrollTo(300)")
    row = page.browser.find_element(By.CSS_SELECTOR, '.row[data-record="305"]')
    row.click()
    page.drawn()
    assert sum(page.view()) / 2 == pytest.approx(int(trace.ns[305]))
    page.browser.find_element(By.ID, "list").send_keys(Keys.ARROW_DOWN)
    page.drawn()
    assert page.js("timeline.state.chosen") == 306


def test_the_list_can_be_filtered(page: Page, small: Path) -> None:
    trace = load(str(small / "trace.bin"))
    due = trace.select("timer_due")
    page.drawn(f"const e = document.querySelector('#filter-event'); e.value = {due.event.number};"
               "e.dispatchEvent(new Event('change')); const v = document.querySelector("
               "'#filter-vm'); v.value = 2; v.dispatchEvent(new Event('change'))")
    assert page.text("#found") == f"{(due.vm == 2).sum()} events"
    page.drawn("timeline.select(0, 50e6)")
    page.click("filter-view")
    wanted = int(((due.vm == 2) & (due.ns < 50e6)).sum())
    assert page.text("#found") == f"{wanted} events"


def test_hovering_tells_why(page: Page, small: Path) -> None:
    picks = load(str(small / "trace.bin")).select("sched_pick")
    i = 3
    middle = (int(picks.ns[i]) + int(picks.ns[i + 1])) // 2
    page.mouse().move_to_element_with_offset(
        page.canvas, **page.at(page.x(middle), PCPU)).perform()
    page.drawn()
    tip = page.text("#tip")
    assert f"VM {picks.vm[i]} chosen" in tip and f"why: {picks.word('why')[i]}" in tip
    assert f"turn {picks['key'][i]} against VM {picks['other'][i]}'s {picks['other_key'][i]}" in tip
    assert "until" in tip and f"ready: {picks['runnable'][i]}" in tip


def test_dark_and_light_and_print(page: Page) -> None:
    try:
        for scheme, theme in (("dark", DARK), ("light", LIGHT)):
            page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
                "features": [{"name": "prefers-color-scheme", "value": scheme}]})
            page.drawn("timeline.update()")
            assert page.pixel(2, 2) == theme.page
            assert page.pixel(page.x(5e6), PCPU) == theme.vm(1)
        pdf = page.browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        assert pdf["data"].startswith("JVBER")
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def changed(folder: Path, old: str, new: str) -> str:
    """The address of a copy of the page with one place of it changed."""
    text = (folder / "t.html").read_text("utf-8")
    assert text.count(old) == 1
    (folder / "changed.html").write_text(text.replace(old, new), "utf-8")
    return (folder / "changed.html").as_uri()


def test_it_says_that_it_is_loading_until_it_is_drawn(browser: Any, small: Path) -> None:
    assert Page(browser, small / "t.html").js("document.getElementById('loading')") is None
    browser.get(changed(small, "await readColumns(", "await new Promise(() => 0); readColumns("))
    loading = browser.find_element(By.ID, "loading")
    count = len(load(str(small / "trace.bin")))
    assert loading.is_displayed() and f"{count:,} records" in loading.text
    browser.get(changed(small, "await readColumns(", "await readNothing("))
    WebDriverWait(browser, PATIENCE).until(
        lambda _: "could not be drawn" in browser.find_element(By.TAG_NAME, "main").text)
    assert not browser.find_elements(By.ID, "loading")
    assert any("readNothing" in error["message"] for error in browser.get_log("browser"))


def test_without_javascript_it_says_so_and_nothing_else(browser: Any, small: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((small / "t.html").as_uri())
        shown = browser.find_element(By.TAG_NAME, "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "drawn by JavaScript, which is switched off" in shown and "viz timeline" in shown
    assert "Decoding" not in shown and "Totals" not in shown


def test_caveats_and_strange_texts_are_shown_as_text(browser: Any, tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t", cmdline="<b>bold</b>")
    w.emit("vm_create", vm=1, ns=0, args="</script><img/src=x>")
    w.emit("sched_pick", vm=1, ns=5).emit("note", ns=50, value=2**63 + 1, text="<i>\u00fc</i>")
    w.dropped[0] = 99
    timeline.draw(load(str(w.save())), str(tmp_path / "t.html"))
    page = Page(browser, tmp_path / "t.html")
    assert "99 records did not fit" in page.text("header")
    assert "<b>bold</b>" in page.text("header")
    shown = page.text("#list")
    assert f"value={2**63 + 1}" in shown and "<i>ü</i>" in shown
    assert page.errors() == []


def test_what_was_not_recorded_is_no_zero(browser: Any, tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t", cmdline="trace=memory")
    w.emit("vm_create", vm=1, ns=0, args="ticker").emit("map", vm=1, ns=70)
    timeline.draw(load(str(w.save())), str(tmp_path / "t.html"))
    page = Page(browser, tmp_path / "t.html")
    assert "option trace=memory: scheduling, exits" in page.text("header")
    assert page.js("[...document.querySelectorAll('#totals tbody td')].map(c => c.innerText)") == \
        ["\u2013"] * 11
    page.mouse().move_to_element_with_offset(page.canvas, **page.at(600, 22 + 26 + 98 + 30)) \
        .perform()
    page.drawn()
    assert "did not record scheduling" in page.text("#tip") and page.errors() == []


def test_the_host_s_time_after_a_vm_s_end_is_shown(browser: Any, tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("vm_create", vm=1, ns=0, args="crash").emit("sched_pick", vm=1, ns=0)
    w.emit("vm_end", vm=1, ns=400, how="TRIPLE_FAULT").emit("sched_pick", vm=0, ns=800, prev=1)
    w.emit("note", ns=1000)
    timeline.draw(load(str(w.save())), str(tmp_path / "t.html"))
    page = Page(browser, tmp_path / "t.html")
    shown = page.js("[...document.querySelectorAll('#totals tbody tr')]"
                    ".map(r => [...r.cells].slice(0, 3).map(c => c.innerText))")
    assert shown == [["1 crash", "400 ns", "40.0 %"], ["idle", "200 ns", "20.0 %"],
                     ["host, after a VM's end", "400 ns", "40.0 %"]]
    page.mouse().move_to_element_with_offset(
        page.canvas, **page.at(page.x(600), 22 + 26 + 98 + 38)).perform()
    page.drawn()
    assert "VM 1 has ended and is taken apart" in page.text("#tip") and page.errors() == []


def test_a_million_events_open_and_zoom(browser: Any, large: Path) -> None:
    page = Page(browser, large / "t.html")
    line = data.extract(load(str(large / "trace.bin")))
    assert page.text("#found") == f"{len(line.trace):,} events"
    expect_totals(page, large, line.start, line.end)
    assert "states of VM 1, 2, 3" in page.text("#aggregated")
    for _ in range(12):
        page.press("+")
    start, end = page.view()
    assert end - start == pytest.approx((line.end - line.start) / 4096)
    assert "states" not in page.text("#aggregated")
    page.drawn(f"timeline.select({line.start}, {line.end // 3})")
    expect_totals(page, large, line.start, line.end // 3)
    last = len(line.trace) - 1
    page.browser.find_element(By.ID, "list").send_keys(Keys.END)
    page.drawn()
    assert page.js("timeline.state.chosen") == last
    assert page.js("document.querySelectorAll('.row').length") < 40
    assert page.errors() == []
