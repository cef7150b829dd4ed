"""The report and the start page in headless Chromium, from file:// and without a network.

What their tables say is compared with what viz.stats computes from the same trace.
"""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.parse import unquote, urlparse

import pytest
from matplotlib import image

from viz import report, stats, timeline, walk
from viz.report_facts import gather
from viz.style import DARK, LIGHT
from viz.tests.synth import TraceWriter, nested_walk, three_vms
from viz.tests.test_report_memory import shadow_run
from viz.trace import load
from viz.walk_data import Walks
from viz.walk_steps import sentences

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

EVIL = "<script>window.hacked = 1</script><img src=x onerror=window.hacked=1>"
FILES = ("walk.svg", "timeline.svg", "timeline.html", "trace.bin", "console.txt", "run.json",
         "report.html")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves it, with a report."""
    folder = tmp_path_factory.mktemp("a demo #1")
    trace = load(str(three_vms(folder / "trace.bin", 60, sleeps=True)))
    timeline.draw(trace, str(folder / "timeline.svg"))
    timeline.draw(trace, str(folder / "timeline.html"))
    walk.draw(trace, str(folder / "walk.svg"))
    (folder / "console.txt").write_text("booted\n")
    (folder / "run.json").write_text(json.dumps({"seed": "0x1", "repeat": "grader run"}))
    (folder / "report.html").write_text(report.render(gather(str(folder))))
    report.index(str(folder), str(folder / "index.html"))
    return folder


class Page:
    """A page open in the browser; nothing may be left in its console."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.browser = browser
        browser.get(path.as_uri())

    def js(self, expression: str) -> Any:
        return self.browser.execute_script(f"return ({expression});")

    def text(self, selector: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).text

    def table(self, selector: str) -> Dict[str, List[str]]:
        """Rows by their first cell; a row under one heading keeps the last."""
        rows = self.js(f"[...document.querySelectorAll('{selector} tbody tr')]"
                       ".map(r => [...r.cells].map(c => c.innerText.trim()))")
        return {row[0]: row[1:] for row in rows}

    def classes(self, name: str) -> List[int]:
        """The references to which the drawing's parts of this class belong."""
        return sorted(set(self.js(
            f"[...document.querySelectorAll('svg .{name}')].map(e => "
            r"Number(/step-(\d+)/.exec(e.getAttribute('class'))[1]))")))

    def errors(self) -> List[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture(params=["report.html", "index.html"])
def page(request: pytest.FixtureRequest, browser: Any, demo: Path) -> Iterator[Page]:
    opened = Page(browser, demo / request.param)
    yield opened
    assert opened.errors() == []


@pytest.fixture
def told(browser: Any, demo: Path) -> Iterator[Page]:
    opened = Page(browser, demo / "report.html")
    yield opened
    assert opened.errors() == []


def test_every_picture_is_there_and_nothing_is_fetched(page: Page) -> None:
    pictures = page.js("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert pictures and all(done and width > 300 for done, width in pictures)
    fetched = page.js("performance.getEntriesByType('resource').map(e => e.name)")
    assert all(name.startswith(("file:", "data:")) for name in fetched)
    assert page.js("document.querySelectorAll('svg').length") == 1


def test_every_link_leads_to_something(page: Page, demo: Path) -> None:
    links = page.js("[...document.querySelectorAll('a[href]')].map(a => [a.getAttribute('href'), "
                    "a.href])")
    assert len(links) >= 5
    for given, whole in links:
        if given.startswith("#"):
            assert page.js(f"!!document.querySelector('{given}')"), given
        else:
            assert Path(unquote(urlparse(whole).path)).is_file(), given
    inside = {given for given, _ in links if not given.startswith("#")}
    assert inside == (set(FILES) if "index" in page.browser.current_url else set())


def test_the_tables_hold_the_totals(told: Page, demo: Path) -> None:
    totals = stats.compute(load(str(demo / "trace.bin")))
    times, ticks, exits = told.table("#times"), told.table("#tick-totals"), told.table(
        "#exit-counts")
    assert len(totals.vms) == 3
    for column, vm in enumerate(totals.vms):
        name = f"{vm.vm} {vm.name}"
        assert times[name][:6] == [stats.show_share(vm.share)] + [
            stats.format_ns(ns or 0) for ns in (vm.run_ns, vm.guest_ns, vm.ready_ns,
                                                vm.blocked_ns)] + [str(vm.switches)]
        assert ticks[name][:4] == [str((vm.ticks or {}).get(key, "-")) for key in stats.TOTALS]
        assert {reason: int(row[column]) for reason, row in exits.items() if int(row[column])} == {
            **(vm.exits or {}), "all": sum((vm.exits or {}).values())}
    assert times["idle"][1] == stats.format_ns(totals.idle_ns or 0)


def test_the_walk_can_be_stepped_through(page: Page, demo: Path) -> None:
    (drawn,) = Walks(load(str(demo / "trace.bin")))
    words, last = sentences(drawn), len(drawn.refs)
    assert "The whole walk: 24 references" in page.text("output")
    assert page.classes("step-1") == [1] and page.classes("later") == []
    forth = page.browser.find_element(By.CSS_SELECTOR, "button[data-by='1']")
    for k in (1, 2, 3):
        forth.click()
        assert page.text("output") == f"{k} of 24: {words[k - 1]}"
        assert page.classes("now") == [k] and page.classes("later") == list(range(k + 1, 25))
    slider = page.browser.find_element(By.CSS_SELECTOR, "input[type=range]")
    slider.send_keys(Keys.END)
    assert page.text("output") == f"24 of 24: {words[last - 1]}" and page.classes("later") == []
    forth.click()
    slider.send_keys(Keys.ARROW_LEFT)
    assert page.text("output").startswith("23 of 24:") and page.classes("later") == [24]
    page.browser.find_element(By.CSS_SELECTOR, "button.whole").click()
    assert page.classes("later") == page.classes("now") == []


def test_why_there_are_24(page: Page) -> None:
    rows = page.table(".sum")
    assert rows["find and read the gL4 table"] == ["4", "1", "5", "1 to 5"]
    assert rows["find the data"] == ["4", "", "4", "21 to 24"]
    assert list(rows.values())[-1] == ["20", "4", "24", "(4 + 1) × (4 + 1) − 1 = 24"]


def test_light_and_dark_and_narrow(page: Page) -> None:
    def media(**values: Any) -> None:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", values)

    def color(selector: str, name: str) -> str:
        found = f"getComputedStyle(document.querySelector('{selector}'))['{name}']"
        red, green, blue = page.js(found + r".match(/\d+/g).slice(0, 3).map(Number)")
        return f"#{red:02x}{green:02x}{blue:02x}"

    try:
        for scheme, theme in (("dark", DARK), ("light", LIGHT)):
            media(features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert (color("body", "backgroundColor"), color("body", "color")) == (theme.page,
                                                                                  theme.ink)
            assert color("td .key, .together .key", "backgroundColor") == theme.vm(1)
            # A picture keeps the paper for which its colours were chosen.
            paper = page.js("document.querySelector('svg polygon').getAttribute('fill')")
            assert paper == LIGHT.page
        page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 420, "height": 800, "deviceScaleFactor": 1, "mobile": False})
        assert page.js("document.documentElement.scrollWidth") <= 420
    finally:
        media(features=[])
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_page_is_whole_without_its_script(browser: Any, demo: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page = Page(browser, demo / "report.html")
        assert not browser.find_element(By.CSS_SELECTOR, ".step-tools").is_displayed()
        assert browser.find_element(By.CSS_SELECTOR, ".walk svg").is_displayed()
        assert "Page walk" in page.text("body")
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_nothing_that_a_guest_writes_runs(browser: Any, tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "trace.bin", cmdline=EVIL, platform=EVIL[:20])
    w.emit("vm_create", vm=1, ns=0, args=EVIL).emit("check", vm=1, name=EVIL)
    w.emit("sched_pick", vm=1, ns=5)
    nested_walk(w, vm=1)
    w.emit("panic", message=EVIL).emit("vm_end", vm=1, ns=9000, why=EVIL).save()
    (tmp_path / "console.txt").write_text(EVIL)
    report.index(str(tmp_path), str(tmp_path / "index.html"))
    (tmp_path / "report.html").write_text(report.render(gather(str(tmp_path))))
    for name in ("report.html", "index.html"):
        page = Page(browser, tmp_path / name)
        assert page.errors() == [] and page.js("window.hacked === undefined")
        assert page.js("document.scripts.length") == 1
        # Even text that did get into the page would not run: its policy forbids it.
        page.browser.execute_script("document.body.insertAdjacentHTML('beforeend', arguments[0])",
                                    "<img src='data:,' onerror='window.hacked = 1'>")
        page.browser.execute_async_script("setTimeout(arguments[0])")
        assert page.js("window.hacked === undefined")
        assert all("Content Security Policy" in error for error in page.errors())


def test_what_was_not_recorded_is_said(browser: Any, tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "trace.bin", cmdline="trace=memory")
    w.emit("vm_create", vm=1, ns=0, args="ticker").emit("map", vm=1, ns=70).save()
    (tmp_path / "report.html").write_text(report.render(gather(str(tmp_path / "trace.bin"))))
    page = Page(browser, tmp_path / "report.html")
    words = page.text("body")
    assert "Not recorded, by the run's option trace=memory: scheduling, exits" in words
    assert page.table("#times")["1 ticker"][:6] == ["-"] * 6 and "0 ns" not in page.text("#times")
    assert "did not record exits" in words and "did not record timer ticks" in words
    assert "trace=memory, which leaves them out" in words and "0.00 %" not in words
    assert page.errors() == []


@pytest.mark.parametrize("name", ["walk.svg", "timeline.svg"])
def test_the_pictures_have_a_background_of_their_own(browser: Any, demo: Path, tmp_path: Path,
                                                     name: str) -> None:
    """A README shows them on whatever the reader's theme is: dark as well."""
    shutil.copy(demo / name, tmp_path / name)
    (tmp_path / "readme.html").write_text(f"<body style='background:#000'><img src='{name}'>")
    page = Page(browser, tmp_path / "readme.html")
    box = page.js("document.images[0].getBoundingClientRect().toJSON()")
    shot = image.imread(io.BytesIO(browser.get_screenshot_as_png()))
    x, y = round(box["left"]) + 4, round(box["top"]) + 4
    assert box["width"] > 600 and shot[1, 1, :3].max() == 0
    assert shot[y, x, :3].min() == 1


def test_each_of_two_walks_is_stepped_through_alone(browser: Any, tmp_path: Path) -> None:
    shadow_run(tmp_path / "trace.bin")
    (tmp_path / "report.html").write_text(report.render(gather(str(tmp_path))))
    page = Page(browser, tmp_path / "report.html")
    second = browser.find_elements(By.CSS_SELECTOR, ".walk")[1]
    second.find_element(By.CSS_SELECTOR, "button[data-by='1']").click()
    assert page.text("output").startswith("The whole walk: 8 references")
    assert second.find_element(By.CSS_SELECTOR, "output").text.startswith("1 of 24: ")
    assert page.js("[...document.querySelectorAll('.walk')].map("
                   "box => box.querySelectorAll('.later').length > 0)") == [False, True]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": 420, "height": 800, "deviceScaleFactor": 1, "mobile": False})
    try:
        assert page.js("document.documentElement.scrollWidth") <= 420
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert page.errors() == []
