"""A walk in words: every reference has its sentence, and the sum is that of the walk."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, List, Optional

import pytest

from viz import walk_page, walk_steps
from viz.__main__ import main
from viz.tests import walks as kinds
from viz.tests.synth import TraceWriter, nested_walk
from viz.trace import Trace, load
from viz.walk_data import Walk, Walks


def traced(folder: Path, make: Callable) -> Trace:
    writer = TraceWriter(folder / "trace.bin")
    make(writer)
    return load(str(writer.save()))


def one(folder: Path, make: Callable) -> Walk:
    return Walks(traced(folder, make))[0]


@pytest.mark.parametrize("guest, nested, sums, rule", [
    (1, 1, [5, 5, 5, 5, 4], "(4 + 1) × (4 + 1) − 1 = 24"),
    (2, 1, [5, 5, 5, 4], "(3 + 1) × (4 + 1) − 1 = 19"),
    (1, 2, [4, 4, 4, 4, 3], "(4 + 1) × (3 + 1) − 1 = 19"),
    (2, 2, [4, 4, 4, 3], "(3 + 1) × (3 + 1) − 1 = 15"),
    (3, 3, [3, 3, 2], "(2 + 1) × (2 + 1) − 1 = 8")])
def test_the_sum(tmp_path: Path, guest: int, nested: int, sums: List[int], rule: str) -> None:
    walk = one(tmp_path, lambda w: nested_walk(w, guest_leaf=guest, nested_leaf=nested))
    parts = walk_steps.parts(walk)
    assert [part.nested + part.guest for part in parts] == sums
    assert [part.first for part in parts] == [1 + sum(sums[:i]) for i in range(len(sums))]
    assert parts[-1].last == len(walk.refs) == sum(sums) and parts[-1].guest == 0
    assert walk_steps.formula(walk) == rule


def test_the_words_hold_what_the_references_hold(tmp_path: Path) -> None:
    walk = one(tmp_path, lambda w: nested_walk(w, gva=0x400ABC))
    said = walk_steps.sentences(walk)
    following = {ref.n: ref for ref in walk.refs}
    for ref, text in zip(walk.refs, said):
        assert text.startswith(f"{walk_steps.name(ref)} ")
        if ref.dim == "NESTED" and not ref.size:  # the next reference reads what it names
            assert f"is at hPA {following[ref.n + 1].table:#x}" in text
        if ref.dim == "NESTED" and ref.serves and ref.size:
            assert f"is hPA {following[ref.n + 1].table:#x}" in text
    assert f"gPA {walk.gpa:#x}: known after 20" in said[19]
    assert f"is hPA {walk.hpa:#x}, the data: known after 24" in said[23]


@pytest.mark.parametrize("make", kinds.KINDS, ids=lambda make: make.__name__)
def test_every_kind_has_words(tmp_path: Path, make: Callable) -> None:
    walk = one(tmp_path, make)
    assert len(walk_steps.sentences(walk)) == len(walk.refs)
    text = walk_steps.explain(walk)
    assert text.startswith(f"{len(walk.refs)} references:")
    assert ("fault" in text) == walk.faulted or "protection" in text or "memory there" in text \
        or "violation" in text


def test_a_fault_is_told_where_it_happens(tmp_path: Path) -> None:
    walk = one(tmp_path, lambda w: nested_walk(w, fault_at=8))
    said = walk_steps.sentences(walk)
    assert [("ends in a fault" in text) for text in said] == [False] * 7 + [True]
    assert "not present (P = 0)" in said[7] and walk_steps.formula(walk) is None


def test_a_guest_beside_its_shadow(tmp_path: Path) -> None:
    walk = one(tmp_path, kinds.shadow_pair)
    text, said = walk_steps.explain(walk), walk_steps.sentences(walk)
    assert " 1 to  4  the guest's own tables, read by the VMM: 4 guest" in text
    assert " 5 to  8  the shadow, walked by the processor: 4 shadow" in text
    assert "gPA" in said[0] and "hPA" not in said[0] and "gPA" not in said[4]
    assert "is known after 4" in said[7] and walk_steps.formula(walk) is None


@pytest.mark.parametrize("words, expected", [
    ([], "walk 1, VM 1, gVA 0x400000: 24 references:"), (["--n", "2"], "walk 2, VM 1, gVA 0x1000")])
def test_the_command_explains(tmp_path: Path, capsys: pytest.CaptureFixture, words: List[str],
                              expected: str) -> None:
    def make(writer: TraceWriter) -> None:
        nested_walk(writer, vm=1, gva=0x400000)
        nested_walk(writer, vm=1, gva=0x1000, fault_at=3)

    traced(tmp_path, make)
    assert main(["walk", str(tmp_path / "trace.bin"), "--explain", *words]) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("cmdline, dropped, words", [
    ("trace=io", 0, "option trace=io, which leaves them out; run it again with trace=walks"),
    ("", 0, "a guest asks for one through the test port (command 6, WALK)"),
    ("", 9, "9 records did not fit the trace buffer")])
def test_why_there_is_no_walk(tmp_path: Path, capsys: pytest.CaptureFixture, cmdline: str,
                              dropped: int, words: str) -> None:
    writer = TraceWriter(tmp_path / "trace.bin", cmdline=cmdline)
    writer.emit("vm_create", vm=1, args="x")
    writer.dropped[0] = dropped
    path = str(writer.save())
    assert main(["walk", path, "-o", str(tmp_path / "w.svg")]) == 2
    assert words in capsys.readouterr().err
    assert words in walk_page.figure(load(path)).problem


def test_a_wrong_address_is_refused_in_words(capsys: pytest.CaptureFixture) -> None:
    for word in ("main", "-4", "0x10000000000000000"):
        with pytest.raises(SystemExit):
            main(["walk", "t", f"--gva={word}"])
        assert f"'{word}' is not an address such as 0x10e000" in capsys.readouterr().err


def test_the_page_s_drawing_is_an_element_of_the_page(tmp_path: Path) -> None:
    def make(writer: TraceWriter) -> None:
        nested_walk(writer)
        nested_walk(writer, fault_at=2)

    figure = walk_page.figure(traced(tmp_path, make))
    assert figure.svg.startswith("<svg role=") and figure.svg.rstrip().endswith("</svg>")
    assert "<title>" not in figure.svg and "<!--" not in figure.svg and "<?xml" not in figure.svg
    assert (figure.count, figure.faults, len(figure.steps)) == (2, 1, 24)
    rule: Optional[str] = figure.formula
    assert rule and figure.problem == ""
