"""The walk drawing: which walk is drawn, what stands on the picture, errors of one line."""
from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path
from typing import Callable, List

import pytest

from viz import walk
from viz.__main__ import main
from viz.tests import walks as kinds
from viz.tests.synth import TraceWriter, nested_walk
from viz.trace import Trace, load
from viz.walk_data import Walks


def text_of(trace: Trace, tmp_path: Path, **which: int) -> str:
    """The words of the drawing, without markup."""
    walk.draw(trace, tmp_path / "w.dot", **which)
    dot = (tmp_path / "w.dot").read_text(encoding="utf-8")
    return re.sub(r"<[^<>]*>", " ", dot).replace("&#45;", "-")


def circles(dot: str) -> List[int]:
    """The numbers that stand in circles, in the order of the file."""
    return [int(n) for n in re.findall(r'label="(\d+)", shape=circle', dot)]


def one(path: Path, make: Callable[[TraceWriter], object]) -> Trace:
    writer = TraceWriter(path / "trace.bin")
    writer.emit("vm_create", vm=1, args="walker")
    make(writer)
    return load(str(writer.save()))


@pytest.mark.parametrize("guest, nested, known, refs", [
    (1, 1, 20, 24), (1, 2, 16, 19), (1, 3, 12, 14), (2, 1, 15, 19), (2, 2, 12, 15), (2, 3, 9, 11),
    (3, 1, 10, 14), (3, 2, 8, 11), (3, 3, 6, 8)])
def test_the_grid(guest: int, nested: int, known: int, refs: int, tmp_path: Path) -> None:
    trace = one(tmp_path, lambda w: nested_walk(w, guest_leaf=guest, nested_leaf=nested, access=1))
    text = text_of(trace, tmp_path)
    assert circles(text) == list(range(1, refs + 1))
    assert f"gPA known after {known}" in text and f"hPA known after {refs}" in text
    assert "VM 1 (walker)" in text and "computed:" in text and "D:0→1" in text
    for name, value in (("gL4", 0xFE), ("gL3", 0x48)):
        assert f"{name}[{value:#x}]" in text
    assert ("gL1 index" in text) == (guest == 1) and ("nL1[" in text) == (nested == 1)


def test_every_reference_shows_its_entry(tmp_path: Path) -> None:
    trace = one(tmp_path, nested_walk)
    text = text_of(trace, tmp_path)
    for ref in Walks(trace)[0].refs:
        assert f"table {ref.table:#x}" in text and f"entry {ref.after:#x}" in text


@pytest.mark.parametrize("make", kinds.KINDS, ids=lambda make: make.__name__)
def test_every_kind_is_drawn_by_graphviz(make: Callable, tmp_path: Path) -> None:
    trace = one(tmp_path, make)
    drawn = walk.draw(trace, tmp_path / "w.svg")
    svg = (tmp_path / "w.svg").read_text(encoding="utf-8")
    found = [int(n) for n in re.findall(r'<ellipse[^>]*/>\s*<text[^>]*>(\d+)</text>', svg)]
    assert found == [ref.n for ref in drawn.refs]


@pytest.mark.parametrize("make, words", [
    (kinds.unpaged, ["paging off", "nL1 index", "hPA known after 4", "root of the nested tables"]),
    (kinds.pae, ["PAE paging", "gL3 index", "bits 31–30", "gPA known after 15", "gPA 0x2000"]),
    (kinds.legacy, ["32-bit paging", "+ 4 ×", "bits 31–22", "hPA known after 14"]),
    (kinds.legacy_4m, ["4M page", "bits 21–0", "gPA known after 5"]),
    (kinds.shadow, ["shadow root", "sL4[0x0]", "sL1 index", "hPA known after 4"]),
    (kinds.shadow_pair, ["gPA: 4 references", "hPA: 4 references", "gL4 index", "sL4[0x0]",
                         "gL1[0x93]", "read by the VMM", "walked by the processor"]),
    (kinds.shadow_split, ["2M page", "gPA: 3 references", "a TLB would hold it as 4K"]),
    (kinds.shadow_legacy, ["bits 31–22", "gL2[0x201]", "sL3[0x2]", "hPA: 3 references"]),
    (kinds.shadow_hidden, ["Hidden page fault", "the guest never sees it", "Reference 7, sL2[0x2]",
                           "gPA: 4 references", "gPA 0x2aabc"]),
    (kinds.shadow_reflected, ["the VMM reflects the #PF", "Reference 4, gL1[0x93]", "write denied"]),
    (kinds.shadow_cut, ["the trace ends here", "gPA: 4 references"]),
    (kinds.one, ["one dimension", "gCR3", "gL4[0x0]"]),
    (kinds.segment_limit, ["Segment violation", "beyond the segment's limit",
                           "offset in the segment"]),
    (kinds.write_denied, ["write denied", "Reference 15, gL2[0x2]", "W = 0", "U = 1: as a user",
                          "the guest's own #PF"]),
    (kinds.final_fault, ["Reference 22, nL3[0x0], while translating the final gPA", "bit 32",
                         "I = 1: an instruction fetch", "gPA known after 20"]),
    (kinds.non_canonical, ["#GP", "bits 63 to 47"]),
    (kinds.no_memory, ["gL3: the table lies outside the memory"]),
    (kinds.cut_off, ["the trace ends here"]),
    (kinds.mixed, ["entry 0x8000001234567067", "0xffff800000493abc", "2M page",
                   "hPA known after 22"]),
    (kinds.ept, ["extended page tables (EPT)", "EPT root 0x700000", "EPT entries:", "WB",
                 "hPA known after 24"]),
    (kinds.ept_large, ["2M page", "UC", "IPAT", "hPA known after 19"]),
    (kinds.ept_pae, ["holds its directory pointers", "gL3 index", "hPA known after 14"]),
    (kinds.ept_violation, ["EPT violation: an exit to the VMM", "write denied", "Reference 24",
                           "forbids writing (W = 0)", "Exit qualification 0x1aa", "bit 1: a write",
                           "all entries together allow R X", "bit 8: while translating"]),
    (kinds.ept_violation_in_walk, ["Reference 9, nL1[0x2], while finding the gL3 table",
                                   "R = W = X = 0", "bit 8 = 0", "together allow nothing"]),
    (kinds.ept_misconfigured, ["EPT misconfiguration: an exit", "may be written but not read",
                               "no exit qualification"]),
    (kinds.ept_bad_type, ["there is no memory type 2", "type 2"]),
])
def test_words(make: Callable, words: List[str], tmp_path: Path) -> None:
    text = text_of(one(tmp_path, make), tmp_path)
    assert [word for word in words if word.replace("'", "&#x27;") not in text] == []


@pytest.mark.parametrize("make, lab", [
    (nested_walk, 5), (kinds.ept, 5), (kinds.shadow_pair, 4), (kinds.shadow_hidden, 4),
    (kinds.shadow, 4)], ids=lambda value: getattr(value, "__name__", ""))
def test_whose_walker_it_was(make: Callable, lab: int, tmp_path: Path) -> None:
    assert f"the VMM's (lab {lab}: yours); from" in text_of(one(tmp_path, make), tmp_path).replace(
        "&#x27;", "'")


@pytest.mark.parametrize("form", walk.FORMATS)
def test_a_file_that_cannot_be_written(form: str, tmp_path: Path,
                                       capsys: pytest.CaptureFixture) -> None:
    """The same words for each format, whoever makes it."""
    path, out = one(tmp_path, kinds.unpaged).path, tmp_path / "missing" / f"w.{form}"
    assert main(["walk", path, "-o", str(out)]) == 2
    assert capsys.readouterr().err == f"viz: {out}: No such file or directory\n"


def cells(text: str) -> List[str]:
    """The flags line of each entry, in the order of the references."""
    found = re.findall(r"entry 0x[0-9a-f]+ (.*?) >", text)
    return [" ".join(line.split()) for line in found]


def test_flags_are_those_of_the_format(tmp_path: Path) -> None:
    flags = cells(text_of(one(tmp_path, kinds.ept), tmp_path))
    assert flags[:5] == ["R W X A", "R W X A ps", "R W X A ps", "R W X A D WB", "P W U A nx"]
    for name in ("nCR3", "NPT"):
        assert name not in text_of(one(tmp_path, kinds.ept), tmp_path)
        assert name in text_of(one(tmp_path, kinds.mixed), tmp_path)


def test_a_nested_fault_in_the_walk_itself(tmp_path: Path) -> None:
    text = text_of(one(tmp_path, lambda w: nested_walk(w, fault_at=8)), tmp_path)
    assert "Reference 8, nL2[0x0], while finding the gL3 table" in text
    assert "known after" not in text and circles(text) == list(range(1, 9))


def test_only_the_failing_reference_is_red(tmp_path: Path) -> None:
    trace = one(tmp_path, kinds.write_denied)
    walk.draw(trace, tmp_path / "w.dot")
    lines = (tmp_path / "w.dot").read_text(encoding="utf-8").split("\n")
    bad = f'fillcolor="{walk.walk_dot.BAD}"'
    red = [line for line in lines if "shape=circle" in line and bad in line]
    assert len(red) == 1 and 'label="15"' in red[0]


def overlapping(dot: str) -> List[tuple]:
    """Pairs of nodes (lines' corners apart) that cover each other."""
    boxes = []
    for match in re.finditer(r'(n\d+) \[pos="(-?[\d.]+),(-?[\d.]+)!", width=([\d.]+), '
                             r'height=([\d.]+)(.*)\];', dot):
        name, x, y, w, h = match[1], *map(float, match.groups()[1:5])
        if "style=invis" not in match[6]:
            boxes.append((name, x - w * 36, x + w * 36, y - h * 36, y + h * 36))
    assert len(boxes) > 3
    return [(a[0], b[0]) for i, a in enumerate(boxes) for b in boxes[:i]
            if a[1] < b[2] - .5 and b[1] < a[2] - .5 and a[3] < b[4] - .5 and b[3] < a[4] - .5]


@pytest.mark.parametrize("make", kinds.KINDS, ids=lambda make: make.__name__)
def test_nothing_overlaps(make: Callable, tmp_path: Path) -> None:
    walk.draw(one(tmp_path, make), tmp_path / "w.dot")
    assert overlapping((tmp_path / "w.dot").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("make", kinds.KINDS, ids=lambda make: make.__name__)
def test_no_label_is_larger_than_its_node(make: Callable, tmp_path: Path) -> None:
    """Graphviz warns when a fixed-size node is too small for its label: none may be."""
    walk.draw(one(tmp_path, make), tmp_path / "w.dot")
    done = subprocess.run(["neato", "-n2", "-Tsvg", str(tmp_path / "w.dot")], capture_output=True,
                          text=True)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("ending, magic", [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"),
                                           ("dot", b"digraph"), ("html", b"<!DOCTYPE html>")])
def test_formats(ending: str, magic: bytes, tmp_path: Path) -> None:
    one(tmp_path, nested_walk)
    out = tmp_path / f"w.{ending}"
    assert main(["walk", str(tmp_path / "trace.bin"), "-o", str(out)]) == 0
    assert out.read_bytes().startswith(magic)


def several(writer: TraceWriter) -> None:
    nested_walk(writer, vm=1, gva=0x400000, ns=10, guest_leaf=2)
    nested_walk(writer, vm=2, gva=0x400008, ns=20)
    nested_walk(writer, vm=2, gva=0x500000, ns=30, fault_at=24)
    nested_walk(writer, vm=3, gva=0x400FF8, ns=40)


@pytest.mark.parametrize("which, number", [
    ({}, 2), ({"vm": 1}, 1), ({"vm": 3}, 4), ({"n": 3}, 3), ({"gva": 0x500000}, 3),
    ({"gva": 0x400000}, 1), ({"gva": 0x400123}, 2), ({"gva": 0x400123, "vm": 3}, 4)])
def test_which_walk_is_drawn(which: dict, number: int, tmp_path: Path) -> None:
    trace = one(tmp_path, several)
    assert walk.draw(trace, tmp_path / "w.dot", **which).number == number


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    one(tmp_path, several)
    assert main(["walk", str(tmp_path / "trace.bin"), "--list"]) == 0
    lines = capsys.readouterr().out.strip().split("\n")
    assert [line.split()[:1] + line.split()[2:5] for line in lines[1:]] == [
        ["1", "1", "0x400000", "19"], ["2", "2", "0x400008", "24"], ["3", "2", "0x500000", "24"],
        ["4", "3", "0x400ff8", "24"]]
    assert lines[3].endswith("not present")


def test_the_list_tells_which_were_made_on_a_fault(tmp_path: Path,
                                                   capsys: pytest.CaptureFixture) -> None:
    def both(writer: TraceWriter) -> None:
        nested_walk(writer, fault_at=24)
        kinds.final_fault(writer)

    one(tmp_path, both)
    assert main(["walk", str(tmp_path / "trace.bin"), "--list"]) == 0
    _, asked, met = capsys.readouterr().out.rstrip().split("\n")
    assert asked.endswith(" not present") and met.endswith(" not present, made on a fault")


def test_walks_of_two_cpus_do_not_mix(tmp_path: Path) -> None:
    """Records of two CPUs interleave in time; each walk keeps its own references."""
    writer = TraceWriter(tmp_path / "trace.bin", cpus=2)
    for cpu, gva in ((0, 0x1000), (1, 0x2000)):
        records = TraceWriter(tmp_path / "one")
        nested_walk(records, gva=gva)
        for i, raw in enumerate(records.buffers[0]):
            stamp = (writer.tsc_base + 2 * i + cpu).to_bytes(8, "little")
            writer.buffers[cpu].append(stamp + raw[8:13] + bytes([cpu]) + raw[14:])
    trace = load(str(writer.save()))
    for drawn, gva in zip(Walks(trace), (0x1000, 0x2000)):
        assert [ref.n for ref in drawn.refs] == list(range(1, 25)) and drawn.complete
        assert {ref.addr for ref in drawn.refs if ref.dim == "GUEST"} == {gva} == {drawn.gva}


@pytest.mark.parametrize("make, words, error", [
    (lambda w: None, [], "no page walk in this trace"),
    (several, ["--vm", "9"], "none of the 4 walks is of VM 9"),
    (several, ["--gva", "0x999000"], "for gVA 0x999000"),
    (several, ["--n", "5"], "there is no walk 5"),
    (several, ["-o", "walk.jpg"], "the ending must be one of"),
])
def test_errors_are_one_line(make: Callable, words: List[str], error: str, tmp_path: Path,
                             capsys: pytest.CaptureFixture) -> None:
    one(tmp_path, make)
    words = words if "-o" in words else words + ["-o", str(tmp_path / "w.svg")]
    assert main(["walk", str(tmp_path / "trace.bin")] + words) == 2
    lines = capsys.readouterr().err.strip().split("\n")
    assert len(lines) == 1 and error in lines[0]


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = one(tmp_path, nested_walk)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(walk.WalkError, match="install the package graphviz"):
        walk.draw(trace, tmp_path / "w.svg")
    walk.draw(trace, tmp_path / "w.dot")


@pytest.mark.parametrize("cut", range(4200, 9000, 331))
def test_a_truncated_trace_draws_what_is_there(cut: int, tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "trace.bin")
    nested_walk(writer)
    data = writer.bytes()
    kept = len(data) - cut if cut < 6000 else len(data) - 4096 - cut // 7
    (tmp_path / "cut.bin").write_bytes(data[:kept])
    trace = load(str(tmp_path / "cut.bin"))
    if len(Walks(trace)):
        walk.draw(trace, tmp_path / "w.dot")


def test_arguments() -> None:
    parser = argparse.ArgumentParser()
    walk.add_arguments(parser)
    args = parser.parse_args(["t", "--vm", "1", "--gva", "0x400000", "--n", "2", "-o", "F.svg"])
    assert (args.vm, args.gva, args.n, args.output) == (1, 0x400000, 2, "F.svg")
