"""Making a run: start a planned machine, watch it, and collect what it leaves.

Works for every platform (grader/platform.py).  Leaves trace.bin, console.txt
and run.json in the output folder, with memory.bin where the platform gives it;
handouts/formats.md, section 6 says what is in run.json.  How a run ended is
said in one sentence; whether it was right is the business of tests.
"""
from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from grader import plan as planning
from grader.plan import Plan, Request, RunError
from grader.platform import (BUNDLE, CONSOLE, EMULATOR_LOG, EXIT_LOG, MEMORY, Ending, Machine,
                             Watch)
from grader.progress import Progress, Tail

if TYPE_CHECKING:
    from grader import collect
    from viz.trace import Trace

TRACE = "trace.bin"
RUN_JSON = "run.json"
SYMBOLS = "nestling64.elf"
LEFT_BEHIND = (TRACE, CONSOLE, RUN_JSON, MEMORY, BUNDLE, EMULATOR_LOG, EXIT_LOG, "gdb.sock",
               "bochs.log")
STATUS_ENDED, STATUS_FAILED, STATUS_TIME, STATUS_REFUSED, STATUS_PANIC, STATUS_TODO = range(6)
LEAST_TIMEOUT_S = 60.0
HOST_S_PER_VIRTUAL_S = 60.0  # about ten times what a busy machine needs


@dataclass(frozen=True)
class Result:
    """A run that was made, however it ended."""

    dir: Path
    json: Dict[str, Any]
    sentence: str
    warnings: List[str]
    hang: str = ""  # why it hangs, if its trace tells
    loaded: Optional["Trace"] = None  # the trace as it was read, None if it could not be

    @property
    def ok(self) -> bool:
        """Whether all went well: the kernel's status is 0 or 2."""
        return self.json["status"] in (STATUS_ENDED, STATUS_TIME)

    @property
    def made(self) -> bool:
        """Whether the machine ran to its end, even if a self-check failed."""
        return self.json["status"] in (STATUS_ENDED, STATUS_FAILED, STATUS_TIME)

    @property
    def trace(self) -> Optional[Path]:
        """The trace, None if the machine left none."""
        path = self.dir / TRACE
        return path if path.is_file() else None


def make(request: Request, show_progress: bool = False) -> Result:
    """Make the run; RunError (one sentence) if it cannot even start."""
    plan = planning.make(request)
    emulator = request.emulator or plan.platform.emulator
    silent = RunError(f"the emulator {emulator} does not answer: make doctor says what is missing")
    if not shutil.which(emulator):
        raise silent
    machine = _prepare(plan)
    meanwhile = threading.Thread(target=_load_collect, daemon=True)
    meanwhile.start()
    ending = _run(plan, machine, show_progress)
    meanwhile.join()
    if not plan.platform.version(request.emulator):
        raise silent
    return _collect(plan, machine, ending)


def _load_collect() -> None:
    """Load what reads the trace while the machine runs: numpy takes a tenth of a second."""
    importlib.import_module("grader.collect")


def _prepare(plan: Plan) -> Machine:
    """Write what the machine reads; remove what an earlier run left (its RAM above all)."""
    request = plan.request
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        for name in (*LEFT_BEHIND, plan.platform.kernel, plan.platform.raw_kernel):
            (request.out / name).unlink(missing_ok=True)
        (request.out / BUNDLE).write_bytes(plan.bundle)
        shutil.copyfile(plan.image, request.out / plan.image.name)
    except OSError as error:
        raise RunError(f"cannot write to {request.out}: {error.strerror}") from None
    if request.before:
        request.before(request.out)
    return Machine(request.out, plan.image.name, request.raw_image, request.exit_log,
                   request.gdb, request.emulator, tuple(request.wrap))


def _run(plan: Plan, machine: Machine, show_progress: bool) -> Ending:
    """The run itself; looked on by whoever asked to, and ended when it hangs (not under GDB)."""
    offset = plan.platform.live_offset
    tail = Tail(machine.dir / MEMORY, offset) if offset is not None else None
    watches = [plan.request.watch] if plan.request.watch else []
    if tail is not None and not plan.request.gdb:
        from grader import hang
        watches.append(hang.Watch(tail, plan.until_ns, plan.platform.name))
    progress = Progress(tail, plan.until_ns) if show_progress else None
    if progress:
        watches.append(progress)
    try:
        return plan.platform.run(machine, lambda elapsed: _look(watches, elapsed),
                                 None if plan.request.gdb else host_limit(plan))
    finally:
        if progress:
            progress.close()


def _look(watches: List[Watch], elapsed: float) -> None:
    for watch in watches:
        watch(elapsed)


def host_limit(plan: Plan) -> float:
    """Seconds of host time after which a run is taken for hung."""
    if plan.request.timeout is not None:
        return plan.request.timeout
    virtual_s = plan.until_ns / 1e9
    return max(LEAST_TIMEOUT_S, HOST_S_PER_VIRTUAL_S * plan.platform.slowness * virtual_s)


def _collect(plan: Plan, machine: Machine, ending: Ending) -> Result:
    findings = _read_trace(plan, machine)
    if findings.hang and ending.how == "exit":
        ending = replace(ending, how="timeout")     # it ended before anybody looked
    status, reason = (None, "") if ending.how != "exit" else \
        plan.platform.status(machine, ending.code)
    if findings.trace["dropped"]:
        findings.warnings.append("for a longer run: --option trace=some, or a larger tracebuf= "
                                 "(64M by default, at most 192M)")
    findings.warnings += plan.platform.remarks(machine)
    exit_reason = _exit_reason(ending, status, findings)
    if plan.request.exit_log and not (machine.dir / EXIT_LOG).is_file():
        findings.warnings.append("the emulator wrote no log of exits")
    log = machine.dir / EMULATOR_LOG
    if not log.stat().st_size:
        log.unlink()
    contents = {
        "platform": plan.platform.name,
        "emulator": plan.platform.version(plan.request.emulator),
        "command": plan.platform.command(machine),
        "repeat": planning.repeat_command(plan),
        "seed": hex(plan.request.seed), "nonce": hex(plan.nonce),
        "image_sha256": plan.image_sha256,
        "bundle_sha256": hashlib.sha256(plan.bundle).hexdigest(),
        "exit_reason": exit_reason, "status": status,
        "virtual_ns": findings.virtual_ns, "host_s": round(ending.host_s, 3),
        "vms": findings.vms, "trace": findings.trace,
    }
    (machine.dir / RUN_JSON).write_text(json.dumps(contents, indent=1) + "\n")
    if exit_reason == "panic":
        findings.panic = _panic(plan, findings)
    sentence = _sentence(machine, ending, exit_reason, (status, reason), findings)
    return Result(machine.dir, contents, sentence, findings.warnings, findings.hang,
                  findings.loaded)


def _read_trace(plan: Plan, machine: Machine) -> "collect.Findings":
    from grader import collect
    guests = list(plan.guests)
    area = plan.platform.trace_area(machine)
    out = machine.dir / TRACE
    if area is not None and collect.extract_trace(*area, out):
        return collect.describe(out, guests, None if plan.request.gdb else plan.until_ns)
    return collect.Findings(collect.blank_vms(guests), warnings=["the machine left no trace"])


def _exit_reason(ending: Ending, status: Optional[int], findings: collect.Findings) -> str:
    if ending.how != "exit":
        return ending.how
    if status == STATUS_FAILED:
        timed_out = any(vm["how"] == "TIME_UP" for vm in findings.vms)
        return "time" if timed_out else "ended"
    return {STATUS_ENDED: "ended", STATUS_TIME: "time", STATUS_REFUSED: "refused",
            STATUS_PANIC: "panic", STATUS_TODO: "todo"}.get(-1 if status is None else status, "crash")


def _sentence(machine: Machine, ending: Ending, exit_reason: str,
              status: Tuple[Optional[int], str], findings: collect.Findings) -> str:
    """How the run ended, for humans."""
    from grader import collect
    virtual = f"after {findings.virtual_ns / 1e9:.3f} s of virtual time"
    said = collect.last_line(machine.dir / CONSOLE)
    lately = f"; {findings.lately}" if findings.lately else ""
    if exit_reason == "timeout":
        return findings.hang or (f"the machine was stopped after {ending.limit}, {virtual}: it "
                                 f"hangs, or it was given too little time (--timeout){lately}")
    if exit_reason == "interrupted":
        return f"interrupted {virtual}; what was recorded until then is kept{lately}"
    if exit_reason == "panic":
        return f"the host kernel panicked {virtual}: {findings.panic or said or 'it said nothing'}"
    if exit_reason == "refused":
        return f"the kernel refused the run: {said or 'it said nothing'}"
    if exit_reason == "todo":
        return f"{(said or 'a function is not written yet').replace('nestling: ', '', 1)}"
    if exit_reason == "crash":
        return status[1] or f"the kernel ended with the unknown status {status[0]}, {virtual}"
    how = "the time was up" if exit_reason == "time" else "all guests have ended"
    if findings.trace["dropped"]:
        virtual = f"(the trace was full {virtual})"
    if status[0] == STATUS_FAILED:
        return f"{how} {virtual}, but {_blame(findings.vms, machine.dir / CONSOLE)}"
    return f"{how} {virtual}"


def _panic(plan: Plan, findings: collect.Findings) -> str:
    """The panic's words with where it was, and what to try."""
    from grader import panics
    verified = "registers" in str(plan.options.values.get("verify", ""))
    return panics.sentence(findings.panic, findings.cr2, findings.after_guest and not verified,
                           plan.request.build / SYMBOLS, planning.ROOT)


def _blame(vms: List[Dict[str, Any]], console: Path) -> str:
    """Which VMs failed, by what they reported."""
    from grader import collect
    blamed = []
    for vm in vms:
        if vm["checks_failed"]:
            blamed.append(f"{vm['checks_failed']} self-checks of VM {vm['vm']} ({vm['name']}) "
                          "failed")
        elif vm["code"] or vm["how"] not in ("EXITED", "TIME_UP", "HALTED", None):
            words = collect.last_words(console, vm["vm"])
            blamed.append(f"VM {vm['vm']} ({vm['name']}) ended with {vm['how']}: "
                          f"{vm['why'] or 'code %d' % vm['code']}"
                          + (f" (its last line: {words})" if words else ""))
    return "; ".join(blamed) or "a guest failed (the trace does not tell which)"
