"""Simulations by build/sim/schedsim: the schedulers' own object code on simulated VMs.

A simulation is a text (handouts/formats.md, section 10).  What comes back is what each
vCPU got, and the trace.  Nothing is measured here.
"""
from __future__ import annotations

import csv
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

from grader import plan
from viz import trace as viz_trace

TOOL = Path("sim") / "schedsim"


@dataclass(frozen=True)
class Outcome:
    """What a simulation leaves: its text, a row a vCPU, and the trace."""

    text: str
    rows: List[Dict[str, int]]
    trace: viz_trace.Trace


def build(root: Path = plan.ROOT, tool: Path = TOOL) -> Path:
    """The simulator (or another tool), made if need be; RunError if that fails."""
    wanted = Path("build") / tool
    done = subprocess.run(["make", "-s", str(wanted)], cwd=root, text=True, capture_output=True,
                          check=False)
    if done.returncode:
        raise plan.RunError(f"make {wanted} failed: {' '.join(done.stderr.split())[:300]}")
    return root / wanted


def run(tool: Path, options: str, vms: Sequence[str]) -> Outcome:
    """Simulate; RunError, in the simulator's words, if it refuses."""
    text = "\n".join([options, *vms]) + "\n"
    with tempfile.TemporaryDirectory(prefix="nestling-sim-") as folder:
        place = Path(folder)
        (place / "sim.txt").write_text(text)
        done = subprocess.run([str(tool), "run", str(place / "sim.txt"), str(place / "trace.bin")],
                              text=True, capture_output=True, check=False)
        if done.returncode:
            raise plan.RunError(f"{done.stderr.strip()} (in: {text!r})")
        rows = [{key: int(value) for key, value in row.items()}
                for row in csv.DictReader(done.stdout.splitlines())]
        return Outcome(text, rows, viz_trace.load(str(place / "trace.bin")))
