"""The end of a host with a bug in it, and a trace that is full: both are told.

The bug is put into a copy of the kernel's image: its function for checkpoints begins
with an invalid instruction or a jump to nowhere, so the first guest to report one meets
it. Rules: the panic's record is the last of the trace, also when the trace was full long
before; the run says so and fails; a full buffer counts exactly what it dropped, each tool
says it, and nothing else is lost or changed.
"""
from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from grader import plan, platforms, run
from grader.__main__ import main as command
from grader.oracle import __main__ as judge
from viz import trace as viz_trace

pytestmark = pytest.mark.machine

PANIC = 4
PANIC_ROOM = 4096
KERNEL_START, LOADER = 1 << 20, 2048     # of the raw image: kernel/boot/loader.S
UD2, JUMP_TO_NOWHERE = b"\x0f\x0b", b"\x48\xc7\xc0\x00\x00\x00\x7f\xff\xe0"
FULL = ("walker -- rounds=0 pages=32", "ticker -- hz=1000")


def symbol(build: Path, name: str) -> int:
    listed = subprocess.run(["nm", str(build / "nestling64.elf")], capture_output=True, text=True,
                            check=True, timeout=60).stdout
    return next(int(line.split()[0], 16) for line in listed.splitlines()
                if line.split()[-1] == name)


def place_in(image: bytes, address: int) -> int:
    """Where in the file of a kernel, ELF or raw, an address is."""
    if image[:4] != b"\x7fELF":
        return address - KERNEL_START + LOADER
    table, = struct.unpack_from("<I", image, 28)
    count, = struct.unpack_from("<H", image, 44)
    parts = (struct.unpack_from("<5I", image, table + 32 * i) for i in range(count))
    return next(offset + address - low for kind, offset, low, _, size in parts
                if kind == 1 and low <= address < low + size)


def with_bug(folder: Path, platform: str, code: bytes) -> Path:
    """A build folder whose kernel has `code` at the start of testport_checkpoint."""
    build, name = folder / "build", platforms.find(platform).kernel
    build.mkdir()
    (build / "guests").symlink_to(plan.BUILD / "guests")
    (build / "nestling64.elf").symlink_to(plan.BUILD / "nestling64.elf")
    image = bytearray((plan.BUILD / name).read_bytes())
    at = place_in(image, symbol(plan.BUILD, "testport_checkpoint"))
    image[at:at + len(code)] = code
    (build / name).write_bytes(image)
    return build


def crashed(tmp_path: Path, platform: str, code: bytes, option: str, *guests: str) -> run.Result:
    build = with_bug(tmp_path, platform, code)
    return run.make(plan.Request(guests, tmp_path / "out", platform, option, "1s", build=build))


@pytest.mark.parametrize("code,name", ((UD2, "invalid opcode"), (JUMP_TO_NOWHERE, "page fault")))
def test_a_bug_in_the_host_is_a_panic_with_a_dump(tmp_path, platform, code, name):
    result = crashed(tmp_path, platform, code, "", "ticker -- hz=1000 ticks=200", "hello")
    assert result.json["status"] == PANIC and result.json["exit_reason"] == "panic"
    assert result.sentence.startswith("the host kernel panicked after")
    trace = viz_trace.load(str(result.trace))
    panics = trace.select("panic")
    assert len(panics) == 1 and int(panics.index[0]) == len(trace) - 1
    said, rip = panics.text(0), symbol(plan.BUILD, "testport_checkpoint")
    assert said in result.sentence and name in said
    if code == UD2:
        assert f"{rip:#x}" in said
        assert f"{rip:#x} (testport_checkpoint+0x0); a guest had just run" in result.sentence
        assert "--option verify=registers names it" in result.sentence
    console = (result.dir / "console.txt").read_text()
    assert f"nestling: panic: {said}" in console and "called from" in console
    assert all(word in console for word in ("rip ", "cr2 ", "rax ", "r15 "))
    assert len(trace.select("checkpoint")) == 0 and len(trace.select("check")) > 0


def test_the_command_fails_and_shows_the_console(tmp_path, platform, capsys):
    build = with_bug(tmp_path, platform, UD2)
    words = ["run", "--quiet", "--platform", platform, "--guest", "crash", "--out", str(tmp_path / "out"),
             "--build", str(build)]
    assert command(words) == 2
    told = capsys.readouterr().err
    assert "panic" in told and "console: " in told


def test_a_full_trace_still_tells_why_the_machine_died(tmp_path, platform):
    """The ticker's first checkpoint is its hundredth tick: full long before."""
    result = crashed(tmp_path, platform, UD2, "tracebuf=1M slice=1ms",
                     "greedy -- spin=0 report=1000000", "ticker -- hz=1000")
    trace = viz_trace.load(str(result.trace))
    panics = trace.select("panic")
    assert trace.dropped > 1000 and len(panics) == 1
    assert int(panics.index[0]) == len(trace) - 1
    assert panics.text(0) in result.sentence
    gap = int(trace.ns[-1]) - int(trace.ns[-2])
    assert gap > 10 ** 6, "the trace was not full for long when the panic came"
    buffer = trace.header.buffers[0]
    assert buffer.size - PANIC_ROOM < buffer.used <= buffer.size


def full(machine, option: str = ""):
    return machine(FULL, f"slice=1ms tracebuf=1M {option}".strip(), "30ms")


def whole(machine, option: str = ""):
    return machine(FULL, f"slice=1ms tracebuf=64M {option}".strip(), "30ms")


def test_a_full_buffer_counts_what_it_drops_and_changes_nothing_else(machine):
    short, long = full(machine).trace, whole(machine).trace
    kept = len(short)
    assert short.dropped > 1000 and long.dropped == 0
    assert short.header.buffers[0].used <= (1 << 20) - PANIC_ROOM
    skip = 1                                # trace_start tells the buffer's size
    assert np.array_equal(short.event[skip:kept // 2], long.event[skip:kept // 2])
    vms = full(machine).json["vms"]
    assert all(vm["checks_failed"] == 0 for vm in vms)


def test_dropped_is_exact(machine):
    """A run whose records do not depend on time: what one buffer has, the other dropped."""
    guests, option = ("walker -- rounds=4 pages=32",), "trace=walks tracebuf={}"
    short = machine(guests, option.format("1M"), "1s").trace
    long = machine(guests, option.format("64M"), "1s").trace
    assert long.dropped == 0 and short.dropped > 1000
    # Short records of the end may still have found room where a long one had not.
    assert len(short) + short.dropped == len(long)


def tool(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=plan.ROOT, capture_output=True,
                          text=True, check=False, timeout=300)
    return done.stdout + done.stderr


def test_every_tool_says_that_records_were_dropped(machine, tmp_path, capsys):
    made = full(machine)
    trace, number = str(made.dir / "trace.bin"), str(made.trace.dropped)
    assert made.json["trace"]["dropped"] == made.trace.dropped
    said = {"stats": tool("viz", "stats", trace),
            "timeline": tool("viz", "timeline", trace, "-o", str(tmp_path / "t.svg")),
            "report": tool("viz", "report", str(made.dir), "-o", str(tmp_path / "r.html")),
            "export": tool("viz", "export", "--to", "csv", trace, "-o", str(tmp_path / "e.csv"))}
    said["report"] += (tmp_path / "r.html").read_text()
    said["timeline"] += (tmp_path / "t.svg").read_text()
    judge.main(["timer", str(made.dir)])
    said["oracle"] = capsys.readouterr().out
    for name, text in said.items():
        plain = text.replace(",", "").replace("\u202f", "").replace(" ", "")
        assert number in plain and "drop" in text.lower(), f"{name} does not tell"
