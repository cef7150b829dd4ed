"""The scheduler simulator: workloads as data, the machine's trace format, many VMs and CPUs."""
from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from grader.oracle.sched import replay
from grader.oracle.share import shares
from grader.tests.hostbuild import ROOT, make
from viz import trace as viz_trace

SCHEDSIM = ROOT / "build/sim/schedsim"
MIX = """
1 weight=256 -- work=cpu                      # two that always want the CPU
1 weight=512 cap=30 mcu_adv=20 -- work=cpu
2 -- work=io run=100us wait=5ms
1 change=1s:weight=512/2s:weight=64,extratime=off -- work=periodic run=2ms every=20ms
1 warp=500 -- work=bursty run=3ms wait=20ms
1 -- work=attack wait=500us every=10ms
1 -- work=yield run=700us
"""


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    make(str(SCHEDSIM.relative_to(ROOT)))


def simulate(folder: Path, text: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    (folder / "sim.txt").write_text(text)
    done = subprocess.run([str(SCHEDSIM), "run", str(folder / "sim.txt"), str(folder / "t.bin")],
                          text=True, capture_output=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def rows(done: "subprocess.CompletedProcess[str]") -> List[Dict[str, int]]:
    return [{key: int(value) for key, value in row.items()}
            for row in csv.DictReader(done.stdout.splitlines())]


@pytest.mark.parametrize("name", ["bvt", "sedf", "credit"])
def test_a_simulation_is_the_oracle_s_and_repeats(tmp_path, name):
    done = simulate(tmp_path, f"sched={name} time=3s seed=5\n{MIX}")
    trace = viz_trace.load(str(tmp_path / "t.bin"))
    assert not trace.warnings and not trace.dropped
    [result] = replay.compare(trace)
    assert result.problems == [] and result.kinds["sched_set"] == 2 and result.decisions > 2000
    assert all(result.kinds[kind] > 100 for kind in ("WAKE", "BLOCK", "TIMER"))
    again = subprocess.run([str(SCHEDSIM), "replay", str(tmp_path / "t.bin")], check=False)
    assert again.returncode == 0
    ran = {row["vm"]: row["ran_ns"] for row in rows(done)}
    parts = shares(trace, 0, 3 * 10**9)
    assert all(abs(parts[vm] - ran[vm] / 3e9) < 1e-6 for vm in ran)
    assert sum(ran.values()) <= 3 * 10**9 and parts.get(0, 0) < 0.01


def test_several_cpus_are_all_busy(tmp_path):
    """Five that always want one of four CPUs: none idles, each gets four fifths."""
    done = simulate(tmp_path, "sched=credit cpus=4 time=6s\n5 -- work=cpu\n")
    ran = [row["ran_ns"] for row in rows(done)]
    assert sum(ran) == 4 * 6 * 10**9
    assert all(abs(each / 6e9 - 0.8) < 0.04 for each in ran), ran
    trace = viz_trace.load(str(tmp_path / "t.bin"))
    assert not trace.warnings and set(trace.pcpu.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["bvt", "sedf", "credit"])
def test_ten_thousand_vms_leave_sums(tmp_path, name):
    simulate(tmp_path, f"sched={name} time=10s trace=sums window=2s seed=1\n"
             "5000 slice=5us -- work=cpu\n5000 slice=5us -- work=io run=100us wait=1s\n")
    trace = viz_trace.load(str(tmp_path / "t.bin"))
    sums = trace.select("sched_window")
    assert len(sums) == 5 * 10000 and len(trace) < 50100
    # sedf leaves gaps of less than 500 us idle, and so many small slices leave many.
    least = 0.4 if name == "sedf" else 0.99
    assert least * 10**10 <= int(sums["ran"].sum()) <= 10**10


def test_exact_charging_defeats_who_stops_before_the_tick(tmp_path):
    """Beside two hogs it gains nearly all under tick sampling, and its third, or less, else."""
    text = "sched=credit charge={} time=30s trace=sums\n2 -- work=cpu\n" \
        "1 -- work=attack wait=500us every=10ms\n"
    part = {}
    for charge in ("exact", "tick"):
        part[charge] = rows(simulate(tmp_path, text.format(charge)))[2]["ran_ns"] / 30e9
    assert part["tick"] > 0.9 and part["exact"] < 0.36, part


@pytest.mark.parametrize("text, sentence", [
    ("sched=fifo\n1\n", "line 1: 'sched=fifo': 'fifo' is no scheduler"),
    ("sched=bvt cpus=2\n1\n", "line 1: only credit has several CPUs"),
    ("sched=bvt\nhog\n", "line 2: 'hog' does not begin with a number of VMs"),
    ("sched=bvt\n1 weight=0\n", "line 2: 'weight=0': '0' is out of range: 1 to 65535"),
    ("sched=bvt\n1 weight=-1\n", "line 2: 'weight=-1': '-1' is not a number"),
    ("sched=credit\n1 weight=99999999999999999999\n", "is out of range: 1 to 65535"),
    ("sched=sedf\n1 slice=20ms period=10ms\n", "line 2: a slice of 20000000 ns is longer than its"),
    ("sched=sedf\n1 change=1s:slice=20s\n", "line 2: 'change=1s:slice=20s'"),
    ("sched=sedf\n1 slice=4us\n", "is out of range: 5us to 10s (less would go into changing VMs)"),
    ("sched=bvt\n1 warp=1000000000 warpl=0s\n", "'1000000000' is out of range: 0 to 65535000"),
    ("sched=bvt\n1 warp=65535000 warpl=0s\n", "line 2: warp=65535000 is refused: at most 1000 "
     "times mcu_adv, here 10000, so that nobody borrows more than 100 ms of run time"),
    ("sched=bvt\n1 warp=5000 change=1s:mcu_adv=4\n", "line 2: 'change=1s:mcu_adv=4': warp=5000 is "
     "refused: at most 1000 times mcu_adv, here 4000"),
    ("sched=bvt\n1 warp=1 warpu=99us\n", "line 2: warpu=99000 is refused: 0s, or at least 100us"),
    ("sched=bvt\n\n1 -- work=nap\n", "line 3: 'work=nap': 'nap' is none of: cpu, io"),
    ("sched=sedf\n2 slice=60ms\n", "VM 2: a slice of 60000000 ns in each 100000000 ns is refused"),
    ("sched=bvt\n", "has no VM")])
def test_what_makes_no_sense_is_refused_in_words(tmp_path, text, sentence):
    assert sentence in simulate(tmp_path, text, code=2).stderr
