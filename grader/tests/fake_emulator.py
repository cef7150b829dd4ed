"""Stands in for QEMU in test_run_cli.py: leaves what a machine would, and ends as told.

The environment variable NESTLING_FAKE says how to end; the command line is the
one that grader/qemu_svm.py makes.  Nothing is emulated.
"""
from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from viz.tests.synth import TraceWriter  # noqa: E402

RAM_SIZE = 512 << 20
TRACE_ADDRESS = 0x10000000
STATUS = {"ended": 0, "failed": 1, "failed-late": 1, "unsealed": 1, "time": 2, "refused": 3,
          "panic": 4, "todo": 5, "odd": 9, "code": 1, "full": 2}
HOW = {"time": "TIME_UP", "failed-late": "TIME_UP", "bad-entry": "BAD_ENTRY"}
WHY = {"bad-entry": "entry refused: ASID = 0", "code": "exited with code 2"}


def main() -> int:
    words = sys.argv[1:]
    if "--version" in words:
        print(os.environ.get("NESTLING_FAKE_VERSION", "QEMU emulator version 7.2.22 (fake)"))
        return 0
    if words[:2] == ["-accel", "help"]:
        print("Accelerators supported in QEMU binary:\ntcg")
        return 0
    mode = os.environ["NESTLING_FAKE"]
    line = " ".join(words)
    if mode == "error":
        print("qemu-system-x86_64: -cpu: warned before", file=sys.stderr)
        print("qemu-system-x86_64: cannot set up guest memory", file=sys.stderr)
        return 1
    if mode == "silent":
        return 1
    _console(re.search(r"file:(\S+)", line)[1], mode)
    if mode != "blank":
        _memory(re.search(r"mem-path=(\S+)", line)[1], mode)
    if mode == "links":
        _links(Path(os.environ["NESTLING_FAKE_SECRET"]))
    return _end(mode)


def _links(secret: Path) -> None:
    """What nobody may open by its name, in the place of what a machine leaves."""
    for name in ("console.txt", "emulator.log", "run.json"):
        Path(name).unlink(missing_ok=True)
    Path("console.txt").symlink_to(secret / "console.txt")
    os.link(secret / "exits.log", "exits.log")
    os.mkfifo("emulator.log")
    Path("run.json").mkdir()


def _console(path: str, mode: str) -> None:
    last = {"refused": "option 'x=1' is unknown", "panic": "panic: out of frames",
            "todo": "nestling: lab 1: vcpu_run is not written yet: handout 1.3"}.get(mode, "bye")
    said = {"code": "[1 hello] argument x: unknown\n[1 hello] ended: exited with code 2\n"
                    "[11 hello] not that one\n"}.get(mode, "")
    Path(path).write_text(f"nestling boots\n{said}{last}\n")


def _memory(path: str, mode: str) -> None:
    with open(path, "wb") as memory:
        memory.truncate(RAM_SIZE)
        memory.seek(TRACE_ADDRESS)
        memory.write(_trace(mode))


def _trace(mode: str) -> bytes:
    writer = TraceWriter("unused", nonce=1, seed=2)
    writer.emit("trace_start", ns=0, pcpus=1, buffer=4096)
    for generation in range(2):
        writer.emit("vm_create", vm=1, ns=1000, generation=generation, text="hello")
    good = not mode.startswith("failed")
    for name in ("one", "two"):
        writer.emit("check", vm=1, ns=2000, value=7, expected=7, sealed=1, text=name)
    writer.emit("check", vm=1, ns=2000, value=7, expected=7 if good else 8,
                sealed=mode != "unsealed", text="last")
    if mode == "panic":
        writer.emit("panic", ns=3000, rip=1, text="out of frames")
    elif mode.startswith("stuck"):
        for _ in range(20_001):
            writer.emit("exit", vm=1, ns=3000, reason="IO", rip=0x100d07, info1=0x5e00041)
            writer.emit("entry", vm=1, ns=3000, rip=0x100d07)
    elif mode == "full":
        writer.dropped[0] = 9
    elif mode != "hang":
        writer.emit("vm_end", vm=1, ns=5_000_000, how=HOW.get(mode, "EXITED"),
                    code=2 if mode == "code" else 0, text=WHY.get(mode, "done"))
    return writer.bytes()


def _end(mode: str) -> int:
    if mode in ("hang", "stuck"):
        fifo = os.environ.get("NESTLING_FAKE_FIFO")
        if fifo:
            Path(fifo).write_text(f"{os.getpid()}\n")
        while True:
            signal.pause()
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "reset":
        return 0
    if mode == "late-error":
        print("qemu-system-x86_64: disk full", file=sys.stderr)
        return 1
    return STATUS.get(mode, 0) << 1 | 1


if __name__ == "__main__":
    sys.exit(main())
