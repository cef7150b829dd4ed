"""The quiz's page in headless Chromium: right and wrong answers, and the score."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, List

import pytest

from viz import quiz_page
from viz import quiz_questions as asked
from viz.tests import walks as kinds
from viz.tests.synth import TraceWriter, nested_walk
from viz.trace import load
from viz.walk_data import Walks

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

ABOUT = {"name": "walker", "which": "walk 1 of 1", "platform": "qemu-svm", "provenance": "computed"}


class Page:
    """A quiz of 6 questions, open."""

    def __init__(self, browser: Any, folder: Path, make: Any) -> None:
        writer = TraceWriter(folder / "trace.bin")
        make(writer)
        drawn = Walks(load(str(writer.save())))[0]
        self.chosen: List[asked.Question] = asked.choose(drawn, 6, 3)
        (folder / "quiz.html").write_text(quiz_page.page(drawn, self.chosen, ABOUT, 3), "utf-8")
        self.browser = browser
        browser.get((folder / "quiz.html").as_uri())

    def give(self, k: int, answer: str) -> str:
        """Answer question k; what the page says."""
        box = self.browser.find_elements("css selector", ".quiz li")[k]
        said = box.find_element("tag name", "output")
        self.browser.execute_script("arguments[0].textContent = '';", said)
        field = box.find_element("tag name", "input")
        field.clear()
        field.send_keys(answer + "\n")
        WebDriverWait(self.browser, 30).until(lambda _: said.text)
        return said.text

    def score(self) -> str:
        return self.browser.find_element("css selector", ".score").text


@pytest.mark.parametrize("make", [lambda w: nested_walk(w, guest_leaf=2), kinds.shadow_hidden],
                         ids=["nested", "shadow"])
def test_answers(browser: Any, tmp_path: Path, make: Any) -> None:
    page = Page(browser, tmp_path, make)
    count = len(page.chosen)
    assert count == 6 and page.score() == f"0 of {count} right."
    asks = [form.text for form in browser.find_elements("css selector", ".quiz form label")]
    for k, question in enumerate(page.chosen):
        assert f"({asked.how(question)})" in asks[k]
        assert page.give(k, "777777") == f"No. {question.rule} ({question.manual})"
        for wrong, sentence in list(question.mistakes.items())[:1]:
            assert page.give(k, wrong) == f"No. {sentence} {question.rule} ({question.manual})"
        assert page.give(k, question.answer) == f"Right. {question.why} ({question.manual})"
    assert page.score() == f"{count} of {count} right."
    page.give(0, "")
    assert page.score() == f"{count - 1} of {count} right." and browser.get_log("browser") == []


def test_both_sides_compare_alike(browser: Any, tmp_path: Path) -> None:
    Page(browser, tmp_path, nested_walk)
    samples = [(form, text) for form in asked.FORMS for text in (
        " 0X0035 ", "ABC", "0x0", "", "0", "00", "0x", "12_34", "2 MiB", "4k", "1GB", "w, p a",
        "P  W W", "pwnxPS a", "U+W", "Y", "n", "No", " 1 g ")]
    found = browser.execute_script(
        f"return {json.dumps(samples)}.map(([form, text]) => canonical(form, text))")
    assert found == [asked.canonical(form, text) for form, text in samples]
