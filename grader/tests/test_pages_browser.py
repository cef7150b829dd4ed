"""The handouts' pages in headless Chromium: from file://, without a network, wide and narrow.

The site is built from our texts with a stand-in for each figure, since figures.py is
tried elsewhere; one very wide table and line make sure that something has to scroll.
"""
from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Iterator, List

import pytest

from grader.pages import figures, pdf, site
from grader.plan import ROOT
from viz.style import DARK, LIGHT
from viz.tests.conftest import browser  # noqa: F401  (a fixture)

pytestmark = pytest.mark.browser
WIDE = "\n\n" + "|".join(["", *["a column of some width"] * 12, ""]) + "\n" + "|-" * 12 + "|\n" \
    + "\n```c\n" + "int x; " * 80 + "\n```\n\n`" + "long/" * 60 + "`\n"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><rect width="9"/></svg>'
LOADED = r"""(?:src|srcset|data|poster)=["']?\s*(?:https?:)?//|<link[^>]*href=["'](?!data:)
             |url\(\s*["']?(?!\#|data:)|@import|<script|<iframe|<object|<embed"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    folder = tmp_path_factory.mktemp("the handouts #1")
    tree = folder / "tree"
    shutil.copytree(ROOT / "handouts", tree / "handouts")
    (tree / "guests").mkdir()
    shutil.copy(ROOT / "guests" / "README.md", tree / "guests")
    with open(tree / "handouts" / "style.md", "a", encoding="utf-8") as file:
        file.write(WIDE)
    picture = folder / "picture.svg"
    picture.write_text(PICTURE)
    site.write(site.read(tree, figures.load()), folder / "site", lambda figure: picture)
    return folder / "site"


class View:
    """The browser, at one size and in one scheme of colours."""

    def __init__(self, chrome: Any) -> None:
        self.chrome = chrome

    def open(self, path: Path, width: int = 1200, scheme: str = "light") -> None:
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.chrome.get(path.as_uri())

    def js(self, expression: str) -> Any:
        return self.chrome.execute_script(f"return ({expression});")

    def errors(self) -> List[str]:
        return [entry["message"] for entry in self.chrome.get_log("browser")]


@pytest.fixture
def view(browser: Any) -> Iterator[View]:  # noqa: F811
    view = View(browser)
    yield view
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_every_page_opens_without_a_complaint(view, pages):
    found = sorted(pages.glob("*.html"))
    assert len(found) >= 7
    for page in found:
        view.open(page)
        assert not view.errors(), page.name
        assert view.js("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert view.js("document.querySelectorAll('main h1').length") >= 1


def test_a_complaint_would_be_seen(view, pages, tmp_path):
    broken = tmp_path / "broken.html"
    broken.write_text((pages / "lab0.html").read_text())  # its figures are not there
    view.open(broken)
    assert view.errors()


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_page_is_wider_than_the_screen(view, pages, width):
    for page in sorted(pages.glob("*.html")):
        view.open(page, width)
        assert view.js("document.documentElement.scrollWidth") <= width, page.name
    view.open(pages / "style.html", width)
    assert view.js("[...document.querySelectorAll('.wide, pre')]"
                   ".some(e => e.scrollWidth > e.clientWidth)")


def test_the_contents_stand_beside_the_text_or_fold(view, pages):
    shown = "getComputedStyle(document.querySelector('{}')).display != 'none'"
    for width, beside in ((1400, True), (360, False)):
        view.open(pages / "formats.html", width)
        assert view.js(shown.format(".side")) is beside
        assert view.js(shown.format(".side-narrow")) is not beside


@pytest.mark.parametrize("scheme, theme", [("light", LIGHT), ("dark", DARK)])
def test_the_page_follows_the_readers_colours(view, pages, scheme, theme):
    view.open(pages / "lab0.html", scheme=scheme)
    wanted = tuple(int(theme.page[i:i + 2], 16) for i in (1, 3, 5))
    assert view.js("getComputedStyle(document.body).backgroundColor") == "rgb(%d, %d, %d)" % wanted
    inverted = view.js("getComputedStyle(document.querySelector('figure img')).filter") != "none"
    assert inverted == (scheme == "dark")


def test_paper_is_white_and_holds_the_text_alone(view, pages):
    view.open(pages / "lab0.html", scheme="dark")
    view.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [
        {"name": "prefers-color-scheme", "value": "dark"}]})
    assert view.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for part in (".side", ".side-narrow", ".steps"):
        assert view.js(f"getComputedStyle(document.querySelector('{part}')).display") == "none"
    assert view.js("getComputedStyle(document.querySelector('figure img')).filter") == "none"
    assert view.js("getComputedStyle(document.querySelector('pre')).whiteSpace") == "pre-wrap"


def outside(html: str) -> List[str]:
    """What a page would load from elsewhere; links to follow are no such thing."""
    return re.findall(LOADED, html, re.X)


def test_nothing_is_loaded_from_elsewhere(pages):
    for page in pages.glob("*.html"):
        assert not outside(page.read_text()), page.name


@pytest.mark.parametrize("html", [
    '<img src="https://x/a.png">', '<link rel="stylesheet" href="a.css">', "<script>1</script>",
    "<style>@import 'a'</style>", "<style>a { background: url(a.png) }</style>", "<img src=//x/y>",
])
def test_what_would_be_loaded_is_found(html):
    assert outside(html)
    assert not outside('<a href="https://x">x</a><img src="figures/a.svg"><link href="data:,">')


def test_pages_are_printed_once(pages, tmp_path, monkeypatch):
    chromium = pdf.find_browser()
    assert chromium
    prints = []
    real = pdf._print
    monkeypatch.setattr(pdf, "_print", lambda *words: prints.append(words) or real(*words))
    for page in ("style", "style", "reading-order"):
        pdf.print_page(chromium, pages / f"{page}.html", tmp_path / f"{page}.pdf", tmp_path / "kept")
    assert len(prints) == 2
    assert (tmp_path / "style.pdf").read_bytes().startswith(b"%PDF-")


def test_a_browser_that_fails_is_one_sentence(pages, tmp_path):
    with pytest.raises(pdf.RunError, match="did not print style.html"):
        pdf.print_page("/bin/false", pages / "style.html", tmp_path / "x.pdf", tmp_path)
