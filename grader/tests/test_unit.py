"""The host-built unit tests and fuzz targets that the Makefile lists, under ASan and UBSan.

One pytest case each. Fuzz targets run a fixed number of inputs of one seed here, ten times as many
with --torture; `make fuzz` runs them at length.
"""
from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Dict, List

import pytest

from grader.tests.hostbuild import ROOT, UNIT, make

FUZZ_INPUTS: Dict[str, int] = {"shadow": 2500}     # of the others DEFAULT_INPUTS, which cost about as much
DEFAULT_INPUTS = 20000
FUZZ_SEED = 1


def listed(variable: str) -> List[str]:
    return make(f"print-{variable}").split()


def run(program: Path, *words: str) -> str:
    """Build and run; the last line of its output. All of it is shown when it fails."""
    make(str(program))
    done = subprocess.run([str(program), *words], cwd=ROOT, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("name", listed("UNIT_TESTS"))
def test_unit(name: str) -> None:
    last = run(UNIT / f"test_{name}")
    if f"{name}: skipped: " in last:
        pytest.skip(last)
    assert re.fullmatch(rf"{name}: [1-9]\d* checks", last), last


@pytest.mark.parametrize("name", listed("FUZZERS"))
def test_fuzz(name: str, torture: bool) -> None:
    inputs = FUZZ_INPUTS.get(name, DEFAULT_INPUTS) * (10 if torture else 1)
    last = run(UNIT / f"fuzz_{name}", str(inputs), str(FUZZ_SEED))
    assert last == f"fuzz_{name}: {inputs} inputs"
