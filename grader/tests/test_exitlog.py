"""The readers of the emulators' logs of exits: pieces, marks, and what disagrees."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grader import bochs_exits
from grader.oracle import exitlog
from grader.oracle.exitlog_qemu import INVALID, IOIO
from grader.oracle.exitlog_row import NEVER

BOCHS_SVM = """\
00029173972d[CPU0  ] VMRUN VMCB ptr: 0x00000000012ce000
00029173973d[CPU0  ] SVM VMEXIT reason=1024 exitinfo1=0000000100000014 exitinfo2=00000000001013a1
00029233693d[CPU0  ] VMRUN VMCB ptr: 0x00000000022ce000
00029233697d[CPU0  ] SVM VMEXIT reason=123 exitinfo1=0000000005a20010 exitinfo2=0000000000107000
00029233699d[CPU0  ] VMRUN VMCB ptr: 0x00000000012ce000
00029233699e[CPU0  ] VMRUN: attempt to run guest with host ASID !
00029233699d[CPU0  ] SVM VMEXIT reason=-1 exitinfo1=0000000000000000 exitinfo2=0000000000000000
"""
BOCHS_VMX = """\
00000000100d[CPU0  ] VMLAUNCH VMCS ptr: 0x00000000012ce000
00000000101e[CPU0  ] VMFAIL: VMCS host state invalid CR0 0x80010013
00000000102e[CPU0  ] VMFAIL: VMCLEAR with invalid physical address!
00000000200d[CPU0  ] VMLAUNCH VMCS ptr: 0x00000000022ce000
00000000201e[CPU0  ] VMFAIL: VMCS EXEC CTRL: guest VPID == 0
00000000300d[CPU0  ] VMLAUNCH VMCS ptr: 0x00000000032ce000
00000000300e[CPU0  ] VMENTER FAIL: VMCS guest CS.TYPE
00000000300e[CPU0  ] VMEXIT: Guest State Checks Failed
00000000300d[CPU0  ] VMEXIT reason = 33 (VMEntry failure due to invalid guest state) qualification=0x0
00000000400d[CPU0  ] VMLAUNCH VMCS ptr: 0x00000000042ce000
00000000401e[CPU0  ] VMEXIT: EPT violation for guest paddr 0x000000107000 laddr 0x0000000000107000
00000000401d[CPU0  ] VMEXIT reason = 48 (EPT Violation) qualification=0x182
00000000402d[CPU0  ] VMRESUME VMCS ptr: 0x00000000042ce000
00000000403d[CPU0  ] VMEXIT reason = 30 (I/O Instruction) qualification=0x5a10000
"""
BETWEEN = ("00000000402d[CPU0  ] VMX preemption timer active\n"
           "00000000402d[CPU0  ] page walk for address 0x0000000000130c68\n"
           "00000000403d[CPU0  ] VMEXIT: I/O port 0x05e0\n"
           "00000000403d[CPU0  ] VMEXIT to x86-64 host\n"
           "00000000403d[CPU0  ] VMRUN: Starting Nested Paging Mode !\n"
           "00000000404d[CPU0  ] VMLOAD VMCB ptr: 0x00000000012ce000\n")


def line(code: int, info1: int = 0, info2: int = 0, rip: int = 0) -> str:
    return f"vmexit({code:08x}, {info1:016x}, {info2:016x}, {rip:016x})!\n"


def out(port: int, size: int = 1) -> str:
    return line(IOIO, port << 16 | size << 4)


class Exited:
    """Stands for a trace that holds these exits."""

    FIELDS = ("code", "info1", "info2", "rip", "reason", "tsc")

    def __init__(self, *rows: tuple) -> None:
        self.rows = np.array([(*row, *[0] * (6 - len(row))) for row in rows],
                             np.uint64).reshape(-1, 6)

    def select(self, name: str) -> "Exited":
        assert name == "exit"
        return self

    def where(self, mask: np.ndarray) -> "Exited":
        return Exited(*self.rows[mask].tolist())

    @property
    def tsc(self) -> np.ndarray:
        return self["tsc"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, field: str) -> np.ndarray:
        return self.rows[:, self.FIELDS.index(field)]


def written(folder: Path, text: str) -> Path:
    log = folder / "exits.log"
    log.write_text(text)
    return log


def test_exits_are_found_among_other_words_and_across_pieces(tmp_path: Path, monkeypatch):
    log = written(tmp_path, (
        "vmrun! 00000000011de000\n" + line(0x72, rip=5) + "Injecting(0x800): EXEPT"
        + line(0x400, 1 << 32, 0x1000, 7) + "vmexit(broken\n"
        + "vmrun! 00000000022de000\n" + line(0xFFFFFFFF)))
    for size in (1 << 22, 64, 7):
        monkeypatch.setattr(exitlog, "PIECE", size)
        seen = exitlog.read(log)
        assert len(seen) == 3
        assert seen.code.tolist() == [0x72, 0x400, 0xFFFFFFFF]
        assert seen.info2.tolist() == [0, 0x1000, 0] and seen.rip.tolist() == [5, 7, 0]
        assert seen.vmcb.tolist() == [0x11de000, 0x11de000, 0x22de000]
        assert exitlog.refusals(seen) == 1


def test_an_empty_log_has_no_exits(tmp_path: Path):
    log = written(tmp_path, "")
    assert len(exitlog.read(log)) == 0 and exitlog.marks(log) == {}


@pytest.mark.parametrize("size", (1 << 22, 100, 7))
def test_bochss_exits_of_svm(tmp_path: Path, monkeypatch, size):
    monkeypatch.setattr(exitlog, "PIECE", size)
    log = written(tmp_path, BOCHS_SVM)
    seen = exitlog.read(log)
    assert seen.code.tolist() == [0x400, IOIO, INVALID]
    assert seen.info1.tolist()[:2] == [1 << 32 | 0x14, 0x5a20010]
    assert seen.info2.tolist()[:2] == [0x1013a1, 0x107000]
    assert seen.vmcb.tolist() == [0x12ce000, 0x22ce000, 0x12ce000]
    assert seen.tick.tolist() == [29173973, 29233697, 29233699]
    assert exitlog.refusals(seen) == 1 and exitlog.marks(log) == {2: 1}


@pytest.mark.parametrize("size", (1 << 22, 100, 7))
def test_bochss_exits_of_vmx(tmp_path: Path, monkeypatch, size):
    monkeypatch.setattr(exitlog, "PIECE", size)
    log = written(tmp_path, BOCHS_VMX)
    seen = exitlog.read(log)
    assert seen.code.tolist() == [8, 7, 1 << 31 | 33, 48, 30]
    assert seen.info1.tolist()[3:] == [0x182, 0x5a10000] and int(seen.info2[3]) == 0x107000
    assert seen.vmcb.tolist() == [0x12ce000, 0x22ce000, 0x32ce000, 0x42ce000, 0x42ce000]
    assert exitlog.refusals(seen) == 3 and exitlog.marks(log) == {1: 1}


@pytest.mark.parametrize("text", (BOCHS_SVM, BOCHS_VMX))
@pytest.mark.parametrize("size", (1 << 20, 50))
def test_of_bochss_words_those_on_exits_are_kept(tmp_path: Path, monkeypatch, text, size):
    monkeypatch.setattr(bochs_exits, "PIECE", size)
    pipe, log = tmp_path / "bochs.log", tmp_path / "exits.log"
    with bochs_exits.kept(pipe, log), open(pipe, "w") as target:
        for each in text.splitlines(True):
            target.write(BETWEEN + each)
    assert log.read_text() == text and not pipe.exists()


def test_an_emulator_that_never_starts_leaves_an_empty_log(tmp_path: Path):
    with bochs_exits.kept(tmp_path / "bochs.log", tmp_path / "exits.log"):
        pass
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("exits.log", 0)]


def test_only_bytes_written_to_the_marks_ports_count(tmp_path: Path):
    log = written(tmp_path, (
        out(0x5A0) + out(0x5A0) + out(0x5AF) + out(0x5A1, size=2) + out(0x5B0)
        + out(0x59F) + line(IOIO, 0x5A2 << 16 | 0x11)
        + line(IOIO, 0x5A2 << 16 | 0x1C) + line(0x7C, 0x5A3 << 16 | 0x10)))
    assert exitlog.marks(log) == {0: 2, 15: 1}


def test_a_trace_must_tell_the_same(tmp_path: Path):
    seen = exitlog.read(written(tmp_path, line(0x72, 0, 99, 7) + line(IOIO, 0x10, 4, 8)
                                + line(0xFFFFFFFF, 8, 0, 9)))
    right = ((0x72, 0, 5, 7), (IOIO, 0x10, 4, 8),
             (0xFFFFFFFFFFFFFFFF, 0, 0, 0, exitlog.ENTRY_FAILED))
    assert exitlog.disagreements(seen, Exited(*right)) == []
    assert "2 exits" in exitlog.disagreements(seen, Exited(*right[:2]))[0]
    assert exitlog.disagreements(seen, Exited(*right[:2]), most=2) == []
    assert exitlog.disagreements(seen, Exited(right[0], (NEVER, 1, 2, 3), *right[1:])) == []
    wrong = ((0, "code", 0x73), (0, "info1", 1), (1, "info2", 5), (1, "rip", 9),
             (0, "reason", exitlog.ENTRY_FAILED))
    for row, field, value in wrong:
        doctored = Exited(*right)
        doctored[field][row] = value
        assert len(exitlog.disagreements(seen, doctored)) == 1


def test_a_trace_must_tell_when(tmp_path: Path):
    seen = exitlog.read(written(tmp_path, BOCHS_VMX))
    reasons = [exitlog.ENTRY_FAILED] * 3 + [11, 3]
    right = [(code, info1, info2, 1, reason, tick + 50) for code, info1, info2, reason, tick
             in zip(seen.code.tolist(), seen.info1.tolist(), seen.info2.tolist(), reasons,
                    seen.tick.tolist())]
    right[3] = (*right[3][:5], 402)
    assert exitlog.disagreements(seen, Exited(*right)) == []
    for row, when in ((0, 100), (3, 403), (4, 402)):
        doctored = Exited(*right)
        doctored["tsc"][row] = when
        assert "TSC" in exitlog.disagreements(seen, doctored)[0]


def test_why_a_guest_was_left_and_what_it_announced():
    """Of VMX's CR accesses only a write to CR3 is one; a mark is an OUT of a byte to its port."""
    zero = np.zeros(4, np.uint64)
    code = np.array([0x4E, 0x13, 28, 28], np.uint64)
    kind = np.array([0, 0, 0x103, 0x113], np.uint64)        # MOV to CR3, MOV from CR3
    out = np.array([1 << 16 | 0x5A0, 1 << 16 | 0x5AF, 1 << 16 | 0x5B0, 2 << 16 | 0x5A0], np.uint64)
    log = exitlog.Exits(code, kind, zero, zero, zero, out, zero, zero)
    assert log.left("PF", "qemu-svm").tolist() == [True, False, False, False]
    assert log.left("CR3", "bochs-svm").tolist() == [False, True, False, False]
    assert log.left("CR3", "bochs-vmx").tolist() == [False, False, True, False]
    assert log.marks().tolist() == [0, 15, -1, -1]
