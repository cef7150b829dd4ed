"""What a run left: trace.bin out of the machine's memory, and what its records say.

Reads the trace with viz.trace; judges nothing.  A run that died early leaves
little or nothing, and then this says so instead of failing.
Where the trace lies and how long it is: handouts/formats.md, section 1.
"""
from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Dict, List, Optional, Tuple

import numpy as np

from grader import hang
from viz import trace as viz_trace
from viz.trace import Records, Trace

MAGIC = b"NESTTRC1"
PAGE = 4096
ZEROS = bytes(1 << 20)
MAX_CPUS = 8
CONSOLE_LINES = 8
SHORTLY = 16  # records
FAREWELL = "nestling: end, status "  # the kernel's last line, however it went


@dataclass
class Findings:
    """What the trace says about a run; empty if there is no trace."""

    vms: List[Dict[str, Any]]
    virtual_ns: int = 0
    trace: Dict[str, int] = field(default_factory=lambda: {
        "records": 0, "dropped": 0, "bytes": 0})
    panic: str = ""
    cr2: int = 0  # when it panicked
    after_guest: bool = False  # it panicked right after a guest had run
    hang: str = ""  # why the run hangs (grader/hang.py)
    lately: str = ""  # what came again and again at the end
    warnings: List[str] = field(default_factory=list)
    loaded: Optional[Trace] = None  # the trace itself


def extract_trace(memory: Path, offset: int, out: Path) -> int:
    """Copy the trace at `offset` of a RAM file to `out`; its bytes, 0 if there is none."""
    with open(memory, "rb") as source:
        source.seek(offset)
        page = source.read(PAGE)
        if len(page) < PAGE or page[:8] != MAGIC:
            return 0
        room = memory.stat().st_size - offset
        source.seek(offset)
        with open(out, "wb") as target:
            length = min(_used(page), room)
            _copy(source, target, length)
    return length


def _used(page: bytes) -> int:
    """Bytes up to the last one in use, by the header; never less than the schema's end."""
    cpus, = struct.unpack_from("<I", page, 12)
    schema_off, schema_size = struct.unpack_from("<II", page, 56)
    ends = [PAGE, schema_off + schema_size]
    for cpu in range(min(cpus, MAX_CPUS)):
        off, size, used = struct.unpack_from("<QQQ", page, 640 + 32 * cpu)
        ends.append(off + min(size, used))
    return max(ends)


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    """Zeros become holes: a header that promises too much takes no disk."""
    while length > 0:
        piece = source.read(min(length, len(ZEROS)))
        if not piece:
            break
        if piece == ZEROS[:len(piece)]:
            target.seek(len(piece), os.SEEK_CUR)
        else:
            target.write(piece)
        length -= len(piece)
    target.truncate()


def describe(path: Path, guests: List[Tuple[str, str]], until_ns: Optional[int] = None) -> Findings:
    """What the trace at `path` says; `guests` are (name, args) of VM 1, 2, ...; until_ns: when
    the run was to end, None if it may last as long as it likes."""
    findings = Findings(blank_vms(guests))
    try:
        trace = viz_trace.load(str(path))
    except viz_trace.TraceError as error:
        findings.warnings.append(str(error))
        return findings
    findings.loaded = trace
    for vm in findings.vms:
        _fill_vm(vm, trace)
    findings.virtual_ns = trace.t1
    findings.trace = {"records": len(trace), "dropped": trace.dropped,
                      "bytes": path.stat().st_size}
    panics = trace.select("panic")
    findings.panic = panics.text(0) if len(panics) else ""
    findings.cr2 = int(panics["cr2"][0]) if len(panics) else 0
    findings.after_guest = len(panics) > 0 and _crossing_before(trace, int(panics.index[0]))
    findings.hang = hang.judge(trace, until_ns) if until_ns is not None else ""
    findings.lately = hang.lately(trace)
    findings.warnings += trace.warnings
    return findings


def _crossing_before(trace: Trace, record: int) -> bool:
    """Whether a guest was entered or left among the last records before this one."""
    places = np.concatenate([trace.select(name).index for name in ("entry", "exit")])
    return bool(np.any((places < record) & (places >= record - SHORTLY)))


def blank_vms(guests: List[Tuple[str, str]]) -> List[Dict[str, Any]]:
    """The list `vms` of run.json before anything is known of how they ended."""
    return [{"vm": number, "name": name, "args": args, "generations": 0, "how": None,
             "code": None, "why": None, "checks_passed": 0, "checks_failed": 0}
            for number, (name, args) in enumerate(guests, 1)]


def _fill_vm(vm: Dict[str, Any], trace: Trace) -> None:
    """Add what the trace says about this VM; how, code and why are of its last end."""
    vm["generations"] = len(_of(trace, "vm_create", vm["vm"]))
    ends = _of(trace, "vm_end", vm["vm"])
    if len(ends):
        last = len(ends) - 1
        vm.update(how=ends.word("how")[last], code=int(ends["code"][last]),
                  why=ends.text(last))
    checks = _of(trace, "check", vm["vm"])
    passed = (checks["value"] == checks["expected"]) & (checks["sealed"] != 0)
    vm["checks_passed"] = int(np.count_nonzero(passed))
    vm["checks_failed"] = len(checks) - vm["checks_passed"]


def _of(trace: Trace, event: str, vm: int) -> Records:
    records = trace.select(event)
    return records.where(records.vm == vm)


def console_tail(path: Path, lines: int = CONSOLE_LINES) -> List[str]:
    """The last lines that the host kernel printed."""
    return _console_lines(path)[-lines:]


def _console_lines(path: Path) -> List[str]:
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def last_line(path: Path) -> Optional[str]:
    """The last thing the host kernel printed before it said its status; None: nothing."""
    tail = [line for line in console_tail(path, 2) if not line.startswith(FAREWELL)]
    return tail[-1] if tail else None


def last_words(path: Path, vm: int) -> Optional[str]:
    """The last line that VM `vm` printed itself; None if it printed nothing."""
    own = re.compile(rf"\[{vm} [^\]]*\] (?!ended: )(.*)")
    said = [found[1] for found in map(own.match, _console_lines(path)) if found]
    return said[-1] if said else None
