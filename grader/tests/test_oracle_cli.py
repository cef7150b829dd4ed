"""The oracles' command line: exit status and words for right, wrong and unjudgeable runs."""
from __future__ import annotations

from pathlib import Path

import pytest

from grader.oracle import timer
from grader.oracle import walk as oracle
from grader.oracle.__main__ import main
from grader.oracle.memory import Memory
from grader.tests.tables import Machine, P, U
from grader.tests.test_oracle_compare import GVA, emit
from grader.tests.test_oracle_isolation import Two
from grader.tests.test_oracle_timer import AWAY, corrupt
from grader.tests.vtimer_sim import Sim
from viz.tests.synth import TraceWriter


PAGING, EFER = 0x80000011, 0xD00         # CR0 with WP clear; EFER with LME, LMA, NXE


def walk_run(path: Path, flags: int = P | U, access: int = 0, cr0: int = 0,
             **kept: bool) -> Machine:
    """A run folder with one walk: that of a guest with such settings, which says cr0 is so."""
    machine = Machine()
    machine.guest.map(GVA & ~0xFFF, 0x2A000, flags=flags)
    memory = Memory(machine.ram.save(path / "memory.bin"))
    writer = TraceWriter(path / "trace.bin")
    result = oracle.walk(memory, GVA, access, "LONG4", machine.guest.root, machine.nested.root,
                         oracle.Settings(**kept))
    emit(writer, machine, result, access=access, cr0=cr0, efer=EFER)
    writer.save()
    return machine


def test_walk(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    machine = walk_run(tmp_path)
    assert main(["walk", str(tmp_path)]) == 0
    machine.ram.put(machine.nested.root, 0)
    machine.ram.save(tmp_path / "memory.bin")
    assert main(["walk", str(tmp_path)]) == 1
    assert "walk 1 (VM 1, gVA 0x7f1234567abc): reference 1" in capsys.readouterr().out


def test_a_stale_walk_may_agree_but_accuses_nobody(tmp_path: Path,
                                                   capsys: pytest.CaptureFixture) -> None:
    machine = Machine()
    machine.guest.map(GVA & ~0xFFF, 0x2A000)
    memory = Memory(machine.ram.save(tmp_path / "memory.bin"))
    writer = TraceWriter(tmp_path / "trace.bin")
    emit(writer, machine, oracle.walk(memory, GVA, 0, "LONG4", machine.guest.root,
                                      machine.nested.root))
    writer.emit("vm_destroy", vm=1).save()
    assert main(["walk", str(tmp_path)]) == 0
    assert "1 walks of 1 were held against memory" in capsys.readouterr().out
    machine.ram.put(machine.nested.root, 0)
    machine.ram.save(tmp_path / "memory.bin")
    assert main(["walk", str(tmp_path)]) == 2
    assert "its VM was destroyed afterwards" in capsys.readouterr().err


def test_a_walk_is_judged_by_the_guests_own_settings(tmp_path: Path) -> None:
    walk_run(tmp_path, access=1, cr0=PAGING, wp=False)
    assert main(["walk", str(tmp_path)]) == 0
    walk_run(tmp_path, access=1, cr0=PAGING | 1 << 16, wp=False)
    assert main(["walk", str(tmp_path)]) == 1


def test_timer(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    Sim(tmp_path / "trace.bin", "MERGE").play(AWAY).w.save()
    assert main(["timer", str(tmp_path)]) == 0
    corrupt(tmp_path / "trace.bin", "timer_delivered", 3, 2, lambda value: value + 1)
    assert main(["timer", str(tmp_path)]) == 1
    assert "but due is" in capsys.readouterr().out


def test_timer_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """As a starter has it: `python3 -m grader.oracle.timer`, with the same words and statuses."""
    Sim(tmp_path / "trace.bin", "MERGE").play(AWAY).w.save()
    assert timer.main([str(tmp_path)]) == 0
    corrupt(tmp_path / "trace.bin", "timer_delivered", 3, 2, lambda value: value + 1)
    assert timer.main([str(tmp_path)]) == 1
    alone = capsys.readouterr().out.split("timer: right\n")[1]
    main(["timer", str(tmp_path)])
    assert "but due is" in alone and alone.splitlines()[-1] in capsys.readouterr().out
    assert timer.main([str(tmp_path / "nowhere")]) == timer.main([]) == 2


def test_isolation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    two = Two(tmp_path)
    assert two.problems() == []
    assert main(["isolation", str(tmp_path)]) == 0
    two.ram.put(two.leaf(1, 0x5000), two.slots[1] | P | U)
    assert two.problems()
    assert main(["isolation", str(tmp_path)]) == 1
    assert "VM 1: gPA 0x5000" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["walk", "timer", "isolation"])
def test_what_cannot_be_judged(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main([name, str(tmp_path)]) == 2
    TraceWriter(tmp_path / "trace.bin").save()
    assert main([name, str(tmp_path)]) == 2
    lines = capsys.readouterr().err.strip().split("\n")
    assert len(lines) == 2 and all("cannot be judged" in line for line in lines)
