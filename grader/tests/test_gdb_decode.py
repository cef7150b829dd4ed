"""The decoders behind GDB's commands, without GDB: control block, exits, records, walks.

Values are written here by the manual's tables; a wrong bit, offset or name fails.
"""
from __future__ import annotations

import html
import struct

import pytest

from grader.gdb import control_block, exit_words, records, walks
from grader.oracle.memory import Memory
from grader.tests.tables import Machine, Tables
from viz import trace as viz_trace
from viz import walk_words
from viz.tests import synth


def block(**values: int) -> bytes:
    """A control block with u64 `at_OFFSET` (hex) = value."""
    raw = bytearray(4096)
    for name, value in values.items():
        struct.pack_into("<Q", raw, int(name[3:], 16), value)
    return bytes(raw)


def of(raw: bytes, title: str) -> str:
    return "\n".join(dict(control_block.groups(raw))[title])


# --- The control block -------------------------------------------------------------

def test_intercepts_are_spelled_out():
    raw = bytearray(4096)
    struct.pack_into("<HHHHIII", raw, 0, 1 << 3, 1 << 0 | 1 << 8, 0, 1 << 7, 1 << 14 | 1 << 6,
                     1 << 0 | 1 << 18 | 1 << 31, 1 << 0 | 1 << 13 | 1 << 20)
    assert control_block.intercepts(bytes(raw)) == [
        "CR reads: CR3", "CR writes: CR0 CR8", "DR writes: DR7", "exceptions: #UD #PF",
        "at 00ch: INTR CPUID SHUTDOWN", "at 010h: VMRUN XSETBV bit 20"]
    assert control_block.intercepts(bytes(4096)) == []


@pytest.mark.parametrize("word,words", [
    (0, "none"), (0x320, "none (V = 0: 0x320 is stale)"),
    (1 << 31 | 0x20, "external interrupt vector 0x20"),
    (1 << 31 | 3 << 8 | 1 << 11 | 14 | 6 << 32, "exception #PF, error code 0x6"),
    (1 << 31 | 2 << 8 | 2, "NMI vector 0x2"),
    (1 << 31 | 4 << 8 | 0x80, "software interrupt vector 0x80"),
    (1 << 31 | 1 << 8, "reserved type 1 vector 0x0"),
])
def test_events_are_decoded(word, words):
    assert control_block.event(word) == words
    assert f"EVENTINJ         {words}" in of(block(at_0a8=word), "control area")
    assert f"EXITINTINFO {words}" in of(block(at_088=word), "last exit")


def test_the_control_area():
    said = of(block(at_040=0x1000, at_050=2**64 - 5, at_058=7 | 3 << 32, at_060=5 | 1 << 8 | 1 << 20
                    | 1 << 24 | 0x31 << 32 | 9 << 16 & 0, at_068=1, at_090=1, at_0b0=0x5000),
              "control area").splitlines()
    words = {line.split()[0]: " ".join(line.split()[1:]) for line in said}
    assert words["IOPM_BASE_PA"] == "0x1000" and words["TSC_OFFSET"] == "0xfffffffffffffffb"
    assert words["ASID"] == "7" and words["TLB_CONTROL"] == "3 (flush this guest's)"
    assert words["INTERRUPT_SHADOW"] == "1" and words["NP_ENABLE"] == "1"
    assert words["N_CR3"] == "0x5000"
    assert words["V_INTR"] == ("(060h) V_TPR 0x5, V_IRQ vector 0x31 priority 0, V_IGN_TPR, "
                               "V_INTR_MASKING")


def test_registers_and_segments():
    raw = block(at_558=1 << 31 | 1 << 16 | 1, at_550=0xabc000, at_548=1 << 5 | 1 << 20,
                at_4d0=1 << 12 | 1 << 10 | 1 << 8, at_578=0x1234, at_5d8=0x99, at_5f8=0x77,
                at_570=1 << 9 | 2, at_410=0x08 | 0xa9b << 16 | 0xffffffff << 32, at_460=0x5ff << 32,
                at_468=0xfe000, at_608=0x42)
    said = of(raw, "state save area: registers")
    for line in ("CR0    0x0000000080010001 PG WP PE", "CR3    0x0000000000abc000",
                 "CR4    0x0000000000100020 SMEP PAE", "EFER   0x0000000000001500 SVME LMA LME",
                 "RIP    0x0000000000001234", "RSP    0x0000000000000099",
                 "RAX    0x0000000000000077", "RFLAGS 0x0000000000000202 IF"):
        assert line in said.splitlines()
    segments = of(raw, "state save area: segments").splitlines()
    assert segments[1].startswith("CS    0x0008 attrib 0xa9b base 0x0000000000000000 limit "
                                  "0xffffffff (DPL 0 P L G)")
    assert segments[6].split() == ["GDTR", "base", "0x00000000000fe000", "limit", "0x5ff"]
    assert "LSTAR        0x42" in of(raw, "state save area: system calls")
    with pytest.raises(ValueError, match="4096 bytes, not 4095"):
        control_block.groups(raw[:-1])


# --- Exits -----------------------------------------------------------------------------

@pytest.mark.parametrize("code,name", [
    (0x00, "VMEXIT_CR0_READ"), (0x14, "VMEXIT_CR4_WRITE"), (0x37, "VMEXIT_DR7_WRITE"),
    (0x4e, "VMEXIT_EXCP14"), (0x60, "VMEXIT_INTR"), (0x64, "VMEXIT_VINTR"), (0x6e, "VMEXIT_RDTSC"),
    (0x72, "VMEXIT_CPUID"), (0x78, "VMEXIT_HLT"), (0x7b, "VMEXIT_IOIO"), (0x7c, "VMEXIT_MSR"),
    (0x7f, "VMEXIT_SHUTDOWN"), (0x80, "VMEXIT_VMRUN"), (0x81, "VMEXIT_VMMCALL"),
    (0x87, "VMEXIT_RDTSCP"), (0x89, "VMEXIT_WBINVD"), (0x8d, "VMEXIT_XSETBV"),
    (0x400, "VMEXIT_NPF"), (0xffffffff, "VMEXIT_INVALID"), (2**64 - 1, "VMEXIT_INVALID"),
    (0x3ff, "(not in the manual)"),
])
def test_codes_have_the_manuals_names(code, name):
    assert exit_words.code_name(code) == name


@pytest.mark.parametrize("reason,code,info1,info2,words", [
    ("IO", 0x7b, 0x5e00040, 0, "OUT of 4 at port 0x5e0"),
    ("IO", 0x7b, 0x600011, 0, "IN of 1 at port 0x60"),
    ("IO", 0x7b, 0x1f0002d, 0, "REP INS of 2 at port 0x1f0"), ("MSR", 0x7c, 1, 0, "WRMSR"),
    ("MSR", 0x7c, 0, 0, "RDMSR"), ("CR", 0x10, 0, 0, "write of CR0"),
    ("DR", 0x37, 0, 0, "write of DR7"),
    ("EXCEPTION", 0x4e, 6, 0x1000, "exception #PF, error code 0x6, address 0x1000"),
    ("EXCEPTION", 0x46, 0, 0, "exception #UD"), ("SHUTDOWN", 0x7f, 0, 0, "triple fault"),
    ("NESTED", 0x400, 1 << 32 | 6, 0xfee00000,
     "nested page fault: write of gPA 0xfee00000, no mapping, in the final access"),
    ("NESTED", 0x400, 1 << 33 | 5, 0x1000,
     "nested page fault: read of gPA 0x1000, forbidden by a mapping, in the guest's own page walk"),
    ("NESTED", 0x400, 1 << 32 | 20, 8, "nested page fault: fetch of gPA 0x8, no mapping, in the "
                                      "final access"),
    ("SOMETHING_NEW", 0x90, 0, 0, "something_new"),
])
def test_exits_are_told_in_words(reason, code, info1, info2, words):
    assert exit_words.describe(reason, code, info1, info2) == words


# --- Records -----------------------------------------------------------------------------

@pytest.fixture
def trace(tmp_path) -> viz_trace.Trace:
    """Forty exits of two VMs, in turn."""
    writer = synth.TraceWriter(tmp_path / "trace.bin")
    for i in range(40):
        writer.emit("exit", ns=1000 * i, vm=1 + i % 2, reason="CPUID" if i % 4 else "HLT",
                    rip=0x1000 + i, code=0x72)
    return viz_trace.load(str(writer.save()))


def test_the_last_exits_of_a_vm_and_their_counts(trace):
    lines = records.exits(trace, 1, 3)
    assert [line.split()[2] for line in lines[1:4]] == [f"{0x1000 + i:#018x}" for i in (34, 36, 38)]
    assert lines[-1] == "20 exits of VM 1 in the trace: CPUID 10, HLT 10"
    assert records.exits(trace, None, 1)[-1] == "40 exits in the trace: CPUID 30, HLT 10"
    assert records.exits(trace, 3, 5) == ["0 exits of VM 3 in the trace: none"]


def test_the_last_records_with_a_text(trace):
    assert len(records.tail(trace, None, 100)) == 40
    found = records.tail(trace, 1, 2, "reason=HLT")
    assert [line.split()[0] for line in found] == ["0.000032000", "0.000036000"]
    assert all("exit reason=HLT rip=0x10" in line for line in found)


def test_when_the_last_record_was_made(trace, tmp_path):
    assert records.last_ns(tmp_path / "trace.bin") == 39000
    empty = synth.TraceWriter(tmp_path / "empty.bin").save()
    (tmp_path / "memory.bin").write_bytes(bytes(8192))
    assert {records.last_ns(path) for path in (empty, tmp_path / "memory.bin")} == {
        walk_words.UNKNOWN}


# --- Walks --------------------------------------------------------------------------------

GUEST = dict(cr0=1 << 31 | 1 << 16 | 1, cr4=1 << 5, efer=1 << 10, rflags=2)


def test_a_walk_from_registers_and_memory(tmp_path):
    machine = Machine()
    machine.guest.map(0x40000000, 0x7000)
    guest = walks.Guest(3, "mine", cr3=machine.guest.root, nroot=machine.nested.root, **GUEST)
    with Memory(machine.ram.save(tmp_path / "ram")) as memory:
        walk = walks.make(memory, guest, 0x40000123, walks.access_bits("w"))
        missing = walks.make(memory, guest, 0x80000000)
    assert (walk.mode, walk.cause, walk.gpa, walk.hpa) == \
        ("LONG4", "DEBUGGER", 0x7123, machine.slot + 0x7123)
    assert (walk.gpa_refs, walk.total, walk.access) == (20, 24, 1)
    said = walks.lines(walk, 0x55)
    host = machine.slot + 0x7123
    assert said[-2:] == [f"gPA 0x7123 known after 20, hPA {host:#x} known after 24",
                         "there: 0x0000000000000055 (u64)"]
    assert "Guest page fault" in "\n".join(walks.lines(missing))


def test_a_drawing_tells_when_it_was_made_if_that_is_known(tmp_path):
    machine = Machine()
    machine.guest.map(0x40000000, 0x7000)
    guest = walks.Guest(3, "mine", cr3=machine.guest.root, nroot=machine.nested.root, **GUEST)
    with Memory(machine.ram.save(tmp_path / "ram")) as memory:
        known, unknown = (walks.make(memory, guest, 0x40000123, **when)
                          for when in ({"ns": 128_988_012}, {}))
    for form in ("dot", "html"):
        for walk, words in ((known, "debugger after the trace's last record, at 0.128988012 s"),
                            (unknown, "debugger")):
            walks.draw(walk, guest, str(tmp_path / f"w.{form}"), "qemu-svm")
            text = (tmp_path / f"w.{form}").read_text("utf-8")
            assert f"asked for by the {words}" in html.unescape(text) and "0.000000000" not in text
    assert walk_words.made_words(unknown) == "asked for by the debugger"
    for form in ("svg", "html"):
        with pytest.raises(walks.WalkRefused, match=f"none/w.{form}: No such file or directory"):
            walks.draw(known, guest, str(tmp_path / "none" / f"w.{form}"), "qemu-svm")


def test_a_guest_on_a_shadow(tmp_path):
    """Its own tables, found by slots; then the shadow's, which knows one page of two."""
    machine = Machine()
    for gva, gpa in ((0x40000000, 0x7000), (0x40001000, 0x8000)):
        machine.guest.map(gva, gpa)
    shadow = Tables(machine.ram, machine.ram.frame)
    shadow.map(0x40000000, machine.slot + 0x7000)
    guest = walks.Guest(3, "mine", cr3=machine.guest.root, nroot=machine.nested.root,
                        shadow_root=shadow.root, slots=((0, 64 * 4096, machine.slot),), **GUEST)
    with Memory(machine.ram.save(tmp_path / "ram")) as memory:
        there, hidden, own = (walks.make(memory, guest, gva, 0)
                              for gva in (0x40000123, 0x40001000, 0x80000000))
    assert [ref.dim for ref in there.refs] == ["GUEST"] * 4 + ["SHADOW"] * 4
    assert [ref.n for ref in there.refs] == list(range(1, 9))
    assert there.refs[0].table == machine.slot + machine.guest.root
    assert there.refs[4].table == shadow.root == there.nroot
    assert (there.gpa, there.hpa) == (0x7123, machine.slot + 0x7123)
    said = walks.lines(there)
    assert f"gCR3 {machine.guest.root:#x}, shadow root {shadow.root:#x}" in said[0]
    assert said[-1].endswith("known after 4 of the processor's own")
    assert (hidden.fault, hidden.fault_dim, hidden.gpa) == ("NOT_PRESENT", "SHADOW", 0x8000)
    assert "Hidden page fault" in "\n".join(walks.lines(hidden))
    assert (own.fault_dim, {ref.dim for ref in own.refs}) == ("GUEST", {"GUEST"})
    assert "the VMM reflects the #PF" in "\n".join(walks.lines(own))


def test_a_guest_that_fills_its_tlb_itself(tmp_path):
    """It has no tables, and its CR3 is a name: the shadow's references are all that there is."""
    machine = Machine()
    shadow = Tables(machine.ram, machine.ram.frame)
    shadow.map(0x40000000, machine.slot + 0x7000)
    guest = walks.Guest(3, "mine", cr3=0x7ff001000, nroot=machine.nested.root,
                        shadow_root=shadow.root, **GUEST)
    with Memory(machine.ram.save(tmp_path / "ram")) as memory:
        there, missing = (walks.make(memory, guest, gva, 0) for gva in (0x40000123, 0x40001000))
        with pytest.raises(walks.WalkRefused, match="needs no table"):
            walks.make(memory, guest, 0x3FFFF000, 0)
    assert [ref.dim for ref in there.refs] == ["SHADOW"] * 4 and there.refs[0].table == shadow.root
    assert walks.lines(there)[-1] == f"hPA {machine.slot + 0x7123:#x} known after 4"
    assert [ref.dim for ref in missing.refs] == ["SHADOW"] * 4
    assert "which fills its TLB itself, gets the #PF" in "\n".join(walks.lines(missing))


def test_on_a_shadow_some_registers_are_the_hosts():
    wp, pg, pae = 1 << 16, 1 << 31, 1 << 5
    assert walks.own_registers(pg | wp | 1, pae | 16, {"cr0": pg, "cr3": 0x5000, "cr4": 0}) == {
        "CR0": pg | 1, "CR3": 0x5000, "CR4": 16}


@pytest.mark.parametrize("cr0,cr4,efer,mode", [
    (1, 0, 0, "OFF"), (1 << 31, 0, 0, "LEGACY32"), (1 << 31, 1 << 5, 0, "PAE"),
    (1 << 31, 1 << 5, 1 << 10, "LONG4"), (1 << 31, 1 << 5 | 1 << 12, 1 << 10, "LONG5")])
def test_the_mode_follows_from_the_registers(cr0, cr4, efer, mode):
    assert walks.Guest(1, "", cr0, 0, cr4, efer, 0, 0).mode == mode


def test_what_is_no_access_is_refused():
    assert [walks.access_bits(word) for word in ("r", "w", "x", "wu", "ux", "u")] == \
        [0, 1, 4, 3, 6, 2]
    for word in ("", "q", "rw", "xw", "0x10"):
        with pytest.raises(walks.WalkRefused, match="is no access"):
            walks.access_bits(word)
    with pytest.raises(walks.WalkRefused, match="five levels"):
        walks.make(None, walks.Guest(1, "", 1 << 31, 0, 1 << 12 | 1 << 5, 1 << 10, 0, 0), 0)
