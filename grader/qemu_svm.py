"""qemu-svm: QEMU's software emulation (TCG) of a processor with AMD SVM and nested paging.

The command line is fixed: with it, a run is the same to the byte on any host
(-icount makes one instruction one nanosecond; RAM, clock and random numbers
start alike).  RAM is a file, memory.bin: offset = host-physical address.
What QEMU cannot do, and since when, is said by check().
"""
from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import List, Optional, Tuple

from grader.platform import (BUNDLE, CONSOLE, EMULATOR_LOG, EXIT_LOG, MEMORY, Finding, Machine,
                             Platform)

RAM = 512 << 20
TRACE_ADDRESS = 0x10000000
BUNDLE_ADDRESS = 0x08000000
CPU = "qemu64,+svm,+npt,+pdpe1gb,+rdtscp"
GDB_SOCKET = "gdb.sock"
MONITOR_SOCKET = "monitor.sock"  # with GDB only
OLDEST = (6, 2)
LOST_CR_READS = (10, 0)  # from here on CR3, CR4 and CR8 reads are no longer intercepted


class QemuSvm(Platform):
    """QEMU with AMD SVM: the default platform."""

    name = "qemu-svm"
    emulator = "qemu-system-x86_64"
    clock_hz = 10**9
    kernel = "nestling.elf"
    raw_kernel = "nestling.img"
    takes_gdb = True
    live_offset = TRACE_ADDRESS
    ram_file = RAM

    def version(self, emulator: str = "") -> str:
        command = shutil.which(emulator or self.emulator)
        return _version(command, os.stat(command).st_mtime_ns) if command else ""

    def check(self, emulator: str = "") -> List[Finding]:
        emulator = emulator or self.emulator
        text = _ask(emulator)
        number = _number(text)
        if number is None:
            return [Finding(False, f"{emulator} does not answer: install qemu-system-x86")]
        if number < OLDEST:
            return [Finding(False, f"{text} is older than {OLDEST[0]}.{OLDEST[1]}, "
                            "the oldest that is known to work")]
        findings = [self._check_devices(emulator)]
        if number >= LOST_CR_READS:
            findings.append(Finding(True, (
                f"{text} does not intercept reads of CR3, CR4 and CR8 (QEMU 7 did): a guest with "
                "mmu=shadow or mmu=vtlb that reads CR3 or CR4 sees the host's, so lab 4 is better "
                "run with PLATFORM=bochs-svm; nothing else depends on them")))
        return findings

    def remarks(self, machine: Machine) -> List[str]:
        """That a guest on a shadow can see the host's CR3, where it can."""
        number = _number(self.version(machine.emulator))
        if number is None or number < LOST_CR_READS:
            return []
        if not re.search(rb"mmu=(shadow|vtlb)", (machine.dir / BUNDLE).read_bytes()):
            return []
        return [f"QEMU {number[0]}.{number[1]} does not intercept reads of CR3 and CR4: a guest with "
                "mmu=shadow or mmu=vtlb sees the host's; --platform bochs-svm does it right"]

    def _check_devices(self, emulator: str) -> Finding:
        result = subprocess.run([emulator, "-accel", "help"], text=True, capture_output=True,
                                timeout=60, check=False)
        if "tcg" not in result.stdout:
            return Finding(False, f"{emulator} was built without TCG, its software emulation")
        return Finding(True, f"{emulator} has TCG; the processor will be {CPU}")

    def command(self, machine: Machine) -> List[str]:
        line = [machine.emulator or self.emulator,
                "-accel", "tcg", "-machine", "pc,memory-backend=ram",
                "-object", f"memory-backend-file,id=ram,size={RAM >> 20}M,share=on,mem-path={MEMORY}",
                "-m", f"{RAM >> 20}M", "-cpu", CPU, "-smp", "1",
                "-icount", "shift=0,sleep=off", "-seed", "1",
                "-rtc", "base=2020-01-01,clock=vm",
                "-nodefaults", "-display", "none", "-monitor", "none",
                "-serial", f"file:{CONSOLE}", "-no-reboot",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        if machine.raw_image:
            line += ["-drive", f"file={machine.image},format=raw,if=ide,snapshot=on",
                     "-device", f"loader,file={BUNDLE},addr={BUNDLE_ADDRESS:#x},force-raw=on"]
        else:
            line += ["-kernel", machine.image, "-initrd", BUNDLE]
        if machine.exit_log:
            line += ["-d", "in_asm", "-dfilter", "0x1..0x2", "-D", EXIT_LOG]
        if machine.gdb:
            line += ["-S", "-chardev", f"socket,id=gdb,path={GDB_SOCKET},server=on,wait=off",
                     "-gdb", "chardev:gdb",
                     "-chardev", f"socket,id=hmp,path={MONITOR_SOCKET},server=on,wait=off",
                     "-mon", "chardev=hmp,mode=readline"]
        return line

    def status(self, machine: Machine, code: int) -> Tuple[Optional[int], str]:
        """isa-debug-exit turns status v into (v << 1) | 1, which for 0 is QEMU's own error."""
        complaint = _complaint(machine.dir / EMULATOR_LOG)
        if code < 0:
            return None, f"QEMU died of signal {-code}" + (f": {complaint}" if complaint else "")
        if code == 0:
            return None, "the machine reset itself (a triple fault of the host kernel)"
        if code == 1 and complaint:
            return None, f"QEMU gave up: {complaint}"
        if code == 1 and not self._booted(machine):
            return None, "QEMU gave up without a word, before the kernel ran"
        if code % 2 == 0:
            return None, f"QEMU ended with code {code}" + (f": {complaint}" if complaint else "")
        return code >> 1, ""

    def _booted(self, machine: Machine) -> bool:
        area = self.trace_area(machine)
        if area is None:
            return False
        with open(area[0], "rb") as memory:
            memory.seek(area[1])
            return memory.read(8) == b"NESTTRC1"

    def trace_area(self, machine: Machine) -> Optional[Tuple[Path, int]]:
        memory = machine.dir / MEMORY
        return (memory, TRACE_ADDRESS) if memory.is_file() else None


@functools.lru_cache(maxsize=None)
def _version(command: str, changed: int) -> str:
    """Its version, asked once: a grading makes many runs.  `changed`: when the file was."""
    return _ask(command)


def _number(text: str) -> Optional[Tuple[int, int]]:
    """(10, 0) of "QEMU emulator version 10.0.2 ..."."""
    match = re.search(r"version (\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def _ask(command: str) -> str:
    """What the emulator says of itself; '' if it does not answer."""
    try:
        result = subprocess.run([command, "--version"], text=True, capture_output=True,
                                timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.split("\n", 1)[0].strip() if result.returncode == 0 else ""


def _complaint(log: Path) -> str:
    """The last thing QEMU said that is no warning."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    said = [line for line in lines if re.match(r"qemu[-\w]*: (?!warning:|terminating )", line)]
    return said[-1].split(": ", 1)[1] if said else ""

