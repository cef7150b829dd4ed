"""The reader of the emulator's log of exits: pieces, marks, and what disagrees."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from grader.oracle import exitlog


def line(code: int, info1: int = 0, info2: int = 0, rip: int = 0) -> str:
    return f"vmexit({code:08x}, {info1:016x}, {info2:016x}, {rip:016x})!\n"


def out(port: int, size: int = 1) -> str:
    return line(exitlog.IOIO, port << 16 | size << 4)


class Exited:
    """Stands for a trace that holds these exits."""

    def __init__(self, *rows: tuple) -> None:
        self.rows = np.array(rows, np.uint64).reshape(-1, 4)

    def select(self, name: str) -> "Exited":
        assert name == "exit"
        return self

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, field: str) -> np.ndarray:
        return self.rows[:, ("code", "info1", "info2", "rip").index(field)]


def test_exits_are_found_among_other_words_and_across_pieces(tmp_path: Path, monkeypatch):
    log = tmp_path / "exits.log"
    log.write_text("vmrun! 00000000011de000\n" + line(0x72, rip=5) + "Injecting(0x800): EXEPT"
                   + line(0x400, 1 << 32, 0x1000, 7) + "vmexit(broken\n"
                   + "vmrun! 00000000022de000\n" + line(0xFFFFFFFF))
    for size in (1 << 22, 64, 7):
        monkeypatch.setattr(exitlog, "PIECE", size)
        seen = exitlog.read(log)
        assert len(seen) == 3
        assert seen.code.tolist() == [0x72, 0x400, 0xFFFFFFFF]
        assert seen.info2.tolist() == [0, 0x1000, 0] and seen.rip.tolist() == [5, 7, 0]
        assert seen.vmcb.tolist() == [0x11de000, 0x11de000, 0x22de000]


def test_an_empty_log_has_no_exits(tmp_path: Path):
    log = tmp_path / "exits.log"
    log.write_text("")
    assert len(exitlog.read(log)) == 0 and exitlog.marks(log) == {}


def test_only_bytes_written_to_the_marks_ports_count(tmp_path: Path):
    log = tmp_path / "exits.log"
    log.write_text(out(0x5A0) + out(0x5A0) + out(0x5AF) + out(0x5A1, size=2) + out(0x5B0)
                   + out(0x59F) + line(exitlog.IOIO, 0x5A2 << 16 | 0x11)
                   + line(exitlog.IOIO, 0x5A2 << 16 | 0x1C) + line(0x7C, 0x5A3 << 16 | 0x10))
    assert exitlog.marks(log) == {0: 2, 15: 1}


def test_a_trace_must_tell_the_same(tmp_path: Path):
    log = tmp_path / "exits.log"
    log.write_text(line(0x72, 0, 99, 7) + line(exitlog.IOIO, 0x10, 4, 8) + line(0xFFFFFFFF, 8, 0, 9))
    seen = exitlog.read(log)
    right = ((0x72, 0, 5, 7), (exitlog.IOIO, 0x10, 4, 8), (0xFFFFFFFFFFFFFFFF, 0, 0, 0))
    assert exitlog.disagreements(seen, Exited(*right)) == []
    assert "2 exits" in exitlog.disagreements(seen, Exited(*right[:2]))[0]
    assert exitlog.disagreements(seen, Exited(*right[:2]), most=2) == []
    for row, field, value in ((0, 0, 0x73), (0, 1, 1), (1, 2, 5), (1, 3, 9)):
        rows = [list(each) for each in right]
        rows[row][field] = value
        assert len(exitlog.disagreements(seen, Exited(*rows))) == 1
