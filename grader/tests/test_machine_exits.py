"""The trace tells of exactly the exits that the emulator logged, and runs repeat to the byte.

The emulator's log is made outside the machine: it is what keeps the trace honest.
Rule: same number, and one by one the same code and info1; info2 and RIP where the log has
them; on Bochs, whose log has times, each is traced before the next one comes.
"""
from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from grader.oracle import __main__ as judge
from grader.oracle import exitlog
from grader.oracle.exitlog_row import INFO1, INFO2

pytestmark = pytest.mark.machine

MIXTURES = {
    "modes": (("hello", "hello32", "hello-pae", "real boot=raw", "walker -- pages=8",
               "walker-pae -- pages=8"), "slice=300us"),
    "neighbours": (("ticker -- hz=2000 ticks=60", "canary -- rounds=300",
                    "greedy -- loops=40 spin=5000", "probe -- hz=200 windows=1"),
                   "slice=1ms"),
    "ends": (("crash -- how=idt", "crash -- how=ud", "crash -- how=pf", "hello break=asid",
              "ticker -- hz=500 ticks=10"), "slice=500us"),
    "hostile": (("hostile mem=2M restart=1000 checks=ignore -- deaths=30", "ticker -- hz=300"),
                "slice=1ms time=60ms"),
}


def made(machine, name: str, **changes: object):
    guests, option = MIXTURES[name]
    return machine(guests, option, exit_log=True, ok=False, **changes)


@pytest.mark.everywhere
@pytest.mark.parametrize("name", MIXTURES)
def test_the_traces_exits_are_the_emulators(machine, name):
    run = made(machine, name)
    seen = exitlog.read(run.dir / "exits.log")
    assert len(seen) > 300 and run.trace.dropped == 0
    assert exitlog.disagreements(seen, run.trace) == []


@pytest.mark.everywhere
def test_the_comparison_sees_one_wrong_exit_among_all(machine):
    run = made(machine, "modes")
    seen = exitlog.read(run.dir / "exits.log")
    both = seen.tells(INFO1) & seen.tells(INFO2)
    middle = int(both.nonzero()[0][100])
    for column in (seen.code, seen.info1, seen.info2):
        column[middle] ^= np.uint64(1)
        assert any(f"exit {middle}:" in text
                   for text in exitlog.disagreements(seen, run.trace))
        column[middle] ^= np.uint64(1)
    shorter = exitlog.Exits(*(column[:-1] for column in seen))
    assert exitlog.disagreements(shorter, run.trace) != []


@pytest.mark.everywhere
def test_a_doctored_trace_is_told(machine, tmp_path, capsys):
    """One bit of one exit, in a copy of the trace as it lies on the disk."""
    run = made(machine, "ends")
    assert judge.main(["exits", str(run.dir)]) == 0
    exits = run.trace.select("exit")
    words = struct.pack("<QQ", int(exits["code"][50]), int(exits["info1"][50]))
    raw = bytearray(trace_bytes(run))
    raw[raw.index(words) + 8] ^= 1
    (tmp_path / "trace.bin").write_bytes(raw)
    shutil.copy(run.dir / "exits.log", tmp_path)
    assert judge.main(["exits", str(tmp_path)]) == 1
    assert "info1 was traced as" in capsys.readouterr().out


def trace_bytes(run) -> bytes:
    return Path(run.dir / "trace.bin").read_bytes()


@pytest.mark.parametrize("name", ("modes", "hostile"))
def test_one_seed_gives_the_same_bytes_another_does_not(machine, name):
    first, again = made(machine, name), made(machine, name, fresh=True)
    assert first.dir != again.dir
    assert trace_bytes(first) == trace_bytes(again)
    assert (first.dir / "exits.log").read_bytes() == (again.dir / "exits.log").read_bytes()
    assert trace_bytes(made(machine, name, seed=2)) != trace_bytes(first)


def test_the_log_of_exits_changes_nothing(machine):
    guests, option = MIXTURES["neighbours"]
    unseen = machine(guests, option, ok=False)
    assert trace_bytes(unseen) == trace_bytes(made(machine, "neighbours"))


def reports(run) -> list:
    """What the guests reported that does not depend on time: name, value, verdict, sealed."""
    checks = run.trace.select("check")
    return sorted((int(vm), checks.text(i), int(checks["value"][i]), int(checks["expected"][i]),
                   int(checks["sealed"][i])) for i, vm in enumerate(checks.vm))


def test_the_disk_image_gives_what_the_elf_gives(machine):
    elf, disk = made(machine, "modes"), made(machine, "modes", raw_image=True)
    assert disk.json["image_sha256"] != elf.json["image_sha256"]
    assert reports(disk) == reports(elf) and len(reports(elf)) > 30
    for one, other in zip(elf.json["vms"], disk.json["vms"]):
        assert (one["how"], one["code"]) == (other["how"], other["code"]) == ("EXITED", 0)
