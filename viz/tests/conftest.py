"""What the tests of viz share: one synthetic run, and a way to call the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

from viz.tests import synth
from viz.trace import Trace, load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of 100 ms of three VMs, the second of which sleeps between its ticks."""
    return synth.three_vms(tmp_path_factory.mktemp("run") / "trace.bin", 100, sleeps=True)


@pytest.fixture(scope="session")
def run_trace(run_path: Path) -> Trace:
    return load(str(run_path))


@pytest.fixture(scope="session")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.million_events(tmp_path_factory.mktemp("million") / "trace.bin")


@pytest.fixture(scope="session")
def viz() -> Callable[..., subprocess.CompletedProcess]:
    """Call `python3 -m viz` as a user would."""
    def call(*words: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "viz", *map(str, words)], cwd=ROOT,
                              capture_output=True, text=True, timeout=120)
    return call
