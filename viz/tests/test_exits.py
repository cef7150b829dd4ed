"""Exits by cause: what the VMM did tells one #PF exit from another."""
from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from viz import exits
from viz.__main__ import main
from viz.tests.synth import TraceWriter
from viz.trace import TraceError, load

# An exit's reason, what is recorded behind it, the cause that follows, and how long it takes.
STORY: List[Tuple[str, List[Tuple[str, Dict[str, object]]], str, int]] = [
    ("EXCEPTION", [("shadow_fault", {"hidden": 1}), ("shadow_fill", {})], "hidden", 100),
    ("EXCEPTION", [("shadow_fault", {"hidden": 1}), ("shadow_fill", {})], "hidden", 120),
    ("EXCEPTION", [("shadow_fault", {"hidden": 0}), ("inject", {"vector": 14})], "reflected", 50),
    ("EXCEPTION", [("shadow_fault", {"hidden": 1}), ("shadow_write", {"size": 8})], "table", 400),
    ("EXCEPTION", [("shadow_fault", {"hidden": 1}), ("shadow_unsync", {}), ("shadow_fill", {})],
     "unsync", 300),
    ("EXCEPTION", [("shadow_fault", {"hidden": 1}), ("mmio", {})], "device", 500),
    ("EXCEPTION", [("inject", {"vector": 6})], "other exception", 10),
    ("INVLPG", [("shadow_sync", {})], "invlpg", 70), ("CR", [("shadow_root", {})], "cr", 80),
    ("NESTED", [("nested_fault", {}), ("map", {})], "nested", 90),
    ("NESTED", [("nested_fault", {}), ("mmio", {"gpa": 0x7fff})], "device", 95),
    ("IO", [("io", {})], "io", 20), ("INTR", [], "interrupt", 30), ("CPUID", [], "rest", 40),
    ("NESTED", [("nested_fault", {}), ("mmio", {"gpa": 0x8010, "write": 1})], "dropped", 85)]


def record(path: Path, story: List = STORY, vm: int = 1, mmu: str = "shadow", **options) -> str:
    writer = TraceWriter(path, **options)
    writer.emit("vm_create", vm=vm, ns=0, args=f"pager mmu={mmu} -- x")
    writer.emit("vm_slot", vm=vm, ns=0, gpa=0x8000, size=0x1000, access=4)
    writer.emit("vm_slot", vm=vm + 1, ns=0, gpa=0, size=0x8000, access=4)
    now = 1000
    for reason, behind, _, takes in story:
        writer.emit("exit", vm=vm, ns=now, reason=reason)
        for event, fields in behind:
            writer.emit(event, vm=vm, ns=now + 1, **fields)
        writer.emit("entry", vm=vm, ns=now + takes)
        now += 1000
    return str(writer.save())


def expected(story: List) -> Tuple[Dict[str, int], Dict[str, int]]:
    counts: Dict[str, int] = {}
    ns: Dict[str, int] = {}
    for _, _, cause, takes in story:
        counts[cause] = counts.get(cause, 0) + 1
        ns[cause] = ns.get(cause, 0) + takes
    return counts, ns


def test_each_exit_has_its_cause(tmp_path: Path) -> None:
    found = exits.of(load(record(tmp_path / "t")), "shadow")
    assert (found.counts, found.ns) == expected(STORY) and found.timed == found.counts


def test_other_vms_do_not_mix(tmp_path: Path) -> None:
    """VM 2's records stand between VM 1's; an entry of another VM ends nobody's exit."""
    writer = TraceWriter(tmp_path / "t")
    writer.emit("exit", vm=1, ns=100, reason="EXCEPTION")
    writer.emit("shadow_fault", vm=2, ns=110, hidden=0)
    writer.emit("shadow_fault", vm=1, ns=120, hidden=1)
    writer.emit("entry", vm=2, ns=150)
    writer.emit("exit", vm=2, ns=160, reason="INVLPG")
    writer.emit("entry", vm=1, ns=200)
    trace = load(str(writer.save()))
    assert exits.of(trace, "x", exits.Part(vm=1)).counts == {"hidden": 1}
    both = exits.of(trace, "x")
    assert both.counts == {"hidden": 1, "invlpg": 1} and both.ns == {"hidden": 0, "invlpg": 0}
    assert both.timed == {"hidden": 0, "invlpg": 0}


def test_what_another_vm_ran_after_has_no_time(tmp_path: Path) -> None:
    """VM 1's timer takes its turn away, twice of three times: that costs 60 ns where it can be
    told, not 20; a HLT gives it up: nothing can be told of that."""
    writer = TraceWriter(tmp_path / "t")
    for ns, reason, next_vm in ((100, "INTR", 2), (300, "INTR", 1), (500, "INTR", 2),
                                (700, "HLT", 2)):
        writer.emit("exit", vm=1, ns=ns, reason=reason)
        writer.emit("entry", vm=next_vm, ns=ns + 60)
        writer.emit("entry", vm=1, ns=ns + 90)
    said = exits.text([exits.of(load(str(writer.save())), "x", exits.Part(vm=1))])
    rows = {line.split()[0]: line.split()[1:] for line in said.split("\n\n")[0].split("\n")}
    assert rows["interrupt"] == ["3", "60", "60"] and rows["rest"] == ["1"]
    assert exits.TIMES in said and "x: 3 of 4 exits have no such time" in said


def test_a_part_of_the_run(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "t")
    for k in range(6):
        if k in (2, 4):
            writer.emit("checkpoint", vm=1, ns=1000 * k - 1, name="begin" if k == 2 else "end")
        writer.emit("exit", vm=1, ns=1000 * k, reason="IO").emit("entry", vm=1, ns=1000 * k + 5)
    trace = load(str(writer.save()))
    for part, count in ((exits.Part(), 6), (exits.Part(start="begin", end="end"), 2),
                        (exits.Part(start="end"), 2), (exits.Part(end="3us"), 4)):
        assert exits.of(trace, "x", part).counts == {"io": count}
    with pytest.raises(TraceError, match="'middle' is neither a time"):
        exits.of(trace, "x", exits.Part(start="middle"))


def test_the_table_and_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shadow = record(tmp_path / "a")
    nested = record(tmp_path / "b", [STORY[9], STORY[9], STORY[11]], mmu="nested")
    assert main(["exits", shadow, nested]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in said.split("\n\n")[0].split("\n")}
    assert rows["cause"] == ["shadow", "ns", "each", "nested", "ns", "each"]
    assert rows["nested"] == ["1", "90", "90", "2", "180", "90"] and rows["table"][:4] == [
        "1", "400", "400", "0"]
    assert rows["all"] == ["15", "1,990", "3", "200"]
    out = tmp_path / "exits.svg"
    assert main(["exits", shadow, nested, "-o", str(out)]) == 0
    words = re.findall(r"<text[^>]*>([^<]*)</text>", out.read_text())
    for word in ("shadow", "nested", "INVLPG", "400", "180", "Exits by cause", "exits"):
        assert word in words, word
    assert any(word.startswith("observed: ") for word in words)


def test_what_the_trace_lacks_is_said_with_the_numbers(tmp_path: Path,
                                                       capsys: pytest.CaptureFixture) -> None:
    """A full buffer, a file cut off, groups left out: in the table, in the picture, whose."""
    whole, full = TraceWriter(tmp_path / "whole"), TraceWriter(tmp_path / "full")
    for writer, mmu in ((whole, "nested"), (full, "shadow")):
        writer.emit("vm_create", vm=1, ns=0, args=f"pager mmu={mmu}")
        for k in range(9):
            writer.emit("exit", vm=1, ns=1000 * k, reason="IO").emit("entry", vm=1, ns=1000 * k + 5)
    full.dropped[0] = 47310
    paths = [str(whole.save()), str(full.save())]
    cut, some = tmp_path / "cut", record(tmp_path / "some", STORY[12:13], cmdline="trace=exits")
    cut.write_bytes(full.path.read_bytes()[:-300])
    for traces, said in ((paths, ["shadow: CPU 0's buffer was full: 47310 records were dropped"]),
                         ([str(cut)], ["the rest is missing", "47310 records were dropped"]),
                         ([some], ["trace=exits: ", "mapping changes"])):
        out = tmp_path / "e.svg"
        assert main(["exits", *traces]) == 0 and main(["exits", *traces, "-o", str(out)]) == 0
        drawn = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", out.read_text()))
        table = capsys.readouterr().out
        assert all(word in table and word in drawn for word in said), (table, drawn)
    assert main(["exits", paths[0]]) == 0 and "dropped" not in capsys.readouterr().out


@pytest.mark.parametrize("ending, magic", [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_formats(tmp_path: Path, ending: str, magic: bytes) -> None:
    out = tmp_path / f"e.{ending}"
    assert main(["exits", record(tmp_path / "a"), "-o", str(out)]) == 0
    assert out.read_bytes().startswith(magic)


def test_of_one_run_each_vm_has_a_column_if_their_memories_differ(tmp_path: Path,
                                                                  capsys: pytest.CaptureFixture) -> None:
    for second, head in (("nested", ["VM", "1", "(shadow)", "ns", "each", "VM", "2", "(nested)", "ns", "each"]),
                         ("shadow", ["shadow", "ns", "each"])):
        writer = TraceWriter(tmp_path / second)
        for vm, mmu in ((1, "shadow"), (2, second)):
            writer.emit("vm_create", vm=vm, ns=0, args=f"churn mmu={mmu}")
        for vm, at in ((1, 1000), (2, 2000), (2, 3000)):
            writer.emit("exit", vm=vm, ns=at, reason="IO")
            writer.emit("entry", vm=vm, ns=at + 20)
        assert main(["exits", str(writer.save())]) == 0
        rows = [line.split() for line in capsys.readouterr().out.split("\n")]
        assert rows[0][1:] == head
        assert rows[1] == (["io", "1", "20", "20", "2", "40", "20"] if second == "nested" else
                           ["io", "3", "60", "20"])


def test_two_runs_of_one_kind_are_told_apart(tmp_path: Path,
                                             capsys: pytest.CaptureFixture) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        record(tmp_path / name / "trace.bin")
    assert main(["exits", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    assert "one (shadow)" in capsys.readouterr().out


@pytest.mark.parametrize("options, words, error", [
    ({"cmdline": "trace=memory"}, [], "leaves exits out"), ({}, ["--vm", "7"], "no VM 7"),
    ({}, ["-o", "x.html"], "the ending must be one of"),
    ({}, ["--from", "9us", "--to", "4us"],
     "--to 4us (0.000004000 s) lies before --from 9us (0.000009000 s)"),
    ({}, ["--vm", "1", "--from", "1s"], "there is no exit of VM 1 from 1s in what"),
    ({}, ["--to", "500ns"], "there is no exit to 500ns in what was recorded")])
def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture, options: dict,
                             words: List[str], error: str) -> None:
    path = record(tmp_path / "t", [] if options else STORY, **options)
    assert main(["exits", path, *words]) == 2
    said = capsys.readouterr().err.strip()
    assert error in said and "\n" not in said
