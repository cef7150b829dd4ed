"""Whether the guest stepper's exits are those of its code: read from RAM and the exit log.

stepper (guests/stepper.c) leaves a table of its steps in its memory and tells where. Each
step is one instruction that exits, at a known address and of a known length; so the exits
from its code must come in the table's order, each at its address. Where the first one
differs, the VMM went on at the wrong byte behind the one before.
Neither the guest's self-checks nor the trace's own words are believed here; the trace only
says to which VM an exit of the emulator's log belongs.
"""
from __future__ import annotations

import struct
from typing import Any, List, NamedTuple, Tuple

import numpy as np

from grader.oracle import exitlog
from grader.oracle.exitlog_row import code_of

KINDS = {"CPUID": "CPUID", "VMMCALL": "HYPERCALL", "HLT": "HLT", "IN": "IO", "OUT": "IO"}
STEP = struct.Struct("<IIBBH4x4Q4Q")    # struct step of guests/stepper.h


class Step(NamedTuple):
    """One instruction that exits."""

    kind: str
    at: int
    length: int


def table(run: Any, vm: int, steps: int) -> List[Step]:
    """The steps that the VM's stepper meant to make, from RAM; empty: it never said where."""
    places = [value for name, value in run.checkpoints(vm) if name == "code"]
    slots = run.trace.select("vm_slot")
    slots = slots.where(np.asarray(slots.vm) == vm)
    if not places or not len(slots):
        return []
    hpa = int(slots["hpa"][0]) - int(slots["gpa"][0]) + places[0]
    rows = [STEP.unpack(run.memory.read_bytes(hpa + i * STEP.size, STEP.size))
            for i in range(steps)]
    return [Step(list(KINDS)[row[0]], row[1], row[2]) for row in rows]


def exits_of(run: Any, vm: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number in the log, code and rip of each exit of a VM."""
    whose = np.asarray(exitlog.traced_exits(run.trace).vm)
    number = np.flatnonzero(whose[:len(run.exits)] == vm)
    return number, run.exits.code[number], run.exits.rip[number]


def first_wrong(run: Any, vm: int, steps: int) -> str:
    """'' if every step exited in order at its place; else a sentence about the first that did
    not, and about the one before, behind which the guest went on at the wrong byte."""
    wanted = table(run, vm, steps)
    if not wanted:
        return "the guest stepper did not come as far as its code"
    codes = {kind: code_of(word, run.json["platform"]) for kind, word in KINDS.items()}
    number, code, rip = exits_of(run, vm)
    inside = (rip >= wanted[0].at) & (rip <= wanted[-1].at + 15) & np.isin(
        code, list(codes.values()))
    number, code, rip = number[inside], code[inside], rip[inside]
    for i, step in enumerate(wanted):
        if i < len(rip) and int(rip[i]) == step.at and int(code[i]) == codes[step.kind]:
            continue
        seen = (f"exit number {int(number[i])} has code {int(code[i]):#x} at rip {int(rip[i]):#x}"
                if i < len(rip) else "it never got there")
        return _before(wanted, i) + f": the next exit must be a {step.kind} at rip " \
            f"{step.at:#x}, but {seen}"
    if len(rip) > len(wanted):
        return f"the code's {len(wanted)} steps exited {len(rip)} times: one was executed again"
    return ""


def _before(wanted: List[Step], i: int) -> str:
    if i == 0:
        return "at the very first step"
    last = wanted[i - 1]
    return (f"behind step {i - 1}, a {last.kind} of {last.length} "
            f"byte{'s' if last.length > 1 else ''} at rip {last.at:#x}")
