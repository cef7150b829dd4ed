"""Kernels that are not ours boot by Multiboot 1, or are told in one sentence why not.

The stranger (kernels/stranger.S) knows nothing of Nestling and brings the address fields
instead of ELF; what it draws into text memory is judged in the machine's RAM. Debian's
grub-invaders is a real one: it is run where it is installed, and the test's name says if not.
"""
from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Callable, List

import pytest

from grader import bundle
from grader.tests import kernels

pytestmark = pytest.mark.machine

LOAD, SCREEN, COLUMNS, ROWS = 0x140000, 0xB8000, 80, 25
MAGIC, MAGIC2 = 0x1BADB002, 0xE85250D6
INVADERS = Path("/boot/invaders.exec")
INVADERS_ID = "grub-invaders" if INVADERS.is_file() else "grub-invaders-is-not-installed"


@pytest.fixture(scope="session")
def stranger(tmp_path_factory) -> Path:
    """The flat binary with address fields."""
    return kernels.build("stranger", LOAD, tmp_path_factory.mktemp("stranger"))


def screen(run, vm: int = 1) -> List[str]:
    """The rows of a VM's text memory, from the RAM file; the VM must have lived to the end."""
    slots = run.trace.select("vm_slot")
    base = int(slots["hpa"][slots.vm == vm][0])
    cells = run.memory.read_bytes(base + SCREEN, 2 * COLUMNS * ROWS)[::2]
    text = bytes(cell or 0x20 for cell in cells).decode("latin-1")
    return [text[row * COLUMNS:(row + 1) * COLUMNS].rstrip() for row in range(ROWS)]


def drawn_rightly(run, command: str, upper_kib: int) -> None:
    assert run.json["vms"][0]["how"] == "TIME_UP"
    rows = screen(run)
    assert rows[0] == "a stranger was booted by Multiboot"
    assert rows[1] == command
    assert rows[2] == f"KiB above 1 MiB: {upper_kib:08x}"
    assert rows[3] == "left uncleared: 00000000"
    cr0 = int(rows[4].split()[1], 16)
    assert cr0 & 0x80000001 == 1, "entered in protected mode without paging"
    shown = [line.strip() for line in run.console.splitlines() if line.startswith("    |")]
    assert [row[1:].rstrip() for row in shown] == rows[:5]


def test_a_kernel_with_address_fields_boots(machine, stranger):
    run = machine((f"{stranger} mem=4M -- root=/dev/fd0  two  words",), time="20ms")
    drawn_rightly(run, "root=/dev/fd0  two  words", 3072)


def test_the_same_kernel_boots_as_an_elf(machine, tmp_path, stranger):
    """Without the address fields a loader must go by the program headers."""
    flat = bytearray(stranger.read_bytes())
    at = flat.index(struct.pack("<I", MAGIC))
    entry, = struct.unpack_from("<I", flat, at + 28)
    struct.pack_into("<III", flat, at, MAGIC, 2, -(MAGIC + 2) & 0xFFFFFFFF)
    size = len(flat)
    head = struct.pack("<4sBBB9xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 2, 3, 1, entry, 52, 0, 0, 52,
                       32, 1, 0, 0, 0)
    load = struct.pack("<IIIIIIII", 1, 4096, LOAD, LOAD, size, size + 0x8000, 7, 4096)
    elf = tmp_path / "stranger-elf"
    elf.write_bytes((head + load).ljust(4096, b"\0") + bytes(flat))
    run = machine((f"{elf} mem=32M -- as an ELF",), time="20ms")
    drawn_rightly(run, "as an ELF", 31 * 1024)


def test_strangers_beside_each_other_and_in_odd_memory(machine, stranger):
    run = machine((f"{stranger} mem=2M -- one", f"{stranger} mem=3M,1M@0x80000000 -- two",
                   "ticker -- hz=500 ticks=5"), time="60ms")
    assert screen(run, 1)[1:3] == ["one", f"KiB above 1 MiB: {1024:08x}"]
    assert screen(run, 2)[1:3] == ["two", f"KiB above 1 MiB: {2048:08x}"]
    assert run.json["vms"][2]["how"] == "EXITED"


@pytest.mark.parametrize("kernel", [INVADERS], ids=[INVADERS_ID])
def test_a_kernel_that_others_wrote(machine, kernel):
    if not kernel.is_file():
        pytest.skip(f"{kernel} is not there: apt-get install grub-invaders brings it")
    run = machine((f"{kernel} mem=16M",), "trace=sched", "60ms")
    assert run.json["vms"][0]["how"] == "TIME_UP"
    rows = screen(run)
    assert sum(row.count("-*-") for row in rows) == 40, "\n".join(rows)
    assert "its screen:" in run.console


def with_flags(flags: int, *fields: int) -> Callable[[bytes], bytes]:
    """The stranger with other flags, and more fields behind those of the addresses."""
    def change(flat: bytes) -> bytes:
        at = flat.index(struct.pack("<I", MAGIC))
        head = struct.pack("<III", MAGIC, flags, -(MAGIC + flags) & 0xFFFFFFFF)
        more = struct.pack(f"<{len(fields)}I", *fields)
        changed = flat[:at] + head + flat[at + 12:at + 32] + more
        return changed + flat[len(changed):]
    return change


def word_changed(index: int, value: int) -> Callable[[bytes], bytes]:
    """The stranger with one word of its header changed."""
    def change(flat: bytes) -> bytes:
        at = flat.index(struct.pack("<I", MAGIC)) + 4 * index
        return flat[:at] + struct.pack("<I", value) + flat[at + 4:]
    return change


def linux(flat: bytes) -> bytes:
    return bytes(0x202) + b"HdrS" + bytes(1000)


LACKS = {
    "graphics": (with_flags(0x10006, 0, 1024, 768, 32), "graphics mode, 1024 x 768 x 32"),
    "unknown flag": (with_flags(0x10022), "(Multiboot header flag 5)"),
    "Multiboot 2": (lambda flat: struct.pack("<I", MAGIC2) + bytes(2000), "Multiboot 2 only"),
    "Linux": (linux, "Linux kernel, whose boot protocol this VMM does not have yet"),
    "too high": (word_changed(4, 0x7000000), "load_addr 0x7000000 does not fit"),
    "too large": (word_changed(6, LOAD + (64 << 20)), "where the VM has no memory for them"),
    "entry": (word_changed(7, 0x1000), "entry_addr 0x1000 lies outside what was loaded")}


@pytest.mark.parametrize("lack", LACKS)
def test_what_cannot_be_given_is_said_in_one_sentence(machine, tmp_path, stranger, lack):
    change, said = LACKS[lack]
    kernel = tmp_path / "kernel"
    kernel.write_bytes(change(stranger.read_bytes()))
    boot = " boot=multiboot" if lack == "Multiboot 2" else ""
    run = machine((f"{kernel} mem=4M{boot}",), time="20ms", ok=False)
    assert run.json["status"] == 3 and run.json["exit_reason"] == "refused"
    told = [line for line in run.console.splitlines() if "guest 1 (kernel): " in line]
    assert len(told) == 1 and said in told[0] and told[0] in run.sentence


def test_a_kernel_larger_than_a_bundle_is_refused_by_the_runner(tmp_path):
    large = tmp_path / "large"
    with open(large, "wb") as file:
        file.truncate(bundle.MAX_SIZE)
    done = subprocess.run([sys.executable, "-m", "grader", "run", "--guest", str(large),
                           "--out", str(tmp_path / "out")], cwd=Path(__file__).parents[2],
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2 and "does not fit" in done.stderr
