"""bochs-svm and bochs-vmx: Debian's Bochs, with a processor of AMD or of Intel.

A second emulator for the SVM backend, and the one that has VMX with EPT. It runs without
a window, from the raw image; the bundle is the second disk. Its debugger, steered by a
script, stops the machine at its end or at a fixed tick and writes the memory out. One
instruction is one tick of the TSC. Bochs's files are written anew for each run and are
gone after it; what may surprise about them is said in grader/bochs_files.py.
"""
from __future__ import annotations

import re
import subprocess
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import List, Optional, Tuple

from grader import bochs_exits as exits
from grader import bochs_files as files
from grader.platform import (CONSOLE, EMULATOR_LOG, EXIT_LOG, MEMORY, Ending, Finding, Machine,
                             Platform, Watch)

TRACE_ADDRESS = 0x10000000
RAM = 512 << 20
OLDEST = (2, 7)
BIOS = ("/usr/share/bochs/BIOS-bochs-legacy", "/usr/share/bochs/VGABIOS-lgpl-latest")
END = re.compile(r"^nestling: end, status (\d+)$", re.MULTILINE)
PANIC = re.compile(r"^Bochs is exiting with the following message:\n(.*)", re.MULTILINE)
REFUSED = re.compile(r"^(\[\d+ [^\]]*\]) ended: entry refused: (?!break=)", re.MULTILINE)
CHECKS = re.compile(r"e\[CPU0 *\] ((?:VMENTER FAIL: |VMFAIL: (?:VMCS|VMENTRY|invalid)"
                    r"|(?:SVM: )?VMRUN[: ]|SvmInjectEvents: ).*)")


class Bochs(Platform):
    """One processor model of Bochs."""

    emulator = "bochs"
    clock_hz = files.TICKS_PER_S
    slowness = 10.0     # it interprets; and what hangs is stopped by its instructions already
    kernel = raw_kernel = "nestling.img"

    def __init__(self, name: str, model: str, extension: str) -> None:
        self.name, self.model, self.extension = name, model, extension

    # --- What is needed -------------------------------------------------------

    def version(self, emulator: str = "") -> str:
        match = re.search(r"Bochs x86 Emulator \S+", _processors(emulator or self.emulator))
        return match[0] if match else ""

    def check(self, emulator: str = "") -> List[Finding]:
        emulator = emulator or self.emulator
        said = _processors(emulator)
        match = re.search(r"Bochs x86 Emulator (\d+)\.(\d+)", said)
        if match is None:
            return [Finding(False, f"{emulator} does not answer: "
                            "apt-get install bochs bochs-term bochsbios vgabios")]
        if (int(match[1]), int(match[2])) < OLDEST:
            return [Finding(False, f"{match[0]} is older than {OLDEST[0]}.{OLDEST[1]}, "
                            "the oldest that is known to work")]
        missing = [path for path in BIOS if not Path(path).is_file()]
        if missing:
            return [Finding(False, f"{' and '.join(missing)} missing: "
                            "apt-get install bochsbios vgabios")]
        if self.model not in said.split():
            return [Finding(False, f"{match[0]} was built without the processor {self.model}, "
                            f"the one with {self.extension}")]
        return [Finding(True, f"{match[0]}; the processor will be {self.model} with "
                        f"{self.extension}")]

    # --- A run ----------------------------------------------------------------

    def command(self, machine: Machine) -> List[str]:
        return [machine.emulator or self.emulator, "-f", files.BOCHSRC, "-rc", files.SCRIPT]

    def run(self, machine: Machine, watch: Watch, timeout: Optional[float]) -> Ending:
        """As of all platforms, but a run may be repeated, being the same each time: to learn
        of Bochs why it refused an entry, or to get at the trace of a VM that hangs."""
        folder = machine.dir
        limit = files.prepare(folder, self.model, machine.image, machine.exit_log)
        try:
            ending = self._run_once(machine, watch, timeout)
            if ending.how == "timeout" and not files.has_trace(folder):
                files.write_script(folder, limit, leave_guest=True)
                again = self._run_once(machine, watch, timeout)
                ending = replace(ending, host_s=ending.host_s + again.host_s)
            elif REFUSED.search(self._console(machine)) and not machine.exit_log:
                files.write_bochsrc(folder, self.model, machine.image, errors=True)
                again = self._run_once(machine, watch, timeout)
                ending = replace(again, host_s=ending.host_s + again.host_s)
        finally:
            files.clean(folder)
        files.join_memory(folder / MEMORY, TRACE_ADDRESS, RAM)
        return ending

    def _run_once(self, machine: Machine, watch: Watch, timeout: Optional[float]) -> Ending:
        log, kept = machine.dir / files.LOG, machine.dir / EXIT_LOG
        with exits.kept(log, kept) if machine.exit_log else nullcontext():
            ending = super().run(machine, watch, timeout)
        said = (machine.dir / EMULATOR_LOG).read_text(errors="replace")
        console, reached_limit = files.split_output(said)
        (machine.dir / CONSOLE).write_text(console)
        if ending.how == "exit" and reached_limit and not END.search(console):
            return replace(ending, how="timeout", limit="as many instructions as fit its time")
        return ending

    @staticmethod
    def _console(machine: Machine) -> str:
        return _text(machine.dir / CONSOLE)

    @staticmethod
    def _panic(folder: Path) -> str:
        match = PANIC.search(_text(folder / EMULATOR_LOG))
        return match[1].strip() if match else ""

    # --- What it left -----------------------------------------------------------

    def status(self, machine: Machine, code: int) -> Tuple[Optional[int], str]:
        """The kernel's last line says it: Bochs has no exit code of the machine's choice."""
        ends = END.findall(self._console(machine))
        if ends:
            (machine.dir / EMULATOR_LOG).write_text("")
            return int(ends[-1]), ""
        said = self._panic(machine.dir)
        if said:
            return None, f"Bochs gave up: {said}"
        if code < 0:
            return None, f"Bochs died of signal {-code}"
        return None, f"Bochs ended with code {code} before the kernel did"

    def remarks(self, machine: Machine) -> List[str]:
        """Which checks the refused entries failed, in Bochs's words, each by its VM."""
        log = machine.dir / (EXIT_LOG if machine.exit_log else files.LOG)
        said = [words.strip() for words in CHECKS.findall(_text(log))]
        vms = REFUSED.findall(self._console(machine))
        if len(vms) != len(said):       # a console that was cut, for one
            return [f"Bochs on a refused entry: {words}" for words in said]
        return [f"Bochs on the refused entry of {vm}: {words}" for vm, words in zip(vms, said)]

    def trace_area(self, machine: Machine) -> Optional[Tuple[Path, int]]:
        memory, trace = machine.dir / MEMORY, machine.dir / files.TRACE
        if memory.is_file():
            return memory, TRACE_ADDRESS
        return (trace, 0) if trace.is_file() else None


@lru_cache(maxsize=None)
def _processors(emulator: str) -> str:
    """Bochs's version and list of processors. It takes as long to say as to boot half a
    kernel, so it is asked once."""
    try:
        result = subprocess.run([emulator, "--help", "cpu"], text=True, capture_output=True,
                                timeout=60, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout + result.stderr


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""


PLATFORMS = (Bochs("bochs-vmx", "tigerlake", "Intel VMX and EPT"),
             Bochs("bochs-svm", "ryzen", "AMD SVM and nested paging"))
