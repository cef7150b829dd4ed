"""For tests: one `grader gdb --batch`, and what each of its commands printed.

The machine is killed where the last command left it, so memory.bin and trace.bin are those
of that stop.  A GDB that hangs is ended, by --timeout.
"""
from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Dict, List, Sequence

from grader import plan
from grader.oracle.memory import Memory
from viz import trace as viz_trace

MARK = "@@@"
PATIENCE_S = "120"
STOP_AT_CHECKPOINT = ("break testport_checkpoint", "continue")


@dataclass(frozen=True)
class Session:
    """One GDB that has ended."""

    dir: Path
    commands: Sequence[str]
    text: str
    code: int

    @cached_property
    def said(self) -> List[str]:
        """What each command printed, in their order; the first item is the start's."""
        return [part.partition("\n")[2] for part in (MARK + "\n" + self.text).split(MARK)[1:]]

    def of(self, command: str, nth: int = 0) -> str:
        """What the nth call of that command printed."""
        places = [i for i, each in enumerate(self.commands) if each == command]
        return self.said[places[nth] + 1]

    @cached_property
    def memory(self) -> Memory:
        return Memory(self.dir / "memory.bin")

    @cached_property
    def trace(self) -> viz_trace.Trace:
        return viz_trace.load(str(self.dir / "trace.bin"))


def debug(out: Path, guests: Sequence[str], commands: Sequence[str], option: str = "",
          time: str = "100ms", build: Path = plan.BUILD, exit_log: bool = False) -> Session:
    """Run the commands in a GDB on a fresh machine."""
    words = [sys.executable, "-m", "grader", "gdb", "--out", str(out), "--time", time,
             "--build", str(build), "--timeout", PATIENCE_S, "--batch"]
    words += ["--option", option] if option else []
    words += ["--exit-log"] if exit_log else []
    for guest in guests:
        words += ["--guest", guest]
    for command in commands:
        words += ["-ex", f"echo {MARK}\\n", "-ex", command]
    done = subprocess.run([*words, "-ex", f"echo {MARK}\\n", "-ex", "kill"], cwd=plan.ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, timeout=600)
    session = Session(out, list(commands), done.stdout, done.returncode)
    assert len(session.said) == len(commands) + 2, f"GDB did not get through:\n{done.stdout}"
    return session


def references(said: str) -> List[Dict[str, int]]:
    """The numbered lines of a walk: n, where the entry was read, the entry."""
    found = re.findall(r"^ *(\d+)  0x([0-9a-f]{16}) 0x([0-9a-f]{16}) ", said, re.M)
    return [{"n": int(n), "at": int(at, 16), "entry": int(entry, 16)} for n, at, entry in found]


def after(guest: str, mnemonic: str) -> int:
    """The address of the instruction behind the first of that kind in a guest of ours."""
    listed = subprocess.run(["objdump", "-d", "--no-show-raw-insn",
                             str(plan.BUILD / "obj" / "guests" / f"{guest}.elf64")],
                            capture_output=True, text=True, check=True, timeout=60).stdout
    lines = [line for line in listed.splitlines() if re.match(r" +[0-9a-f]+:\t", line)]
    place = next(i for i, line in enumerate(lines) if mnemonic in line)
    return int(lines[place + 1].split(":")[0], 16)


def address(name: str, file: Path) -> int:
    """The address of a symbol."""
    listed = subprocess.run(["nm", str(file)], capture_output=True, text=True, check=True,
                            timeout=60).stdout
    return next(int(line.split()[0], 16) for line in listed.splitlines()
                if line.split()[-1] == name)
