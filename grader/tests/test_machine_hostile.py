"""A guest that does everything no guest should, over and over, harms nobody but itself.

What it did is counted from the emulator's own log: it announces each action at a port
of its own (guests/README.md). Its neighbours are judged by their checks, which must be
those of a run without it, and by their code in RAM. `make check` does 50,000 actions,
`make torture` a million over 20 seeds, with at least 1,000 deaths. Bochs's log costs ten
times the run itself: there one seed of the million is counted from it, and the ports that
the VMM traced say the same; the others are counted by these.
"""
from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest

from grader import plan
from grader.oracle import isolation, timer
from grader.oracle import exitlog
from grader.tests import keeper

pytestmark = pytest.mark.machine

# VMs 2 and 5 go on to the end, so their memory can be looked at; 3 and 4 end with a result.
NEIGHBOURS = ("ticker -- hz=100", "ticker -- hz=250 ticks=40 compute=400000",
              "canary -- rounds=150", "keeper mem=4M -- pages=128")
HOSTILE = "hostile mem=2M mmu={} restart=1000000 checks=ignore watchdog=20ms -- deaths={} actions=1000000"
OPTION = "trace=some slice=1ms tracebuf=128M"
COUNTED = "trace=io,sched,time,memory slice=1ms tracebuf=192M"     # OPTION, and each port's use
DEATHS = 3                       # per mille of the actions
CHECK = (4, 12_500, "450ms")       # seeds, actions of each, virtual time that suffices
TORTURE = (20, 50_000, "2500ms")
BOCHS_TORTURE = (20, 50_000, "1900ms")
CLASSES, DEATH_MARK = 11, 15


def results(run: Any, vm: int) -> List[Tuple[str, int, int, bool]]:
    """What a VM's self-checks said, and its last word on its work."""
    checks = run.trace.select("check")
    return [(checks.text(i), int(checks["value"][i]), int(checks["expected"][i]),
             bool(checks["sealed"][i])) for i in np.nonzero(checks.vm == vm)[0]]


def ends(run: Any, vm: int) -> List[str]:
    records = run.trace.select("vm_end")
    return [word for word, who in zip(records.word("how"), records.vm) if who == vm]


def text_of(image: Path) -> Tuple[int, bytes]:
    """Address and bytes of .text in an ELF32 file."""
    data = image.read_bytes()
    table, size, count, names = struct.unpack_from("<I10xHHH", data, 0x20)
    rows = [struct.unpack_from("<10I", data, table + i * size) for i in range(count)]
    for name, _, _, address, offset, length, *_ in rows:
        start = rows[names][4] + name
        if data[start:data.index(b"\0", start)] == b".text":
            return address, data[offset:offset + length]
    raise AssertionError(f"{image} has no .text")


def changed_code(run: Any, vm: int, name: str) -> int:
    """How many bytes of a living VM's code differ from its image."""
    address, code = text_of(plan.BUILD / "guests" / f"{name}.elf")
    slots = run.trace.select("vm_slot")
    base = int(slots["hpa"][slots.vm == vm][0])
    now = np.frombuffer(run.memory.read_bytes(base + address, len(code)), np.uint8)
    return int((now != np.frombuffer(code, np.uint8)).sum())


def longest_silence(run: Any, vm: int) -> int:
    """The longest time (ns) from a VM's creation to the end without a tick for it."""
    ticks = run.trace.select("timer_delivered")
    when = ticks.ns[ticks.vm == vm].astype(np.int64)
    return int(np.diff(np.concatenate([[0], when, [run.json["virtual_ns"]]])).max())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        seeds = (TORTURE if metafunc.config.getoption("--torture") else CHECK)[0]
        metafunc.parametrize("seed", range(1, seeds + 1))


def attack(machine: Any, seed: int, time: str, option: str, log: bool, mmu: str = "nested"
           ) -> Any:
    return machine((HOSTILE.format(mmu, DEATHS), *NEIGHBOURS), option, time=time, seed=seed,
                   exit_log=log, ok=False, timeout=7200)


def traced_marks(run: Any) -> Dict[int, int]:
    """How many actions of each class the VMM saw announced."""
    io = run.trace.select("io")
    mine = (io.vm == 1) & (io["write"] == 1) & (io["size"] == 1)
    port = io["port"][mine].astype(np.int64) - exitlog.MARK_PORT
    total = np.bincount(port[(port >= 0) & (port < exitlog.MARKS)])
    return {number: int(count) for number, count in enumerate(total) if count}


def how_counted(platform: str, torture: bool, seed: int) -> Tuple[str, bool]:
    """The machine's options, and whether its emulator logs: Bochs's log counts one seed."""
    traced = torture and platform in ("bochs-svm", "bochs-vmx")
    return (COUNTED, seed == 1) if traced else (OPTION, True)


def counted(run: Any, option: str, log: bool) -> Dict[int, int]:
    """Class -> actions: by the emulator's log, by the trace, or by both, which must agree."""
    if not log:
        return traced_marks(run)
    counts = exitlog.marks(run.dir / "exits.log")
    (run.dir / "exits.log").write_bytes(b"")    # it is large, and has been read
    assert option is OPTION or traced_marks(run) == counts
    return counts


def peace(machine: Any, seed: int) -> Any:
    """The same run with nobody hostile, until those two have ended that end by themselves."""
    return machine(("hello", *NEIGHBOURS), OPTION, time="500ms", seed=seed, ok=False)


def judge(run: Any, undisturbed: Any) -> None:
    """Everything that must hold whatever VM 1 did."""
    assert run.json["exit_reason"] == "time", run.sentence
    assert run.trace.dropped == 0
    for vm in (3, 4):
        assert ends(run, vm) == ends(undisturbed, vm) == ["EXITED"]
        assert results(run, vm) == results(undisturbed, vm) != []
    assert ends(run, 2) == ends(run, 5) == ["TIME_UP"]
    ticking = results(run, 2)
    assert len(ticking) > 3 and all(value == expected and sealed
                                    for _, value, expected, sealed in ticking)
    assert changed_code(run, 2, "ticker") == 0 and changed_code(run, 5, "keeper") == 0
    kept = results(run, 5)
    assert len(kept) > 5 and all(value == expected and sealed for _, value, expected, sealed in kept)
    assert keeper.changed(run, 5) == 0
    assert timer.check(run.trace) == []
    assert longest_silence(run, 2) < 25_000_000, "the host did not go on all the time"
    assert isolation.check(run.trace, run.memory) == []
    gone = run.trace.select("vm_destroy")
    assert len(gone.vm) > 3 and not gone["leaked"].any()
    last = int(gone.index[gone.vm > 1].max())
    after = gone["free"][(gone.vm == 1) & (gone.index > last)]
    assert len(after) > 1 and len(set(after.tolist())) == 1, "the free frames did not come back"


def test_the_neighbours_of_a_hostile_guest(machine: Any, platform: str, torture: bool, seed: int
                                           ) -> None:
    option, log = how_counted(platform, torture, seed)
    _, least, time = CHECK if not torture else TORTURE if option is OPTION else BOCHS_TORTURE
    run = attack(machine, seed, time, option, log)
    judge(run, peace(machine, seed))
    counts = counted(run, option, log)
    actions = sum(counts.get(kind, 0) for kind in range(CLASSES))
    print(f"{actions} actions, {counts.get(DEATH_MARK, 0)} deaths on purpose, "
          f"{run.trace.select('vm_destroy').vm.size} ends: {counts}")
    assert actions >= least
    assert all(counts.get(kind, 0) >= 0.02 * actions for kind in range(CLASSES)), counts
    assert counts[DEATH_MARK] >= actions * DEATHS / 1000 / 2


@pytest.mark.long
@pytest.mark.parametrize("mmu", ["shadow", "vtlb"])
def test_the_same_on_other_tables(machine: Any, platform: str, mmu: str) -> None:
    """What is done outside of page tables, by a guest that runs on a shadow, or fills a TLB."""
    option, log = how_counted(platform, True, 0)
    run = attack(machine, 99, "900ms", option, log, mmu)
    judge(run, peace(machine, 99))
    counts = counted(run, option, log)
    print(mmu, counts)
    assert sum(counts.get(kind, 0) for kind in range(CLASSES)) >= 5_000
    assert run.trace.select("shadow_root").vm.size > 100


def test_code_that_was_changed_is_seen(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = peace(machine, 1)
    assert changed_code(run, 2, "ticker") == 0
    honest = run.memory.read_bytes
    assert keeper.changed(run, 5) == 0
    monkeypatch.setattr(run.memory, "read_bytes", lambda at, n: b"\xcc" + honest(at, n)[1:])
    assert changed_code(run, 2, "ticker") == 1
    assert keeper.changed(run, 5) == 1
