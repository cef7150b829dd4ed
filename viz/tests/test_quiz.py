"""The quiz: its answers are those of the walk, and are not to be seen before they are given."""
from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest

from viz import quiz, quiz_page, walk
from viz import quiz_questions as asked
from viz.__main__ import main
from viz.quiz_questions import Question, canonical
from viz.tests import walks as kinds
from viz.tests.synth import TraceWriter, nested_walk
from viz.trace import load
from viz.walk_data import Walk, Walks

GVA = 0x7F12_3456_7ABC
ABOUT = {"name": "walker", "which": "walk 1 of 1", "platform": "qemu-svm", "provenance": "computed"}


def walked(folder: Path, make: Callable[[TraceWriter], object]) -> Walk:
    writer = TraceWriter(folder / "trace.bin")
    make(writer)
    return Walks(load(str(writer.save())))[0]


def by_prompt(drawn: Walk) -> Dict[str, Question]:
    return {question.prompt: question for question in asked.questions(drawn)}


def test_the_answers(tmp_path: Path) -> None:
    """Recomputed from the address and the tables that synth.nested_walk() says it makes."""
    drawn = walked(tmp_path, lambda w: nested_walk(w, gva=GVA, access=1))
    found = by_prompt(drawn)
    for level in (4, 3, 2, 1):
        index = GVA >> 12 + 9 * (level - 1) & 511
        prompt = f"Which entry of the gL{level} table is read at {{mark}}: its index?"
        assert found[prompt].answer == f"{index:x}" and f"{index:#x}" in found[prompt].why
        assert f"bits {11 + 9 * level} to {3 + 9 * level}." in found[prompt].rule
    for level, table in ((4, 0x1000), (3, 0x2000), (2, 0x3000), (1, 0x4000)):
        host = found[f"At which hPA does the gL{level} table lie, at {{mark}}?"]
        assert host.answer == f"{table + 0x4000_0000:x}" and f"{table:x}" in host.mistakes
    for level, table in ((3, 0x2000), (2, 0x3000), (1, 0x4000)):
        assert found[f"At which gPA does the gL{level} table begin, at {{mark}}?"].answer == f"{table:x}"
    assert found["To which gPA does the address lead, at {mark}?"].answer == "600abc"
    assert found["To which hPA does the address lead, at {mark}?"].answer == "40600abc"
    known = found["After how many references is the gPA known, at {mark}?"]
    total = found["After how many references is the hPA known, at {mark}?"]
    assert (known.answer, total.answer) == ("20", "24")
    assert {"4", "8", "24"} <= set(known.mistakes) and {"4", "8", "20"} <= set(total.mistakes)
    assert found["May a user write to this page, as far as the guest's own tables say?"].answer == "yes"


@pytest.mark.parametrize("guest, nested, right", [(2, 1, "4K"), (1, 2, "4K"), (3, 2, "2M"),
                                                  (2, 2, None)])
def test_the_smaller_page_counts(tmp_path: Path, guest: int, nested: int, right: Any) -> None:
    drawn = walked(tmp_path, lambda w: nested_walk(w, guest_leaf=guest, nested_leaf=nested))
    found = by_prompt(drawn).get("As a page of which size can a TLB hold this translation?")
    assert (found.answer if found else None) == right


def test_faults(tmp_path: Path) -> None:
    found = list(asked.questions(walked(tmp_path, kinds.write_denied)))
    blame = next(question for question in found if question.kind == "fault")
    assert blame.answer == "15" and "20" in blame.mistakes
    assert next(question for question in found if question.kind == "error").answer == "7"


@pytest.mark.parametrize("form, said, means", [
    ("hex", " 0X0035 ", "35"), ("hex", "ABC", "abc"), ("hex", "0x0", "0"), ("hex", "", ""),
    ("hex", "0", "0"), ("hex", "12_34", "1234"), ("number", "020", "20"), ("number", "x", "x"),
    ("size", "2 MiB", "2M"), ("size", "4k", "4K"), ("size", "1GB", "1G"), ("flags", "w, p a", "A P W"),
    ("flags", "P W W", "P W"), ("flags", "PWUAD", "A D P U W"), ("flags", "nxpPSa", "A NX P PS"),
    ("flags", "777777", "7"), ("yes", "Y", "yes"), ("yes", "no", "no")])
def test_how_answers_are_compared(form: str, said: str, means: str) -> None:
    assert canonical(form, said) == means


@pytest.mark.parametrize("make", kinds.KINDS, ids=lambda make: make.__name__)
def test_nothing_hides_what_another_needs(make: Callable, tmp_path: Path) -> None:
    drawn = walked(tmp_path, make)
    for seed in range(20):
        chosen = asked.choose(drawn, 10, seed)
        assert chosen == asked.choose(drawn, 10, seed)
        gone = [(i, place) for i, one in enumerate(chosen) for place in one.hides | one.covers]
        for i, one in enumerate(chosen):
            assert not {place for j, place in gone if j != i} & one.needs
            assert one.answer == canonical(one.form, one.answer) != ""
            assert one.answer not in one.mistakes
            assert all(place.split()[0] in {word.split()[0] for word in asked.PLACES}
                       for place in one.hides | one.covers | one.needs)


@pytest.mark.parametrize("make", [nested_walk, kinds.ept_large, kinds.pae, kinds.legacy_4m],
                         ids=lambda make: make.__name__)
def test_an_example_is_of_what_is_asked_and_not_the_answer(make: Callable, tmp_path: Path) -> None:
    found = [q for q in asked.questions(walked(tmp_path, make)) if q.form == "flags"]
    assert found
    for question in found:
        names = question.prompt.split(" of ")[1].rstrip("?").split(", ")
        assert set(question.example.split()) <= set(names) and len(names) > 1
        assert canonical("flags", question.example) != question.answer
        assert question.example in asked.how(question)


def test_seeds_ask_differently(tmp_path: Path) -> None:
    drawn = walked(tmp_path, nested_walk)
    assert len({tuple(q.prompt for q in asked.choose(drawn, 8, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("make", [m for m in kinds.KINDS if m is not kinds.segment_limit],
                         ids=lambda make: make.__name__)
def test_the_picture_does_not_show_what_is_hidden(make: Callable, tmp_path: Path) -> None:
    """A question's picture is the same whatever its answer is: only its places differ."""
    drawn = walked(tmp_path, make)
    whole = walk.dot(drawn, ABOUT)
    for question in asked.questions(drawn):
        places = question.hides | question.covers
        one, other = (walk.dot(drawn, ABOUT, {place: mark for place in places})
                      for mark in ("A?", "Z?"))
        assert one.replace("A?", "Z?") == other
        if places - {"tlb"}:
            assert one != whole and "A?" in one, question.prompt


class Attributes(HTMLParser):
    """All words of a page: attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: List[str] = []
        self.feed(re.sub(r"<script>.*?</script>|<style>.*?</style>", "", page, flags=re.S))

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Any]]) -> None:
        self.values += [str(value) for name, value in attrs if name.startswith("data-")]

    def handle_data(self, data: str) -> None:
        self.values.append(data)


def test_the_page_does_not_tell(tmp_path: Path) -> None:
    def make(writer: TraceWriter) -> None:
        nested_walk(writer, gva=GVA, guest_leaf=2)

    drawn = walked(tmp_path, make)
    for seed in range(3):
        chosen = asked.choose(drawn, 8, seed)
        page = quiz_page.page(drawn, chosen, ABOUT, seed)
        words = Attributes(page).values
        for question in chosen:
            assert question.why not in page and not any(text in page
                                                        for text in question.mistakes.values())
            assert not any(canonical(question.form, word) == question.answer
                           for word in words if len(word) < 40 and question.hides
                           and question.kind in ("gpa", "hpa"))
            if question.kind in ("hpa", "table") and len(question.answer) > 4:
                assert not re.search(rf"\b(0x)?{question.answer}\b", page), question.prompt


def test_seals(tmp_path: Path) -> None:
    salt = b"salt"
    sealed = bytes.fromhex(quiz_page.seal("35", "because: ä", salt))

    def opened(answer: str) -> Tuple[bool, bytes]:
        key = quiz_page.hashlib.pbkdf2_hmac("sha256", answer.encode(), salt, quiz_page.ROUNDS,
                                            len(sealed))
        clear = bytes(a ^ b for a, b in zip(sealed, key))
        return clear[:quiz_page.CHECK] == bytes(quiz_page.CHECK), clear[quiz_page.CHECK:]

    assert opened("35") == (True, "because: ä".encode())
    assert not any(opened(f"{n:x}")[0] for n in range(512) if n != 0x35)


def test_in_the_terminal(tmp_path: Path) -> None:
    drawn = walked(tmp_path, lambda w: nested_walk(w, gva=GVA))
    chosen = asked.choose(drawn, 3, 1)
    first, second, _ = chosen
    answers = iter([first.answer, "nonsense", *list(second.mistakes)[:1], ""])
    said: List[str] = []

    def read(prompt: str) -> str:
        answer = next(answers, None)
        if answer is None:
            raise EOFError
        return answer + "\n"

    assert quiz.ask(drawn, chosen, read, said.append) == 1
    text = "\n".join(said)
    assert f"Right. {first.why} ({first.manual})" in text and f"No. {second.rule}" in text
    for sentence in list(second.mistakes.values())[:1]:
        assert f"No. {sentence} {second.rule}" in text
    assert f"{second.answer}. {second.why}" in text and "1 of 3 right." in text


def test_the_listing_has_the_gaps(tmp_path: Path) -> None:
    drawn = walked(tmp_path, lambda w: nested_walk(w, gva=GVA))
    index = next(q for q in asked.questions(drawn) if q.prompt.startswith("Which entry of the gL4"))
    text = "\n".join(quiz.listing(drawn, asked.hidden([index])))
    assert "gL4[A?]" in text and "gL4[0xfe]" not in text
    assert f"{0x1000 + 8 * 0xFE:#x}" not in text     # the low bits of a nested gPA would tell it


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                     capsys: pytest.CaptureFixture) -> None:
    walked(tmp_path, nested_walk)
    trace = str(tmp_path / "trace.bin")
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n"))
    assert main(["quiz", trace, "--count", "2"]) == 0
    assert "of 2 right." in capsys.readouterr().out
    assert main(["quiz", trace, "-o", str(tmp_path / "q.html")]) == 0
    assert capsys.readouterr().out.endswith("q.html: 8 questions about walk 1, VM 1\n")
    for words, error in ((["-o", "q.svg"], "must be .html"), (["--count", "0"], "1 to 26"),
                         (["--n", "7"], "there is no walk 7")):
        assert main(["quiz", trace, *words]) == 2
        assert error in capsys.readouterr().err
