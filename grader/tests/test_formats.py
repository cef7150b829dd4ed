"""Holds the code to handouts/formats.md: its tables are parsed here and compared.

Both sides of each format are asked: Python by its tables, C by a compiled
program (clib.py).  Where both read the same input, they must agree on it.
"""
from __future__ import annotations

import ctypes
import json
import re
import struct
from pathlib import Path
from typing import Callable, Dict, List, Optional

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader import args, bundle, collect, progress, run
from grader.plan import ROOT
from grader.tests import clib
from grader.tests.test_bundle import WRONG, WRONG_IDS, example
from viz import header as viz_header

PAGE = (ROOT / "handouts" / "formats.md").read_text()
ERANGE = 34


def tables(section: str) -> List[List[Dict[str, str]]]:
    """The tables under a heading: a list of rows each, a row by its columns' names."""
    body = re.search(rf"^#+ {re.escape(section)}\b[^\n]*\n(.*?)(?=^#+ |\Z)", PAGE, re.M | re.S)
    assert body, f"no section {section}"
    found: List[List[Dict[str, str]]] = []
    titles: List[str] = []
    for line in body[1].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            titles = []
        elif not titles:
            titles = cells
            found.append([])
        elif not set(line) <= set("|-: "):
            found[-1].append(dict(zip(titles, cells)))
    return found


def places(rows: List[Dict[str, str]]) -> Dict[str, List[int]]:
    """Field -> [offset, size] of a structure's table."""
    return {row["field"]: [int(row["offset"]), int(row["size"])] for row in rows}


HEADER, = tables("1.1 Header")
BUNDLE, ENTRY = tables("2. The bundle")
VM_ARGUMENTS, OPTIONS = tables("4. Arguments")
PORTS, COMMANDS = tables("5. The test port")
RUN_JSON, = tables("6. run.json")


def test_the_page_was_understood():
    assert [len(t) for t in (HEADER, BUNDLE, ENTRY, VM_ARGUMENTS, OPTIONS, PORTS, COMMANDS)] \
        == [14, 11, 5, 25, 9, 5, 10]
    for table in (HEADER, BUNDLE, ENTRY):
        end = 0
        for offset, size in places(table).values():
            assert offset == end, "the table has a gap or an overlap"
            end = offset + size


# --- The bundle ------------------------------------------------------------------

def test_bundle_in_python():
    for fields, rows in ((bundle.HEADER, BUNDLE), (bundle.ENTRY, ENTRY)):
        assert {f.name: [f.offset, f.size] for f in fields} == places(rows)
    assert bundle.HEADER_SIZE == 584 + 40 and bundle.ENTRY_SIZE == 64 + 512
    assert f"from offset {bundle.HEADER_SIZE}, one entry of {bundle.ENTRY_SIZE} bytes" in PAGE
    assert f"`{bundle.MAGIC.decode()}`" in PAGE and bundle.MAX_GUESTS == 15
    assert bundle.MAX_SIZE == 64 << 20


def test_bundle_in_c(tmp_path):
    for struct_name, rows in (("bundle", BUNDLE), ("bundle_guest", ENTRY)):
        wanted = places(rows)
        assert clib.layout(tmp_path, "kernel/bundle.h", struct_name, list(wanted)) == wanted
    sizes = ["sizeof(struct bundle)", "sizeof(struct bundle_guest)", "BUNDLE_MAX_SIZE",
             "BUNDLE_MAX_GUESTS", "BUNDLE_VERSION"]
    found = clib.values(tmp_path, ["kernel/bundle.h"], sizes)
    assert list(found.values()) == [bundle.HEADER_SIZE, bundle.ENTRY_SIZE, bundle.MAX_SIZE,
                                    bundle.MAX_GUESTS, bundle.VERSION]


@pytest.fixture(scope="module")
def kernel_bundle(tmp_path_factory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("bundle")
    lib = clib.library(folder, ["kernel/bundle.c", "kernel/format.c"])
    lib.bundle_check.restype = ctypes.c_char_p
    lib.bundle_check.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    return lib


def fault_in_c(lib: ctypes.CDLL, raw: bytes) -> str:
    """The field that the kernel finds wrong, '' if none."""
    said = lib.bundle_check(raw, len(raw))
    return said.decode().split(":")[0] if said else ""


def fault_in_python(raw: bytes) -> str:
    try:
        bundle.parse(raw)
    except bundle.BundleError as error:
        return error.field
    return ""


@pytest.mark.parametrize("field, raw", WRONG, ids=WRONG_IDS)
def test_the_kernel_names_the_same_wrong_field(kernel_bundle, field, raw):
    expected = "" if raw == bundle.build(example()) + b"\0" else field  # looks no further than size
    assert fault_in_c(kernel_bundle, raw) == expected


WORDS = [0, 1, 15, 16, 624, 4096, 4097, 4104, 8192, 12288, 20480, 1 << 20, 1 << 31, 0xfffff000,
         0xffffffff]


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 624 // 4 + 2 * 576 // 4), st.sampled_from(WORDS)),
                max_size=3), st.booleans(), st.integers(0, 40))
def test_both_sides_refuse_the_same_bundles(kernel_bundle, changes, crc_fits, cut):
    raw = bytearray(bundle.build(example()))
    for place, value in changes:
        raw[4 * place:4 * place + 4] = value.to_bytes(4, "little")
    if crc_fits:
        bundle.seal(raw)
    whole = bytes(raw[:len(raw) - (cut if cut > 30 else 0)])
    size = int.from_bytes(whole[12:16], "little")
    if bundle.HEADER_SIZE <= size < len(whole):
        whole = whole[:size]  # what lies behind it, the kernel does not look at
    assert fault_in_c(kernel_bundle, whole) == fault_in_python(whole)


# --- The trace -------------------------------------------------------------------

def test_trace_header_in_c(tmp_path):
    wanted = places(HEADER)
    found = clib.layout(tmp_path, "kernel/trace_format.h", "trace_header", list(wanted))
    assert found == wanted
    record = clib.values(tmp_path, ["kernel/trace_format.h"], [
        "offsetof(struct trace_record, tsc)", "offsetof(struct trace_record, tag)",
        "offsetof(struct trace_record, payload)", "TRACE_BASE", "TRACE_MAX_CPUS"])
    assert list(record.values()) == [0, 8, 16, 0x10000000, 8]
    assert "`0x10000000`" in PAGE
    buffer = clib.layout(tmp_path, "kernel/trace_format.h", "trace_buffer",
                         ["off", "size", "used", "dropped"])
    assert "eight times 32 bytes: u64 off, size, used, dropped" in PAGE
    assert buffer == {"off": [0, 8], "size": [8, 8], "used": [16, 8], "dropped": [24, 8]}


def page_by_the_table(**values: object) -> bytes:
    """A trace's first page, written by the handout's table alone."""
    page = bytearray(4096)
    for name, (offset, size) in places(HEADER).items():
        value = values.pop(name)
        raw = value if isinstance(value, bytes) else int(str(value)).to_bytes(size, "little")
        page[offset:offset + len(raw)] = raw
    assert not values
    return bytes(page)


def test_a_header_that_promises_too_much_takes_no_disk(tmp_path):
    size = 64 << 20
    page = page_by_the_table(
        magic=b"NESTTRC1", version=1, cpus=1, size=65536, clock_hz=10**9, tsc_base=1000,
        nonce=1, seed=9, schema_off=0x7fffffff, schema_size=2**32 - 1, build_id=b"abc",
        platform=b"qemu-svm", cmdline=b"", cpu=struct.pack("<4Q", 256, 8192, 2**64 - 1, 0))
    memory, trace = tmp_path / "memory.bin", tmp_path / "trace.bin"
    with memory.open("wb") as ram:
        ram.write(page)
        ram.seek(size // 2)
        ram.write(b"guest")
        ram.truncate(size)
    assert collect.extract_trace(memory, 0, trace) == size == trace.stat().st_size
    assert trace.read_bytes() == memory.read_bytes()
    assert trace.stat().st_blocks * 512 < 4 << 20


def test_trace_header_in_python(tmp_path):
    schema = b"nestling-schema 1\nevent 1 trace_start pcpus:dec | begin\n"
    record = struct.pack("<QHHBBBBQ", 1005, 1, 0, 0, 0, 1, 0, 7)
    page = page_by_the_table(
        magic=b"NESTTRC1", version=1, cpus=1, size=65536, clock_hz=10**9, tsc_base=1000,
        nonce=2**64 - 3, seed=9, schema_off=4096, schema_size=len(schema), build_id=b"abc",
        platform=b"qemu-svm", cmdline=b"slice=1ms", cpu=struct.pack("<4Q", 8192, 8192, 24, 0))
    memory = tmp_path / "memory.bin"
    offset = 1 << 16
    memory.write_bytes(bytes(offset) + (page + schema).ljust(8192, b"\0") + record + bytes(8000))
    trace = tmp_path / "trace.bin"
    assert collect.extract_trace(memory, offset, trace) == 8192 + 24 == trace.stat().st_size
    header, warnings = viz_header.read(str(trace))
    assert not warnings
    assert (header.nonce, header.seed, header.tsc_base, header.build_id, header.platform,
            header.cmdline) == (2**64 - 3, 9, 1000, "abc", "qemu-svm", "slice=1ms")
    assert (header.buffers[0].off, header.buffers[0].used) == (8192, 24)
    tail = progress.Tail(memory, offset)
    assert tail.update() and (tail.records, tail.virtual_ns) == (1, 5)


def test_a_live_reader_stops_at_half_a_record_and_goes_on(tmp_path):
    whole = struct.pack("<QHHBBBBQ", 2000, 1, 0, 0, 0, 1, 0, 7)
    half = struct.pack("<QHHBBBBQ", 3000, 0, 0, 0, 0, 0, 0, 7)
    done = struct.pack("<QHHBBBBQ", 3000, 1, 0, 0, 0, 1, 0, 7)
    path = tmp_path / "memory.bin"

    def write(records: bytes, used: int) -> None:
        page = page_by_the_table(
            magic=b"NESTTRC1", version=1, cpus=1, size=65536, clock_hz=500_000_000, tsc_base=1000,
            nonce=0, seed=0, schema_off=4096, schema_size=1, build_id=b"", platform=b"",
            cmdline=b"", cpu=struct.pack("<4Q", 8192, 8192, used, 0))
        path.write_bytes(page.ljust(8192, b"\0") + records.ljust(8192, b"\0"))

    tail = progress.Tail(path, 0)
    assert not tail.update()
    write(whole + half, 48)
    assert tail.update() and (tail.records, tail.virtual_ns) == (1, 2000)
    write(whole + done, 48)
    assert tail.update() and (tail.records, tail.virtual_ns) == (2, 4000)
    assert tail.update() and tail.records == 2


# --- Arguments -------------------------------------------------------------------

@pytest.mark.parametrize("table, rows, key", [
    (args.VM_ARGUMENTS, VM_ARGUMENTS, "VM argument"), (args.MACHINE_OPTIONS, OPTIONS, "option")])
def test_arguments_in_python(table, rows, key):
    wanted = [(row[key], row["values"], row["default"]) for row in rows]
    assert [(each.name, each.values, each.default) for each in table] == wanted


@pytest.fixture(scope="module")
def kernel_args(tmp_path_factory) -> ctypes.CDLL:
    return clib.library(tmp_path_factory.mktemp("args"), ["kernel/args.c"])


NUMBERS = st.from_regex(r"(0x)?[0-9a-fA-F]{0,21}(ns|us|ms|s|[kKMG]?)[ -~]?", fullmatch=True)


@settings(max_examples=300)
@given(NUMBERS, st.sampled_from(["number", "size", "time"]))
def test_both_sides_read_the_same_numbers(kernel_args, text, kind):
    value = ctypes.c_uint64(0)
    raw = text.encode()
    function = getattr(kernel_args, f"args_{kind}")
    function.argtypes = [clib.Word, ctypes.POINTER(ctypes.c_uint64)]
    result = function(clib.Word(raw, len(raw)), ctypes.byref(value))
    try:
        wanted = {"number": args.parse_number, "size": args.parse_size,
                  "time": args.parse_time}[kind](text)
    except args.ArgError:
        assert result < 0 and result != -ERANGE
        return
    if wanted >= 1 << 64:
        assert result == -ERANGE
    else:
        assert (result, value.value) == (0, wanted)


@pytest.fixture(scope="module")
def kernel_words(tmp_path_factory) -> Callable[[str, str], Optional[str]]:
    """(kind, text) -> what the kernel says against these arguments, None if nothing."""
    lib = clib.library(tmp_path_factory.mktemp("words"), [
        "vmm/argtable.c", "vmm/vmargs.c", "vmm/options.c", "vmm/tests/host.c", "kernel/args.c",
        "kernel/format.c", "kernel/trace.c", "kernel/trace_schema.c",
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "vmm/sched").glob("*.c")))])

    def parse(kind: str, text: str) -> Optional[str]:
        out, why = ctypes.create_string_buffer(4096), ctypes.create_string_buffer(256)
        raw, room = ctypes.c_char_p(text.encode()), ctypes.c_size_t(256)
        error = lib.vmargs_parse(raw, 0, out, why, room) if kind == "guest" \
            else lib.options_parse(raw, out, why, room)
        return why.value.decode("utf-8", "replace") if error else None
    return parse


def edges(low: str, high: str) -> List[str]:
    """The ends of a range of numbers, sizes or times, and their neighbours outside."""
    read = args.parse_time if low.endswith("s") else args.parse_size
    unit = "ns" if low.endswith("s") else ""
    first, last = read(low), read(high)
    return [low, high] + [f"{n}{unit}" for n in (first - 1, first, last, last + 1)]


WRITTEN = {word for rows in (VM_ARGUMENTS, OPTIONS) for row in rows
           for word in [row["default"], *re.findall(r"\w+", row["values"])]}
EDGES = {word for rows in (VM_ARGUMENTS, OPTIONS) for row in rows if " to " in row["values"]
         for word in edges(*row["values"].split(" to "))}
SLOTS = {f"1M,{','.join(f'4K@{n}M' for n in range(1, count))}" for count in (2, 8, 9)} | {
    "0", "4095", "4K", "0x1000", "1M@", "1M@1", "1M,1M", "1M,4K@1020K", "1M,4K@1M", "1M@2M,2M@1M",
    "1M@2M,1M@1M", "1M,",
    "4K@0xfffffffff000", "4K@0x1000000000000", "8K@0xfffffffff000", "walks,io", "walks,all",
    "walks,", ",", "=", "1s:weight=5,cap=3/2s:slice=1ms", "1s:weight=0", "1s:hz=5", "1s:", "1s",
    "5ms:slice=200ms", "2s:cap=1/1s:cap=2", "1s:weight=1/", "/", "1s:,", "x:weight=1",
    "1s:period=1ms,slice=1ms", "1s:warp=10001", "1s:warp=9000/2s:mcu_adv=8", "1s:warpl=99us", "1s:cap=1,cap=2", "1s:cap=1/2s:cap=1/3s:cap=1/4s:cap=1/5s:cap=1", "a-name-of-15-ch", "a-name-of-16-chr"}
VALUES = sorted(WRITTEN | EDGES | SLOTS)
KEYS = sorted({each.name for each in (*args.VM_ARGUMENTS, *args.MACHINE_OPTIONS)} | {"x", ""})


def hold_together(kernel_words: Callable[[str, str], Optional[str]], kind: str,
                  text: str) -> bool:
    """Both sides take the text, or refuse it in the same words; whether they take it."""
    said = kernel_words(kind, text)
    try:
        args.parse_guest("name " + text) if kind == "guest" else args.parse_options(text)
        wanted = None
    except args.ArgError as error:
        wanted = str(error).split(" (what is for the guest")[0]
    if wanted is None or said is None:
        assert said == wanted, text
    elif max(map(len, text.split())) > 40:  # the kernel cuts long words
        assert said[:41] == wanted[:41]
    else:
        assert said[:110] == wanted[:110]
    return wanted is None


@pytest.mark.parametrize("kind", ["guest", "options"])
def test_both_sides_refuse_the_same_words_in_the_same_sentence(kernel_words, kind):
    taken = [hold_together(kernel_words, kind, f"{key}={value}")
             for key in KEYS for value in VALUES]
    assert taken.count(True) > 25 and taken.count(False) > 500


WORDS_OF_A_LINE = st.one_of(
    st.builds("{}={}".format, st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.builds("{}={}".format, st.sampled_from(KEYS), st.text("0123456789xKMG@,nmus", max_size=9)),
    st.sampled_from(["--", "mem", "=1", "-- x", "weight=2", "ticks=slew", "slice=1ms"]))


@settings(max_examples=300)
@given(st.sampled_from(["guest", "options"]), st.lists(WORDS_OF_A_LINE, max_size=4))
def test_both_sides_read_the_same_lines(kernel_words, kind, words):
    hold_together(kernel_words, kind, " ".join(words))


# --- The test port and the end ------------------------------------------------------

def test_test_port_of_the_guests(tmp_path):
    names = [f"TESTPORT_{row['name']}" for row in COMMANDS]
    found = clib.values(tmp_path, ["guests/lib/testport.h"], [*names, "TESTPORT_BASE",
                                                             "TESTPORT_ID"])
    assert [found[name] for name in names] == [int(row["command"]) for row in COMMANDS]
    assert found["TESTPORT_BASE"] == int(PORTS[0]["port"], 16)
    assert hex(found["TESTPORT_ID"]) in PAGE
    ports = [int(port, 16) for row in PORTS for port in row["port"].split(",")]
    assert ports == [found["TESTPORT_BASE"] + 4 * i for i in range(9)]


def test_status_words(tmp_path):
    text = re.search(r"exit status on its way out: (.*?)\. `isa", PAGE, re.S)[1]
    numbers = [int(word) for word in re.findall(r"\b(\d) ", text)]
    names = ["STATUS_ENDED", "STATUS_FAILED", "STATUS_TIME", "STATUS_REFUSED", "STATUS_PANIC",
             "STATUS_TODO"]
    found = clib.values(tmp_path, ["kernel/hostexit.h"], names)
    assert list(found.values()) == numbers == [getattr(run, name) for name in names]


def test_run_json_has_the_fields_of_the_page(fake_run: Path):
    said = json.loads((fake_run / "run.json").read_text())
    named = [field for row in RUN_JSON for field in row["field"].split(", ")]
    assert list(said) == named
    meaning = {row["field"]: row["meaning"] for row in RUN_JSON}
    assert list(said["vms"][0]) == re.search(r"\{(.*)\}", meaning["vms"])[1].split(", ")
    assert list(said["trace"]) == re.search(r"\{(.*)\}", meaning["trace"])[1].split(", ")
    assert f"`{said['exit_reason']}`" in meaning["exit_reason"]


@pytest.fixture
def fake_run(tmp_path: Path) -> Path:
    from grader.tests.test_run_cli import Cli
    cli = Cli(tmp_path)
    assert cli.run("refused").returncode == 2
    return cli.out
