"""The decoder on sound traces: every record, every field, times, merging, names."""

from __future__ import annotations

import random
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from viz import schema
from viz.tests import synth
from viz.tests.conftest import ROOT
from viz.trace import Trace, load


def writer(tmp_path: Path, **options) -> synth.TraceWriter:
    return synth.TraceWriter(tmp_path / "t.bin", **options)


def read(w: synth.TraceWriter) -> Trace:
    return load(str(w.save()))


def scan_plainly(raw: bytes):
    """All records of a one-CPU trace by the obvious loop, to hold the fast scan against."""
    off, _, used, _ = struct.unpack_from("<4Q", raw, 640)
    place = off
    while place < off + used:
        tsc, event, vm, vcpu, pcpu, words, flags = struct.unpack_from("<QHHBBBB", raw, place)
        yield tsc, event, vm, vcpu, pcpu, words, flags, \
            struct.unpack_from(f"<{words}Q", raw, place + 16)
        place += 16 + 8 * words


def test_every_record_is_found_as_a_plain_loop_finds_it(run_path, run_trace):
    expected = list(scan_plainly(run_path.read_bytes()))
    assert len(run_trace) == len(expected) > 500
    for i, (tsc, event, vm, vcpu, pcpu, words, flags, payload) in enumerate(expected):
        got = (run_trace.tsc[i], run_trace.event[i], run_trace.vm[i], run_trace.vcpu[i],
               run_trace.pcpu[i], run_trace.words[i], run_trace.flags[i])
        assert got == (tsc, event, vm, vcpu, pcpu, words, flags)
        assert run_trace.payload(i) == payload
    assert run_trace.warnings == []


def test_fields_words_and_texts(tmp_path):
    w = writer(tmp_path)
    w.emit("exit", vm=3, vcpu=1, ns=5, reason="CPUID", rip=0xFFFF_8000_0000_1234, info2=2**64 - 1)
    w.emit("panic", ns=6, rip=7, message="größer als nötig")
    w.emit("exit", vm=1, ns=7, reason=999)
    trace = read(w)
    exits = trace.select("exit")
    assert exits.index.tolist() == [0, 2] and exits.vm.tolist() == [3, 1]
    assert exits["info2"].tolist() == [2**64 - 1, 0] and exits["rip"].dtype == np.uint64
    assert exits.word("reason") == ["CPUID", "999"]
    assert trace.record(0) == {"ns": 5, "vm": 3, "vcpu": 1, "pcpu": 0, "event": "exit",
                               "reason": "CPUID", "rip": 0xFFFF_8000_0000_1234, "code": 0,
                               "info1": 0, "info2": 2**64 - 1}
    assert trace.select("panic").text(0) == trace.record(1)["text"] == "größer als nötig"
    assert len(trace.select("no_such_event")) == 0 == len(trace.select("no_such_event")["x"])


def test_words_that_a_record_lacks_are_zero_and_more_are_ignored(tmp_path):
    w = writer(tmp_path)
    number = synth.EVENTS["host_irq"].number
    w.raw(number, 0, 0, 0, struct.pack("<Q", 5))
    w.raw(number, 0, 0, 0, struct.pack("<3Q", 6, 7, 8))
    w.emit("note", value=1, text="the last one")
    trace = read(w)
    assert trace.select("host_irq")["vector"].tolist() == [5, 6]
    assert trace.select("note").text(0) == "the last one"
    assert trace.payload_word(np.arange(3), 2).tolist()[:2] == [0, 8]
    assert trace.warnings == []


@pytest.mark.parametrize("hz", [10**9, 3_579_545, 2_400_000_000, 10**10])
def test_times_are_rounded_down_exactly(tmp_path, hz):
    w = writer(tmp_path, clock_hz=hz, tsc_base=2**60)
    rng = random.Random(hz)
    for ns in sorted([0, 1, 999_999_999] + [rng.randrange(86_400 * 10**9) for _ in range(2000)]):
        w.emit("host_irq", ns=ns)
    trace = read(w)
    assert trace.ns.tolist() == [(int(t) - 2**60) * 10**9 // hz for t in trace.tsc]
    assert (trace.t0, trace.t1) == (0, int(trace.ns[-1]))


def test_buffers_are_merged_by_time_and_stay_in_order(tmp_path):
    w = writer(tmp_path, cpus=3)
    for i in range(300):
        w.emit("host_irq", pcpu=i % 3, ns=i // 7 * 10, vector=i)
    trace = read(w)
    assert len(trace) == 300 and (np.diff(trace.ns) >= 0).all()
    for cpu in range(3):
        own = trace.select("host_irq").where(trace.pcpu == cpu)
        assert own["vector"].tolist() == list(range(cpu, 300, 3))


def test_dropped_records_are_counted_and_said(tmp_path):
    w = writer(tmp_path, cpus=2)
    w.emit("trace_start")
    w.dropped = [0, 77]
    trace = read(w)
    assert trace.dropped == 77
    assert any("77 records were dropped" in line for line in trace.warnings)


def test_vms_are_named_by_their_creation(tmp_path, run_trace):
    assert run_trace.vms() == {1: "ticker", 2: "ticker", 3: "greedy"}
    w = writer(tmp_path)
    w.emit("vm_create", vm=2, args="/a/b.elf mem=1M -- x")
    w.emit("vm_create", vm=1)
    for _ in range(3):
        w.emit("entry", vm=9)
    trace = read(w)
    assert trace.vms() == {1: "vm1", 2: "b", 9: "vm9"}
    assert any("VM 9" in line for line in trace.warnings)


def test_header_and_schema_are_the_files_own(tmp_path):
    trace = read(writer(tmp_path, nonce=5, seed=6, cmdline="sched=rr", platform="bochs-vmx"))
    header = trace.header
    assert (header.nonce, header.seed, header.cmdline, header.platform) == (
        5, 6, "sched=rr", "bochs-vmx")
    assert (header.version, header.cpus, header.build_id[:6]) == (1, 1, "c0ffee")
    assert {e.number: e.name for e in trace.schema.by_number.values()} == {
        e.number: e.name for e in synth.EVENTS.values()}
    assert trace.schema.by_name["exit"].fields == synth.EVENTS["exit"].fields
    assert trace.schema.enums["exit_reason"][2] == "CPUID"


def test_events_of_another_schema_are_read_by_it(tmp_path):
    """A file with its own schema text: nothing in viz knows the kernel's list."""
    path = tmp_path / "other.bin"
    text = b"nestling-schema 1\nenum mood 0:BAD 7:GOOD\nevent 900 tea cups:dec mood:mood | tea\n"
    record = struct.pack("<QHHBBBB2Q", 10, 900, 4, 0, 0, 2, 0, 3, 7)
    page = synth.pack_header(1, 12288, 10**9, 0, 0, 0, len(text), "", "x", [(8192, 4096, 32, 0)])
    path.write_bytes((page + text).ljust(8192, b"\0") + record)
    trace = load(str(path))
    assert trace.record(0)["event"] == "tea" and trace.select("tea").word("mood") == ["GOOD"]


def test_a_trace_is_found_inside_a_file_of_the_machines_ram(tmp_path, run_path, run_trace):
    path = tmp_path / "memory.bin"
    with open(path, "wb") as file:
        file.seek(0x10000000)
        file.write(run_path.read_bytes())
    trace = load(str(path))
    assert trace.event.tolist() == run_trace.event.tolist()
    assert trace.record(50) == run_trace.record(50)


def test_the_helpers_list_is_the_kernels():
    """synth reads the .def by regular expressions: it must miss no event."""
    source = synth.DEF_FILE.read_text()
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    assert len(re.findall(r"\bEVENT(?:_TEXT)?\(", source)) == len(synth.EVENTS)
    assert len(re.findall(r"\bENUM\(", source)) == len(synth.ENUMS)
    assert len(re.findall(r"\bF\(", source)) == sum(len(e.fields) for e in synth.EVENTS.values())
    parsed, warnings = schema.parse(synth.schema_text())
    assert warnings == [] and set(parsed.by_name) == set(synth.EVENTS)


def test_synthetic_walks_have_the_textbook_number_of_references(tmp_path):
    for guest, nested, refs, known in ((1, 1, 24, 20), (1, 2, 19, 16), (2, 1, 19, 15),
                                       (2, 2, 15, 12), (3, 3, 8, 6)):
        w = writer(tmp_path)
        synth.nested_walk(w, guest_leaf=guest, nested_leaf=nested)
        trace = read(w)
        assert trace.select("walk_ref")["n"].tolist() == list(range(1, refs + 1))
        assert trace.select("walk_end")["gpa_refs"].tolist() == [known]
        assert trace.select("walk_end")["refs"].tolist() == [refs]


def test_a_million_records_in_bounded_memory(million):
    """Peak memory of a process that loads it and reads two columns, beyond its imports."""
    program = (
        "import resource, sys; from viz.trace import load\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); trace = load(sys.argv[1])\n"
        "sum(trace.select('exit')['reason'].tolist()[:10]); trace.select('entry')['rip'].max()\n"
        "print(len(trace), len(trace.warnings), peak() - before)\n")
    done = subprocess.run([sys.executable, "-c", program, str(million)], cwd=ROOT,
                          capture_output=True, text=True, check=True, timeout=120)
    records, warnings, kilobytes = map(int, done.stdout.split())
    assert records >= 1_000_000 and warnings == 0
    assert kilobytes < 250_000
