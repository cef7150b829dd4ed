"""`viz timeline`: the files it writes, and what it says when it cannot."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import List

import pytest

from viz import timeline, timeline_static, timeline_style
from viz.__main__ import main
from viz.tests.synth import TraceWriter, million_events, three_vms
from viz.trace import TraceError, load


def svg_texts(path: Path) -> List[str]:
    """The lines of text in a picture, so that a test reads what a reader reads."""
    root = ElementTree.parse(path).getroot()
    return ["".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("}text")]


def draw(trace_path: Path, out: Path, **options) -> str:
    timeline.draw(load(str(trace_path)), str(out), **options)
    return "\n".join(svg_texts(out)) if out.suffix == ".svg" else ""


@pytest.fixture(scope="module")
def trace_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return three_vms(tmp_path_factory.mktemp("timeline") / "trace.bin", sleeps=True)


@pytest.mark.parametrize("kind, magic", [("png", b"\x89PNG"), ("pdf", b"%PDF"),
                                         ("svg", b"<?xml"), ("html", b"<!doctype html>")])
def test_each_format_by_its_ending(trace_path: Path, tmp_path: Path, kind: str,
                                   magic: bytes) -> None:
    out = tmp_path / f"t.{kind}"
    assert main(["timeline", str(trace_path), "-o", str(out)]) == 0
    assert out.read_bytes().startswith(magic)


def test_it_says_what_was_written_and_where(trace_path: Path, tmp_path: Path,
                                            capsys: pytest.CaptureFixture) -> None:
    out, count = str(tmp_path / "t.svg"), len(load(str(trace_path)))
    assert main(["timeline", str(trace_path), "-o", out, "--vm", "2", "--from", "1ms",
                 "--to", "2500us"]) == 0
    assert capsys.readouterr().out == (
        f"{out}: timeline of VM 2; 1 ms to 2.5 ms, of {count:,} records\n")


def test_the_picture_says_shares_errors_and_reasons(trace_path: Path, tmp_path: Path) -> None:
    text = draw(trace_path, tmp_path / "t.svg")
    for expected in ("48.0 % of the CPU", "slice end", "blocked",
                     "ticks: 25 due, 20 delivered, 0 dropped", "exited: exit code 0",
                     "14 decisions, by reason:", "observed", "asked: an equal part"):
        assert expected in text
    assert "Aggregated" not in text


def test_an_error_is_shown_only_where_no_vm_slept(tmp_path: Path) -> None:
    """What a sleeper leaves the others is nobody's error."""
    for sleeps, count in ((True, 0), (False, 3)):
        text = draw(three_vms(tmp_path / "t", sleeps=sleeps), tmp_path / "t.svg")
        assert text.count("% of the CPU") == 3
        assert len(re.findall(r"asked 33.3 %, error [-+\u2212]?\d", text)) == count


def test_the_same_trace_gives_the_same_picture(trace_path: Path, tmp_path: Path) -> None:
    for kind in ("svg", "html", "pdf"):
        for name in "ab":
            draw(trace_path, tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_many_spans_are_aggregated_and_said(tmp_path: Path) -> None:
    path = million_events(tmp_path / "m", n=60_000, pairs=4)
    text = draw(path, tmp_path / "t.svg")
    assert "Aggregated into 1000 buckets" in text
    assert "states of VM 1, 2, 3" in text.replace("\n", " ")
    assert (tmp_path / "t.svg").stat().st_size < 4 << 20
    near = draw(path, tmp_path / "n.svg", start=1_000_000_000, end=1_100_000_000)
    assert "Aggregated" not in near and "1 s to 1.1 s of virtual time (a part" in near


def test_only_the_vms_asked_for(trace_path: Path, tmp_path: Path) -> None:
    text = draw(trace_path, tmp_path / "t.svg", vms=[2])
    assert re.findall(r"^VM \d$", text, re.M) == ["VM 2"]


def test_what_is_missing_is_said_in_the_picture(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("vm_create", vm=1, ns=0, args="greedy").emit("sched_pick", vm=1, ns=5)
    w.emit("note", ns=100)
    w.emit("panic", ns=900, message="out of frames")
    w.dropped[0] = 1234
    text = draw(w.save(), tmp_path / "t.svg")
    assert "1,234 records did not fit" in text and "panic at 900 ns: out of frames" in text
    cut = tmp_path / "cut"
    raw = three_vms(tmp_path / "whole").read_bytes()
    cut.write_bytes(raw[:len(raw) // 2])
    trace = load(str(cut))
    assert trace.warnings
    timeline.draw(trace, str(tmp_path / "cut.svg"))
    assert "! " + trace.warnings[0][:40] in "\n".join(svg_texts(tmp_path / "cut.svg"))


@pytest.mark.parametrize("option, said, unsaid", [
    ("trace=walks", ["share unknown", "scheduling was not recorded", "not recorded"],
     ["0 exits", "idle", "% of the CPU"]),
    ("trace=sched", ["100.0 % of the CPU", "idle: 0.0 %", "not recorded"], ["exits:", "0 exits"]),
])
def test_what_was_not_recorded_is_no_zero(tmp_path: Path, option: str, said: List[str],
                                          unsaid: List[str]) -> None:
    w = TraceWriter(tmp_path / "t", cmdline=option)
    w.emit("vm_create", vm=1, ns=0, args="ticker")
    if option == "trace=sched":
        w.emit("sched_pick", vm=1, ns=10)
    w.emit("note", ns=100)
    text = draw(w.save(), tmp_path / "t.svg")
    assert f"not recorded, by the run's option {option}" in text
    assert all(words in text for words in said) and not any(words in text for words in unsaid)


def test_a_vm_of_many_lives_is_counted_not_painted_over(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    for i in range(200):
        w.emit("vm_create", vm=1, ns=1000 * i, args="hostile", generation=i)
        w.emit("sched_pick", vm=1, ns=1000 * i + 100, why="CREATED")
        w.emit("vm_end", vm=1, ns=1000 * i + 600, how="HALTED" if i % 4 else "TRIPLE_FAULT",
               why="halted with interrupts off" if i % 4 else "triple fault")
    few, many = draw(w.save(), tmp_path / "f.svg", end=10_000), draw(w.path, tmp_path / "m.svg")
    assert "halted with interrupts off" in few and "halted with interrupts off" not in many
    assert "ended 200 times: halted 75 %, triple fault 25 %" in many.replace("\u00a0", " ")
    assert "host, after a VM's end: 49.9 %" in many and "50.1 % of the CPU" in many


def test_the_full_buffer_is_marked(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("vm_create", vm=1, ns=0, args="x").emit("sched_pick", vm=1, ns=1).emit("note", ns=50)
    w.dropped[0] = 1
    text = draw(w.save(), tmp_path / "t.svg")
    assert "buffer full" in text and "as far as the records go" in text
    assert "the whole trace" not in text


def test_a_vm_that_runs_for_moments_is_seen(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("vm_create", vm=1, ns=0, args="x").emit("sched_pick", vm=0, ns=0, why="IDLE")
    w.emit("sched_pick", vm=1, ns=500_000).emit("sched_pick", vm=0, ns=500_010, prev=1)
    w.emit("note", ns=1_000_000)
    draw(w.save(), tmp_path / "t.svg")
    color = timeline_static.T.vm(1)
    lines = re.findall(rf"<path [^>]*stroke: {color}; stroke-width: 0.4", (
        tmp_path / "t.svg").read_text())
    assert len(lines) == 2  # in its lane and in the pCPU's


def test_no_scheduling_decision_is_said(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    w.emit("vm_create", vm=1, ns=0, args="hello").emit("exit", vm=1, ns=100, reason="IO")
    assert "no scheduling decision" in draw(w.save(), tmp_path / "t.svg")


@pytest.mark.parametrize("options, words", [
    (["--vm", "9"], "there is no VM 9 (there are: 1, 2, 3)"),
    (["--from", "5s"], "nothing between --from and --to"),
    (["--from", "20ms", "--to", "10ms"], "nothing between --from and --to"),
])
def test_a_wrong_choice_is_one_line(trace_path: Path, tmp_path: Path, options: List[str],
                                    words: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["timeline", str(trace_path), "-o", str(tmp_path / "t.svg"), *options]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_an_unknown_format_is_refused(trace_path: Path, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="one of .svg, .png, .pdf, .html"):
        draw(trace_path, tmp_path / "t.gif")


@pytest.mark.parametrize("kind", ["svg", "png", "html"])
def test_odd_traces_draw(tmp_path: Path, kind: str) -> None:
    """One record; no VM; a VM that is created anew a thousand times."""
    one = TraceWriter(tmp_path / "one").emit("trace_start", ns=7)
    many = TraceWriter(tmp_path / "many")
    for i in range(1000):
        many.emit("vm_create", vm=1, ns=1000 * i, args="hostile", generation=i)
        many.emit("sched_pick", vm=1, why="CREATED")
        many.emit("vm_end", vm=1, ns=1000 * i + 900, how="TRIPLE_FAULT", why="$x^2$ & <b>")
    for writer in (one, many):
        draw(writer.save(), tmp_path / f"t.{kind}")
        assert (tmp_path / f"t.{kind}").stat().st_size > 1000


def test_text_from_a_guest_cannot_leave_its_place(tmp_path: Path) -> None:
    evil = "</script><img src=x> -- hz=1"
    w = TraceWriter(tmp_path / "t", cmdline="<script>alert(1)</script>")
    w.emit("vm_create", vm=1, ns=0, args=evil).emit("note", ns=10, text="<!--<script>")
    draw(w.save(), tmp_path / "t.html")
    page = (tmp_path / "t.html").read_text()
    assert page.count("</script>") == page.count("<script") == 3
    assert "<img" not in page and "alert(1)</" not in page


def test_strange_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    """matplotlib would take $..$ for mathematics, XML forbids control characters."""
    w = TraceWriter(tmp_path / "t", cmdline="$a^$")
    w.emit("vm_create", vm=1, ns=0, args="$\\no$\x01&<b>").emit("sched_pick", vm=1, ns=5)
    w.emit("vm_end", vm=1, ns=10, how="KILLED", why="$\\frac$\x02")
    text = draw(w.save(), tmp_path / "t.svg")
    assert "$\\no$?&<b>" in text and "killed: $\\frac$?" in text and "$a^$" in text


def test_the_page_names_no_other_resource(trace_path: Path, tmp_path: Path) -> None:
    draw(trace_path, tmp_path / "t.html")
    page = (tmp_path / "t.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)|https?://|@import|url\(""", page)


@pytest.mark.parametrize("text, ns", [("250ms", 250_000_000), ("1.5s", 1_500_000_000),
                                      ("10us", 10_000), ("7ns", 7), ("42", 42)])
def test_times_are_read(text: str, ns: int) -> None:
    assert timeline_style.parse_time(text) == ns


@pytest.mark.parametrize("text", ["", "ms", "-1s", "nan", "1h", "1e30s"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        timeline_style.parse_time(text)


@pytest.mark.parametrize("ns, text", [(0, "0"), (7, "7 ns"), (1500, "1.5 us"),
                                      (12_345_678, "12.35 ms"), (10**10, "10 s")])
def test_times_are_shown(ns: int, text: str) -> None:
    assert timeline_style.show_time(ns) == text


def test_more_vms_than_colours_are_hatched(tmp_path: Path) -> None:
    w = TraceWriter(tmp_path / "t")
    for vm in range(1, 11):
        w.emit("vm_create", vm=vm, ns=0, args=f"guest{vm}")
    for vm in range(1, 11):
        w.emit("sched_pick", vm=vm, ns=vm * 1000)
    w.emit("note", ns=12_000)
    text = draw(w.save(), tmp_path / "t.svg")
    assert "VM 10" in text
    assert timeline_static.vm_hatch(9) and "<pattern" in (tmp_path / "t.svg").read_text()
