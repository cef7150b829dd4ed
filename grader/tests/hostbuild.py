"""Building host programs (unit tests, fuzz targets, tools) with make, one process at a time.

They share object files, so that pytest-xdist's workers must not build at once.
"""
from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNIT = Path("build/unit")


def make(*words: str) -> str:
    """make's output; fails the test with it when make fails."""
    (ROOT / UNIT).mkdir(parents=True, exist_ok=True)
    with open(ROOT / UNIT / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", "-s", "--no-print-directory", *words], cwd=ROOT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout
