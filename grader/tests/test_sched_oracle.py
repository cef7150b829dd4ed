"""The schedulers' object code decides as the oracle does, on seeded random workloads.

The C side makes and schedules all workloads in one process (vmm/sched/sim/fuzz.c) and leaves
a trace; the oracle (grader/oracle/sched, from the reference text) is given the same calls.
"""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import List

import pytest

from grader.oracle.sched import replay
from grader.tests.hostbuild import ROOT, make
from viz import trace as viz_trace

NAMES = ("bvt", "sedf", "credit")
SCHEDSIM = ROOT / "build/sim/schedsim"
SEEDS, MANY, BATCH = 300, 5000, 250
DECISIONS = 200
SLACK = 60      # the C side counts a few more: a unit that blocks and comes again at once


@pytest.fixture(scope="module")
def schedsim() -> Path:
    make(str(SCHEDSIM.relative_to(ROOT)))
    return SCHEDSIM


def workloads(schedsim: Path, folder: Path, name: str, first: int, count: int) -> Path:
    """A trace of so many workloads."""
    path = folder / f"{name}-{first}.bin"
    subprocess.run([str(schedsim), "fuzz", name, str(first), str(count),
                    str(DECISIONS + SLACK), str(path)], check=True)
    return path


def compared(path: Path) -> List[replay.Result]:
    trace = viz_trace.load(str(path))
    assert not trace.warnings and not trace.dropped
    return replay.compare(trace)


@pytest.mark.parametrize("name", NAMES)
def test_every_decision_is_the_oracle_s(schedsim, tmp_path, torture, name):
    total = MANY if torture else SEEDS
    for first in range(1, total + 1, BATCH):
        count = min(BATCH, total + 1 - first)
        path = workloads(schedsim, tmp_path, name, first, count)
        results = compared(path)
        path.unlink()
        assert len(results) == count
        wrong = [f"seed {first + i}: {result.problems[0]}"
                 for i, result in enumerate(results) if result.problems]
        assert not wrong, f"{len(wrong)} of {count} workloads differ; {wrong[0]}"
        for result in results:
            assert result.decisions >= DECISIONS and result.ties and result.switches > 3
            assert all(result.kinds.get(kind) for kind in ("BLOCK", "WAKE", "sched_set")), result


@pytest.mark.parametrize("name", ["bvt", "sedf"])
def test_moving_virtual_times_back_changes_no_decision(tmp_path, name):
    """Built so that it happens every few decisions, not once in months."""
    make("build/sim-rebase/schedsim")
    results = compared(workloads(ROOT / "build/sim-rebase/schedsim", tmp_path, name, 1001, 40))
    assert not [result.problems[0] for result in results if result.problems]


@pytest.mark.parametrize("name", NAMES)
def test_repeated_calls_give_the_same_decisions(schedsim, tmp_path, name):
    path = workloads(schedsim, tmp_path, name, 1, 20)
    done = subprocess.run([str(schedsim), "replay", str(path)], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 0 and "decisions, all the same" in done.stdout, done.stderr
    assert int(done.stdout.split()[0]) > 20 * DECISIONS


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_record_is_found_by_both(schedsim, tmp_path, name):
    """Another time at which a decision would be due: the oracle and the repeated run see it."""
    path = workloads(schedsim, tmp_path, name, 1, 1)
    trace = viz_trace.load(str(path))
    picks = trace.select("sched_pick")
    place = int(trace.payload_index[picks.index[50]]) + picks.event.position("until")
    at = trace.header.base + 8 * place
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    done = subprocess.run([str(schedsim), "replay", str(path)], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 1 and done.stdout.startswith("decision 51, at "), done.stdout
    assert compared(path)[0].problems[0].startswith(f"{name}, decision 51: at ")


def test_a_trace_that_cannot_be_repeated_is_refused(schedsim, tmp_path):
    bad = tmp_path / "bad.bin"
    bad.write_bytes(b"no trace at all" * 200)
    done = subprocess.run([str(schedsim), "replay", str(bad)], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 2 and "is no trace" in done.stderr
