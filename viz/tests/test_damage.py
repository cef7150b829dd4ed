"""Damaged traces: a one-line error, or a partial result that says what is missing.

Never a traceback, and no more lost than the damage explains.  Every command is
run on every kind of damage; seeded bit flips and hypothesis look for more.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from viz import schema
from viz.__main__ import main
from viz.diff import Comparison, explain
from viz.export import write_chrome, write_csv
from viz.report_facts import gather
from viz.scan import order_times
from viz.stats import compute, format_text
from viz.tests import synth
from viz.trace import Trace, TraceError, load

QUIET = settings(deadline=None, derandomize=True, max_examples=120,
                 suppress_health_check=[HealthCheck.function_scoped_fixture])
COMMANDS = ["stats", "export", "walk", "timeline", "diff", "report", "exits", "tables", "quiz"]


class Sink:
    """A file that counts what it is given."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, text: str) -> int:
        self.size += len(text)
        return len(text)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "t.bin"
    return synth.three_vms(path, 20, sleeps=True, quantum_us=1000).read_bytes()


@pytest.fixture()
def put(tmp_path: Path):
    """Write bytes to a file and give its path."""
    def write(raw: bytes) -> str:
        path = tmp_path / "damaged.bin"
        path.write_bytes(raw)
        return str(path)
    return write


def area(raw: bytes) -> tuple:
    """Offset and length of the records of CPU 0."""
    off, _, used, _ = struct.unpack_from("<4Q", raw, 640)
    return off, used


def starts(raw: bytes) -> list:
    """Offsets of all records of a sound trace."""
    off, used = area(raw)
    place, result = off, []
    while place < off + used:
        result.append(place)
        place += 16 + 8 * raw[place + 14]
    return result


def use(path: str) -> Trace:
    """Everything that reads a trace; raises what a user would see as a traceback."""
    trace = load(path)
    format_text(compute(trace))
    write_chrome(trace, Sink())
    write_csv(trace, Sink(), None)
    gather(path)
    for i in range(0, len(trace), 7):
        trace.record(i)
    return trace


def one_line(error: TraceError, path: str) -> None:
    assert str(error).startswith(path) and "\n" not in str(error) and len(str(error)) < 300


# --- Not a trace at all -------------------------------------------------------

def not_traces(folder: Path, sound: bytes) -> dict:
    version2 = bytearray(sound)
    version2[8] = 2
    many = bytearray(sound)
    many[12] = 9
    other = sound.replace(b"nestling-schema 1\n", b"nestling-schema 9\n")
    files = {"empty": (b"", "is empty"), "short": (sound[:100], "too few for a header"),
             "console": (b"Nestling boots\nVM 1: hello\n" * 300, "not a trace"),
             "version": (bytes(version2), "version 2"), "cpus": (bytes(many), "9 CPUs"),
             "schema": (other, "nestling-schema 9"), "page": (sound[:4096], "before the schema"),
             "zeros": (bytes(8192), "not a trace")}
    for name, (raw, _) in files.items():
        (folder / name).write_bytes(raw)
    result = {str(folder / name): words for name, (_, words) in files.items()}
    (folder / "folder").mkdir()
    result[str(folder / "folder")] = "the folder holds no trace.bin"
    (folder / "odd" / "trace.bin").mkdir(parents=True)
    result[str(folder / "odd")] = "Is a directory"
    result[str(folder / "absent")] = "No such file"
    return result


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_s_folder_stands_for_its_trace(command, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    path = synth.three_vms(tmp_path / "run" / "trace.bin", ms=20)
    told = []
    for name in (str(path), str(path.parent)):
        words = [name, name] if command == "diff" else [name]
        out = tmp_path / ("out.html" if command in ("quiz", "timeline") else "out.svg")
        words += ["--list"] if command == "tables" else ["-o", str(out)]
        assert main([command, *words]) == 0
        told.append((capsys.readouterr().out.replace(str(path), str(path.parent)),
                     command == "tables" or out.read_bytes()))
    assert told[0] == told[1] or command == "report"   # which has no run.json to show


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_trace_is_one_line_on_stderr(command, tmp_path, sound, capsys):
    for path, words in not_traces(tmp_path, sound).items():
        more = [path] if command == "diff" else []
        out = ["-o", str(tmp_path / ("out.html" if command == "quiz" else "out.svg"))]
        assert main([command, path, *more, *out]) == 2
        said = capsys.readouterr()
        assert said.out == "" and len(said.err.splitlines()) == 1
        assert path in said.err
        assert words in said.err
        assert not (tmp_path / "out.svg").exists()


def test_an_output_that_cannot_be_written_is_one_line(put, sound, capsys):
    for command in ("stats", "export", "report"):
        assert main([command, put(sound), "-o", "/nonexistent/x"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


# --- Cut off ------------------------------------------------------------------

def test_cut_at_every_byte_around_records(put, sound):
    """What lies before the cut is read, the cut record is not, and it is said."""
    records = starts(sound)
    for k in (0, 1, 2, len(records) // 2, len(records) - 1):
        for extra in range(0, 41):
            cut = records[k] + extra
            whole = sum(1 for a in records
                        if a + 16 + 8 * sound[a + 14] <= cut)
            if cut >= len(sound):
                continue
            trace = use(put(sound[:cut]))
            assert len(trace) == whole
            assert any("the file ends" in line and "missing" in line for line in trace.warnings)


def test_cut_at_every_step_of_header_and_schema(put, sound):
    for cut in list(range(0, 4100, 64)) + list(range(4096, 9000, 97)):
        path = put(sound[:cut])
        try:
            trace = use(path)
        except TraceError as error:
            one_line(error, path)
        else:
            assert len(trace) == 0 and trace.warnings


def test_a_half_written_record_ends_its_buffer(put, sound):
    records = starts(sound)
    raw = bytearray(sound)
    raw[records[40] + 8:records[40] + 16] = bytes(8)
    trace = use(put(bytes(raw)))
    assert len(trace) == 40
    assert any(f"offset {records[40]}" in line and "half written" in line
               for line in trace.warnings)


# --- Flipped bits -------------------------------------------------------------

def flip(raw: bytes, rng: random.Random, low: int, high: int, count: int = 1) -> bytes:
    result = bytearray(raw)
    for _ in range(count):
        result[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
    return bytes(result)


@pytest.mark.parametrize("part", ["header", "schema", "records"])
def test_seeded_flips_never_end_in_a_traceback(part, put, sound):
    off, used = area(sound)
    low, high = {"header": (0, 900), "schema": (4096, off), "records": (off, off + used)}[part]
    for seed in range(150):
        path = put(flip(sound, random.Random(seed), low, high, 1 + seed % 4))
        try:
            use(path)
        except TraceError as error:
            one_line(error, path)


def test_one_flipped_bit_in_the_records_costs_at_most_three_of_them(put, sound):
    """Also when its event number became 0: a half-written record has eight zero bytes."""
    records, (off, used) = starts(sound), area(sound)
    for seed in range(400):
        raw = flip(sound, random.Random(seed), off, off + used)
        trace = load(put(raw))
        assert len(records) - 3 <= len(trace) <= len(records), f"seed {seed}"


def test_a_wrong_length_is_noticed_and_said(put, sound):
    """Every length of one record: the ones around it survive."""
    records = starts(sound)
    index = next(k for k in range(60, 200) if sound[records[k] + 8] == synth.EVENTS["exit"].number)
    place = records[index]
    for words in range(256):
        raw = bytearray(sound)
        raw[place + 14] = words
        trace = use(put(bytes(raw)))
        assert len(trace) == len(records), f"{words} words"
        assert trace.payload(index) == struct.unpack_from("<5Q", sound, place + 16)
        if words != 5:
            assert any(str(place) in line for line in trace.warnings)


def test_an_unknown_event_is_kept_and_said(put, sound):
    records = starts(sound)
    raw = bytearray(sound)
    struct.pack_into("<H", raw, records[50] + 8, 60000)
    trace = use(put(bytes(raw)))
    assert len(trace) == len(records) and trace.record(50)["event"] == "unknown_60000"
    assert any(f"offset {records[50]} has an unknown event" in line for line in trace.warnings)


def test_a_record_that_names_another_cpu_is_kept_and_said(put, sound):
    records = starts(sound)
    raw = bytearray(sound)
    raw[records[50] + 13] = 3
    trace = use(put(bytes(raw)))
    assert len(trace) == len(records) and trace.pcpu[50] == 3
    assert any(f"offset {records[50]} has an unknown event, CPU" in line
               for line in trace.warnings)


def test_a_destroyed_stretch_is_skipped_and_named(put, sound):
    records = starts(sound)
    raw = bytearray(sound)
    raw[records[60]:records[70]] = b"\xff" * (records[70] - records[60])
    trace = use(put(bytes(raw)))
    assert len(trace) == len(records) - 10
    assert any(f"bytes {records[60]} to {records[70]} make no sense" in line
               for line in trace.warnings)


def test_time_that_runs_backwards_is_mended_and_said(put, sound):
    records = starts(sound)
    for value, k in ((0, 60), (2**63, 60), (2**63, len(records) - 1), (0, len(records) - 1)):
        raw = bytearray(sound)
        struct.pack_into("<Q", raw, records[k], value)
        trace = use(put(bytes(raw)))
        good = load(put(sound))
        expected = good.ns.copy()
        expected[k] = expected[k - 1]
        assert trace.ns.tolist() == expected.tolist()
        assert any(f"offset {records[k]} cannot be" in line for line in trace.warnings)


def test_a_wrong_clock_or_base_is_said(put, sound):
    for offset, value, words in ((24, 0, "clock_hz"), (24, 2**50, "clock_hz"),
                                 (32, 2**62, "tsc_base")):
        raw = bytearray(sound)
        struct.pack_into("<Q", raw, offset, value)
        trace = use(put(bytes(raw)))
        assert len(trace) == len(starts(sound)) and trace.t1 < 10**9
        assert any(words in line for line in trace.warnings)


def test_one_lost_buffer_leaves_the_other(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin", cpus=2)
    for i in range(100):
        w.emit("host_irq", pcpu=i % 2, ns=i, vector=i)
    raw = bytearray(w.bytes())
    struct.pack_into("<Q", raw, 640, 12345)
    (tmp_path / "t.bin").write_bytes(raw)
    trace = use(str(tmp_path / "t.bin"))
    assert trace.select("host_irq")["vector"].tolist() == list(range(1, 100, 2))
    assert any("CPU 0's buffer cannot start at 12345" in line for line in trace.warnings)


def test_a_damaged_schema_line_costs_one_event(put, sound):
    raw = sound.replace(b"event 21 exit ", b"event 2x exit ")
    assert raw != sound
    trace = use(put(raw))
    assert any("schema line" in line and "left out" in line for line in trace.warnings)
    assert len(trace.select("exit")) == 0 < len(trace.select("entry"))
    assert len(trace) == len(starts(sound))


@pytest.mark.parametrize("text, left_out", [
    ("event 1 a\nevent 1 b", "line 3"), ("event 1 a\nevent 2 a", "line 3"),
    ("event 1 a\nevent 2 b x", "line 3"), ("event 1 a\nenum e 1:A 2", "line 3"),
    ("event 1 a\nevent 2 b t:text x:dec", "line 3"), ("event 1 a\nevent 70000 b", "line 3"),
    ("event 1 a\nsomething else", "line 3"), ("event 1 a x:nowhere", "unknown type 'nowhere'")])
def test_each_damage_of_the_schema_is_named(text, left_out):
    parsed, warnings = schema.parse("nestling-schema 1\n" + text)
    assert parsed.by_number[1].name == "a" and len(parsed.by_number) == 1
    assert len(warnings) == 1 and left_out in warnings[0]


@pytest.mark.parametrize("command", ["stats", "export", "walk", "timeline", "report", "exits",
                                     "tables", "quiz"])
def test_partial_results_warn_and_succeed(command, put, tmp_path, sound, capsys):
    records = starts(sound)
    path = put(sound[:records[len(records) * 3 // 4] + 12])
    out = tmp_path / ("out.svg" if command in ("walk", "timeline", "exits") else "out.html")
    assert main([command, path, "-o", str(out)]) == 0
    assert "the rest is missing" in capsys.readouterr().err
    assert out.stat().st_size > 100


@QUIET
@given(st.data())
def test_any_bytes_after_a_sound_header(put, sound, data):
    """Whatever the buffer holds: no traceback, times in order, payloads in bounds."""
    off, _ = area(sound)
    piece = st.one_of(st.binary(max_size=80), st.integers(0, 200).map(
        lambda k: sound[starts(sound)[k % 100]:][:64]))
    body = b"".join(data.draw(st.lists(piece, max_size=12)))
    raw = bytearray(sound[:off] + body)
    struct.pack_into("<Q", raw, 656, data.draw(st.sampled_from([len(body), len(body) // 2, 4096])))
    trace = use(put(bytes(raw)))
    assert (np.diff(trace.ns) >= 0).all()
    assert ((trace.payload_index + trace.words) * 8 <= len(raw)).all()


@QUIET
@given(st.binary(max_size=300), st.integers(0, 895))
def test_any_bytes_in_the_header(put, sound, junk, where):
    path = put(sound[:where] + junk + sound[where + len(junk):])
    try:
        use(path)
    except TraceError as error:
        one_line(error, path)


@QUIET
@given(st.text(max_size=200), st.integers(0, 3000))
def test_any_text_in_the_schema(put, sound, junk, where):
    path = put(sound[:4096 + where] + junk.encode() + sound[4096 + where + len(junk.encode()):])
    try:
        trace = use(path)
    except TraceError as error:
        one_line(error, path)
        return
    good = load(put(sound))
    explain(Comparison(trace, good))


@QUIET
@given(st.lists(st.integers(0, 1000), max_size=60))
def test_as_few_times_as_possible_are_changed(times):
    """Against a plain quadratic longest non-decreasing subsequence."""
    mended, wrong = order_times(np.array(times, np.uint64), 10**9)
    longest = [1] * len(times)
    for i in range(len(times)):
        longest[i] += max((longest[j] for j in range(i) if times[j] <= times[i]), default=0)
    assert len(times) - len(wrong) == max(longest, default=0)
    assert (np.diff(mended.astype(np.int64)) >= 0).all()
    kept = np.delete(np.arange(len(times)), wrong)
    assert mended[kept].tolist() == [times[i] for i in kept]
