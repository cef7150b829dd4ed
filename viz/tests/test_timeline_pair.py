"""Several traces on one time axis: the picture, the page, and what cannot be drawn so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Tuple

import pytest

from viz import timeline, timeline_pair
from viz.__main__ import main
from viz.tests.synth import TraceWriter, three_vms
from viz.tests.test_timeline import svg_texts
from viz.timeline_data import extract
from viz.trace import load


def run_of(path: Path, scheduler: str, turn: int, end: int = 1000, first: int = 0) -> Path:
    """Two VMs take turns: VM 1 has `turn` ns of each 100, VM 2 the rest; a CPUID or two."""
    w = TraceWriter(path)
    w.emit("sched_start", ns=first, name=scheduler)
    for vm in (1, 2):
        w.emit("vm_create", vm=vm, ns=first, args=f"guest{vm}")
        w.emit("sched_add", vm=vm, ns=first, at=first, weight=256, mcu_adv=10, slice=50, period=100)
    for at in range(first, end, 100):
        w.emit("sched_pick", vm=1, ns=at, why="SLICE_END", until=at + turn, runnable=2)
        w.emit("exit", vm=1, ns=at + 1, reason="CPUID" if scheduler == "bvt" else "IO")
        w.emit("sched_pick", vm=2, ns=at + turn, prev=1, why="SLICE_END", until=at + 100, runnable=2)
        w.emit("exit", vm=2, ns=at + turn + 1, reason="IO")
    w.emit("note", ns=end)
    return w.save()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return run_of(folder / "bvt.bin", "bvt", 50), run_of(folder / "sedf.bin", "sedf", 30, 800)


def texts(out: Path, *words: str) -> List[str]:
    assert main(["timeline", *words, "-o", str(out)]) == 0
    return svg_texts(out)


def test_both_schedulers_stand_on_one_axis_with_their_shares(pair, tmp_path, capsys):
    found = texts(tmp_path / "p.svg", *map(str, pair))
    assert found.count("VM 1") == found.count("VM 2") == found.count("pCPU 0") == 2
    for word in ("Who ran when: bvt, sedf", "scheduler bvt", "scheduler sedf"):
        assert found.count(word) == 1
    shares = [word for word in found if re.fullmatch(r"[0-9.]+ % of the CPU", word)]
    assert shares == [f"{n} % of the CPU" for n in ("50.0", "50.0", "30.0", "70.0")]
    errors = re.findall(r"asked 50.0 %, error ([-+0-9.]+) %", "\n".join(found))
    assert errors == ["0.0", "0.0", "-40.0", "+40.0"]
    assert "0 to 800 ns of the virtual time of each" in found, "what both have"
    assert "VM 1, VM 2 under bvt, sedf; 0 to 800 ns" in capsys.readouterr().out


def test_what_is_simulated_is_said_to_be_modelled(tmp_path):
    w = TraceWriter(tmp_path / "t.bin", platform="simulator")
    w.emit("vm_create", vm=1, ns=0, args="simulated")
    w.emit("sched_pick", vm=1, ns=0, why="FIRST", until=900, runnable=1)
    w.emit("note", ns=900)
    facts = "\n".join(texts(tmp_path / "t.svg", str(w.save())))
    assert "modelled (the result of a model" in facts and "observed" not in facts


def test_a_part_of_the_time_and_of_the_vms(pair, tmp_path):
    found = texts(tmp_path / "p.svg", *map(str, pair), "--vm", "2", "--from", "100", "--to", "200")
    assert found.count("VM 2") == 2 and "VM 1" not in found
    assert "100 ns to 200 ns of the virtual time of each" in found


def test_a_colour_means_the_same_exit_in_all(pair):
    lines = [extract(load(str(path))) for path in pair]
    before = [[line.reasons[kind] for kind in line.exits.kind] for line in lines]
    timeline_pair.same_reasons(lines)
    assert lines[0].reasons == lines[1].reasons == ["IO", "CPUID"]
    assert [[line.reasons[kind] for kind in line.exits.kind] for line in lines] == before


def test_runs_of_one_scheduler_are_told_apart_by_number(pair, tmp_path):
    found = texts(tmp_path / "p.svg", str(pair[0]), str(pair[0]))
    assert "scheduler bvt (1)" in found and "scheduler bvt (2)" in found


def test_what_cannot_be_on_one_axis_is_refused(pair, tmp_path, capsys):
    late = run_of(tmp_path / "late.bin", "credit", 50, 5000, 4000)
    out = str(tmp_path / "p.svg")
    assert main(["timeline", str(pair[0]), str(late), "-o", out]) == 2
    assert "no virtual time in common" in capsys.readouterr().err
    assert main(["timeline", *[str(pair[0])] * 4, "-o", out]) == 2
    assert "at most 3" in capsys.readouterr().err
    assert main(["timeline", *map(str, pair), "-o", out, "--vm", "7"]) == 2
    assert "there is no VM 7" in capsys.readouterr().err


def test_the_page_has_shares_and_errors_of_both(pair, tmp_path):
    out = tmp_path / "p.html"
    timeline.draw_together([load(str(path)) for path in pair], str(out))
    page = out.read_text()
    rows = re.findall(r"<tr><td>(\d)</td><td>guest\d</td>(.*?)</tr>", page)
    assert [(vm, re.findall(r">([^<>]+)</td>", cells)) for vm, cells in rows] == [
        ("1", ["50.0 %", "0.0 %", "30.0 %", "-40.0 %"]),
        ("2", ["50.0 %", "0.0 %", "70.0 %", "+40.0 %"])]
    assert page.count("<iframe") == 2
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)[^\"']", page), "it needs no network"


@pytest.mark.browser
def test_moving_one_timeline_moves_the_other(browser, tmp_path):
    runs = [load(str(three_vms(tmp_path / f"{slice_ms}.bin", slice_ms=slice_ms)))
            for slice_ms in (5, 10)]
    timeline.draw_together(runs, str(tmp_path / "p.html"))
    browser.get((tmp_path / "p.html").as_uri())
    frames = browser.find_elements("css selector", "iframe")
    for frame in frames:
        in_frame(browser, frame, "document.documentElement.dataset.drawn > 0")
    browser.switch_to.frame(frames[0])
    browser.execute_script("timeline.view(20e6, 30e6)")
    browser.switch_to.default_content()
    in_frame(browser, frames[1], "timeline.state.start === 20e6 && timeline.state.end === 30e6")
    assert not [entry["message"] for entry in browser.get_log("browser")]


def in_frame(browser, frame, condition: str) -> None:
    """Wait in that frame until it is so."""
    from selenium.webdriver.support.ui import WebDriverWait
    browser.switch_to.frame(frame)
    WebDriverWait(browser, 60).until(lambda b: b.execute_script(f"return {condition};"))
    browser.switch_to.default_content()
