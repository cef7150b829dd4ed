"""Host times and memory for make bench: building, starting, drawing.

Everything is done in a scratch folder: nothing of build/ is made anew or lost.
(make must not be told B=/absolute/path/to/build: the dependency files would then
speak of other targets than those of the next make.)
Each is measured three times and the best is taken, so that a machine that does
other things as well fails nobody.
"""
from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from grader import plan
from grader.platform import MEMORY
from grader.qemu_svm import TRACE_ADDRESS

TIMES = 3
JOBS = 2
CHANGED = "vmm/vcpu.c"  # the file that `make` is told to take for changed
EXIT_EVENT = "exit"
EVENTS_MAKER = plan.ROOT / "viz" / "tests" / "synth.py"
PATIENCE_S = 120.0
DRAW = ("import sys; from viz.__main__ import main; code = main(sys.argv[1:]); "
        "print(open('/proc/self/status').read()); sys.exit(code)")

Say = Callable[[str], None]


def measure(folder: Path, say: Say) -> Dict[str, float]:
    """The host rows, by the names of bench.HOST; in a starter none about drawing."""
    found = {"clean": _best(say, "make from clean", lambda: clean_build(folder / "build")),
             "incremental": _best(say, "make after a change",
                                  lambda: incremental_build(folder / "build")),
             "first_exit": _best(say, "make run to the first exit",
                                 lambda: first_exit(folder / "run", folder / "build")),
             "hello_vmx": _best(say, "hello on bochs-vmx",
                                lambda: hello(folder / "hello", folder / "build"))}
    if EVENTS_MAKER.is_file():
        found.update(_drawing(folder, say))
    else:
        say("the rows about drawing are left out: what makes their 1,000,000 events "
            f"({plan.short(EVENTS_MAKER)}) is not in a starter; the others follow")
    return {name: round(value, 3) for name, value in found.items()}


def _drawing(folder: Path, say: Say) -> Dict[str, float]:
    trace = folder / "million.bin"
    say("writing 1,000,000 events")
    _write_million(trace)
    drawn = []
    for number in range(TIMES):
        say(f"drawing them, {number + 1} of {TIMES}")
        drawn.append(draw(trace, folder / "timeline.svg"))
    return {"draw_s": min(seconds for seconds, _ in drawn),
            "draw_mb": min(memory for _, memory in drawn)}


def _best(say: Say, what: str, work: Callable[[], float]) -> float:
    values = []
    for number in range(TIMES):
        say(f"{what}, {number + 1} of {TIMES}")
        values.append(work())
    return min(values)


def _timed(words: List[str]) -> float:
    start = time.monotonic()
    done = subprocess.run(words, cwd=plan.ROOT, env=_environment(), text=True,
                          capture_output=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise plan.RunError(f"`{' '.join(words[:3])} ...` failed: {' '.join(said)}")
    return time.monotonic() - start


def _environment() -> Dict[str, str]:
    """Without what a make above us says to the makes below it."""
    return {name: value for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}


def clean_build(build: Path) -> float:
    """Seconds that building everything takes."""
    subprocess.run(["rm", "-rf", str(build)], check=True)
    return _timed(["make", "-s", f"-j{JOBS}", f"B={build}", "all"])


def incremental_build(build: Path) -> float:
    """Seconds that building takes after one file was changed (nothing is touched)."""
    return _timed(["make", "-s", f"-j{JOBS}", f"B={build}", "-W", CHANGED, "all"])


def hello(out: Path, build: Path) -> float:
    """Seconds that Bochs takes for a whole run: BIOS, kernel, guest, memory written out."""
    return _timed([sys.executable, "-m", "grader", "run", "--quiet", "--platform", "bochs-vmx",
                   "--guest", "hello", "--build", str(build), "--out", str(out)])


# --- To the first exit ------------------------------------------------------------------

def first_exit(out: Path, build: Path) -> float:
    """Seconds from the start of what `make run` does to the first exit in the live trace."""
    line = (f"make -s B='{build}' all && exec {sys.executable} -m grader run --lab 0 --quiet "
            f"--build '{build}' --out '{out}'")
    (out / MEMORY).unlink(missing_ok=True)
    start = time.monotonic()
    process = subprocess.Popen(["sh", "-c", line], cwd=plan.ROOT, env=_environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not has_exit(out / MEMORY):
            if process.poll() is not None or time.monotonic() - start > PATIENCE_S:
                raise plan.RunError("the run of lab 0 ended without an exit of a guest")
            time.sleep(0.002)
        return time.monotonic() - start
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def has_exit(memory: Path) -> bool:
    """Does the trace that is being written hold an exit?"""
    try:
        with open(memory, "rb") as file:
            file.seek(TRACE_ADDRESS)
            page = file.read(4096)
            if page[:8] != b"NESTTRC1":
                return False
            schema_off, schema_size = struct.unpack_from("<II", page, 56)
            start, _, used = struct.unpack_from("<QQQ", page, 640)
            file.seek(TRACE_ADDRESS + schema_off)
            number = _event_number(file.read(schema_size))
            file.seek(TRACE_ADDRESS + start)
            return number in _events(file.read(min(used, 1 << 20)))
    except OSError:
        return False


def _event_number(schema: bytes) -> int:
    match = re.search(rf"^event (\d+) {EXIT_EVENT} ", schema.decode("ascii", "replace"), re.M)
    return int(match[1]) if match else -1


def _events(data: bytes) -> List[int]:
    found, place = [], 0
    while place + 16 <= len(data):
        event, words = struct.unpack_from("<8xH4xB", data, place)
        if event == 0:
            break
        found.append(event)
        place += 16 + 8 * words
    return found


# --- Drawing -------------------------------------------------------------------------------

def _write_million(path: Path) -> None:
    """In a process of its own: it would make this one large."""
    words = [sys.executable, "-c", "import sys; from viz.tests.synth import million_events; "
             "million_events(sys.argv[1])", str(path)]
    subprocess.run(words, cwd=plan.ROOT, check=True)


def draw(trace: Path, out: Path) -> Tuple[float, float]:
    """Seconds and MB (the most that was ever resident) to draw a timeline."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", DRAW, "timeline", str(trace), "-o", str(out)],
                          cwd=plan.ROOT, text=True, capture_output=True, check=False)
    seconds = time.monotonic() - start
    peak = re.search(r"^VmHWM:\s+(\d+) kB", done.stdout, re.M)
    if done.returncode or peak is None or not out.is_file():
        raise plan.RunError(f"drawing failed: {done.stderr.strip()[-200:]}")
    return seconds, int(peak[1]) * 1024 / 1e6
