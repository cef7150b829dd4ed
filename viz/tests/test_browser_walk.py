"""A walk's own page in headless Chromium: stepping, keys, playing, printing, no network."""
from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any, List

import pytest

from viz import walk_words
from viz.__main__ import main
from viz.tests import walks as kinds
from viz.tests.synth import TraceWriter, nested_walk
from viz.trace import load
from viz.walk_data import Walks
from viz.walk_steps import sentences

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402


class Page:
    """The page of the first walk of a trace."""

    def __init__(self, browser: Any, folder: Path, make: Any) -> None:
        writer = TraceWriter(folder / "trace.bin")
        writer.emit("vm_create", vm=1, args="<b>walker")
        make(writer)
        trace = load(str(writer.save()))
        self.walk, self.file = Walks(trace)[0], folder / "walk.html"
        assert main(["walk", trace.path, "--n", "1", "-o", str(self.file)]) == 0
        self.browser = browser
        browser.get(self.file.as_uri())

    def js(self, expression: str) -> Any:
        return self.browser.execute_script(f"return ({expression});")

    def press(self, key: str) -> None:
        self.browser.find_element(By.TAG_NAME, "body").send_keys(key)

    def said(self) -> str:
        return self.browser.find_element(By.TAG_NAME, "output").text

    def in_sight(self) -> List[bool]:
        """Whether the sentence is, and all that is drawn of the reference it tells of."""
        return self.js("""(() => {
          const within = (box, over) => box.top >= over.top && box.bottom <= over.bottom &&
            box.left >= over.left && box.right <= over.right;
          const all = (found, over) => [...document.querySelectorAll(found)].every(
            e => within(e.getBoundingClientRect(), over));
          const tools = document.querySelector('.step-tools').getBoundingClientRect();
          const below = {top: tools.bottom, bottom: innerHeight, left: 0, right: innerWidth};
          return [all('.step-tools output', {...below, top: 0}), all('svg .now', below)];
        })()""")

    def steps(self, name: str) -> List[int]:
        return sorted(set(self.js(f"[...document.querySelectorAll('svg .{name}')].map(e => "
                                  r"Number(/step-(\d+)/.exec(e.getAttribute('class'))[1]))")))


def test_keys(browser: Any, tmp_path: Path) -> None:
    page = Page(browser, tmp_path, nested_walk)
    words = sentences(page.walk)
    page.press(Keys.ARROW_RIGHT)
    page.press(Keys.ARROW_RIGHT)
    assert page.said() == f"2 of 24: {words[1]}"
    assert page.steps("now") == [2] and page.steps("later") == list(range(3, 25))
    assert page.js("document.querySelector('li.now').value") == 2
    page.press(Keys.ARROW_LEFT)
    assert page.steps("now") == [1]
    browser.execute_script("scrollTo(0, 0)")
    page.press(Keys.END)
    assert page.said() == f"24 of 24: {words[23]}" and page.in_sight() == [True, True]
    page.press(Keys.HOME)
    assert page.steps("now") == [1] and page.in_sight() == [True, True]
    for width, height in ((1300, 770), (520, 770)):
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        try:
            for key in (Keys.HOME, Keys.END, Keys.HOME):
                page.press(key)
                assert page.in_sight() == [True, True], (width, key)
            assert page.js("document.querySelector('svg').getBoundingClientRect().width") >= 960
            assert page.js("document.documentElement.scrollWidth") <= width
        finally:
            browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.press(Keys.ESCAPE)
    assert page.steps("now") == page.steps("later") == [] and page.said().startswith("The whole")
    assert "<b>walker" in page.js("document.querySelector('.lead').innerText")  # not markup
    assert browser.get_log("browser") == []


def test_it_plays_to_its_end(browser: Any, tmp_path: Path) -> None:
    """The clock is the test's: each call is one beat."""
    page = Page(browser, tmp_path, kinds.shadow_pair)
    browser.execute_script("window.setInterval = (work, ms) => {window.beat = work; window.ms = ms;"
                           " return 7;}; window.clearInterval = () => {window.beat = null;};")
    page.press(" ")
    assert page.js("window.ms") == 1500 and page.steps("now") == [1]
    for k in range(2, 9):
        page.js("window.beat()")
        assert page.steps("now") == [k]
    assert page.js("window.beat") is None
    assert page.js("document.querySelector('.play').textContent") == "play"
    page.press(" ")
    page.press(" ")
    assert page.js("window.beat") is None and page.steps("now") == [1]


@pytest.mark.parametrize("make", [kinds.write_denied, kinds.final_fault, kinds.non_canonical,
                                  kinds.ept_violation_in_walk, kinds.ept_misconfigured,
                                  kinds.ept_large, kinds.shadow_hidden, kinds.segment_limit],
                         ids=lambda make: make.__name__)
def test_printed_it_is_whole(browser: Any, tmp_path: Path, make: Any) -> None:
    page = Page(browser, tmp_path, make)
    count = len(page.walk.refs)
    page.press(Keys.ARROW_RIGHT)
    assert page.steps("later") == list(range(2, count + 1))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        dim = page.js("[...document.querySelectorAll('svg *')]"
                      ".filter(e => getComputedStyle(e).opacity !== '1').length")
        shown = page.js("getComputedStyle(document.querySelector('.step-tools')).display")
        height = page.js("document.querySelector('svg').getBoundingClientRect().height")
        least = page.js("getComputedStyle(document.querySelector('svg')).minWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert dim == 0 and shown == "none" and least == "0px"
    assert height <= 651  # 172 mm: one page of A4
    story = walk_words.fault_story(page.walk)
    assert bool(story) == page.walk.faulted
    assert all(" ".join(text.split()) in page.js("document.body.innerText") for text in story)


def test_on_paper_it_says_once_where_it_comes_from(browser: Any, tmp_path: Path) -> None:
    """The classic walk takes two pages, the picture and the words; the picture's last line is not
    said again on a third."""
    page = Page(browser, tmp_path, nested_walk)
    (source,) = page.browser.find_elements(By.CSS_SELECTOR, ".words-of-walk .source")
    assert source.is_displayed() and source.text in page.js("document.querySelector('svg').textContent")
    printed = base64.b64decode(browser.execute_cdp_cmd(
        "Page.printToPDF", {"preferCSSPageSize": True})["data"])
    assert len(re.findall(rb"/Type */Page\b", printed)) == 2


def test_the_file_needs_nothing_else(browser: Any, tmp_path: Path) -> None:
    text = Page(browser, tmp_path, nested_walk).file.read_text("utf-8")
    assert "src=" not in text and "@import" not in text and "url(" not in text
    assert 'href="http' not in text and "default-src 'none'" in text
