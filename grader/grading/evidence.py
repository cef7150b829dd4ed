"""Whether the sources of a run agree: the trace, the emulator's log of exits, RAM, the bundle.

The trace shares ring 0 with the student's code; alone it proves nothing.  Here it is
held against what the emulator wrote down and against the bundle that was given; guests'
memory is looked at in guestproof.py.  A contradiction is told neutrally, since an
honest mistake can cause it too.  What a forger who satisfies all sources at once can
still do: handouts/instructor.md.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Set

import numpy as np

from grader import args
from grader.grading import guestproof
from grader.oracle import exitlog
from grader.oracle.seal import NAMES, check_name, mix
from viz.trace import Records

if TYPE_CHECKING:
    from grader.grading.runs import Run

TAIL = 128                      # the last exits before a trace was full may have gaps
COMMAND = 4 << 16 | 0x5E0       # an OUT of four bytes to the test port, as the log of exits has it
NONCE, SEED, CHECK, VM, GENERATION = 1, 2, 3, 8, 9
TELL = 3
PAGE, MOST_TRACE = 4096, 192 << 20      # formats.md, sections 1.1 and 4
RESERVE, LONGEST_RECORD = 4096, 16 + 255 * 8


def contradictions(run: "Run") -> List[str]:
    """Every contradiction between the sources of a run, in words; empty if they agree."""
    found = header(run) + room(run) + exits(run) + commands(run) + lives(run)
    if not found:               # whose exits these are is known only if the trace is true
        found = guestproof.contradictions(run)
    return found


def header(run: "Run") -> List[str]:
    """The trace's header names this very run."""
    found, told = [], run.trace.header
    for name, seen, wanted in (("nonce", hex(told.nonce), run.json["nonce"]),
                               ("seed", hex(told.seed), run.json["seed"]),
                               ("platform", told.platform, run.json["platform"]),
                               ("command line", told.cmdline, run.options)):
        if seen != wanted:
            found.append(f"the trace's header has the {name} '{seen}', the run was given "
                         f"'{wanted}'")
    return found


def room(run: "Run") -> List[str]:
    """The trace is as large as it was asked for, and records were dropped only where it was full:
    else whoever writes it could have runs judged by less."""
    told = run.trace.header
    asked = _trace_size(run)
    if told.size != asked or any(buffer.off + buffer.size > asked for buffer in told.buffers):
        return [f"the trace's header has a size of {told.size} bytes, the run was given {asked}"]
    return [f"the trace says that {buffer.dropped} records were dropped, but has room for more"
            for buffer in told.buffers
            if buffer.dropped and buffer.used + LONGEST_RECORD <= buffer.size - RESERVE]


def _trace_size(run: "Run") -> int:
    size = int(args.parse_options(run.options).values["tracebuf"])
    return -(-max(1 << 20, min(size, MOST_TRACE)) // PAGE) * PAGE


def exits(run: "Run") -> List[str]:
    """The exits traced are those that the emulator logged, one by one."""
    if not run.traces("exits"):
        return []
    most = max(0, len(exitlog.traced_exits(run.trace)) - TAIL) if run.trace.dropped else None
    return [f"the trace and the emulator disagree: {text}"
            for text in exitlog.disagreements(run.exits, run.trace, TELL, most)]


def commands(run: "Run") -> List[str]:
    """The test port's commands traced are the writes that the emulator saw; checks are commands."""
    written = run.exits.out == COMMAND
    if not run.traces("io") or not run.traces("exits") or run.trace.dropped:
        return _least(run, int(np.count_nonzero(written)))
    told = run.trace.select("test_port")
    if len(told) != np.count_nonzero(written):
        return [f"the trace tells of {len(told)} commands of the test port, the emulator "
                f"saw {np.count_nonzero(written)} written"] + _checks(run)
    return _speakers(run, told, written) + _answers(run) + _checks(run)


def _least(run: "Run", written: int) -> List[str]:
    """Where commands are not traced: at least what came of them were commands."""
    least = len(run.trace.select("check")) + len(run.trace.select("checkpoint"))
    return [f"the trace tells of {least} self-checks and checkpoints, the emulator saw only "
            f"{written} commands of the test port"] if least > written else []


def _speakers(run: "Run", told: Records, written: np.ndarray) -> List[str]:
    """Each command is of the VM whose exit it was."""
    traced = exitlog.traced_exits(run.trace).vm
    if len(traced) != len(written) or np.array_equal(traced[written], told.vm):
        return []
    at = int(np.flatnonzero(traced[written] != told.vm)[0])
    return [f"command {at} of the test port is told of VM {int(told.vm[at])}, its exit of VM "
            f"{int(traced[written][at])}"]


def _answers(run: "Run") -> List[str]:
    """What guests were answered when they asked who they are."""
    told = run.trace.select("test_port")
    nonce, seed = int(run.json["nonce"], 16), int(run.json["seed"], 16)
    for vm, command, result in zip(told.vm.tolist(), told["command"].tolist(),
                                   told["result"].tolist()):
        right = {NONCE: nonce, VM: vm}.get(command, result)
        if command == SEED and run.json["vms"][vm - 1]["generations"] <= 1:
            right = mix(seed, vm, 0)
        if result != right:
            return [f"VM {vm} was told the {NAMES[command]} {result:#x} by its test port; the "
                    f"right one is {right:#x}"]
    return []


def _checks(run: "Run") -> List[str]:
    """Each check traced is the command CHECK traced right after it."""
    told, checks = run.trace.select("test_port"), run.trace.select("check")
    mine = told.where(told["command"] == CHECK)
    if len(mine) != len(checks):
        return [f"the trace tells of {len(checks)} self-checks and {len(mine)} commands CHECK"]
    passed = (checks["value"] == checks["expected"]) & (checks["sealed"] != 0)
    same = ((mine.vm == checks.vm) & (mine["a1"] == checks["value"])
            & (mine["result"] == passed.astype(np.uint64)))
    names = mine["a0"].tolist()
    wrong = [i for i in range(len(mine)) if not same[i] or checks.text(i) != check_name(names[i])]
    return [f"self-check {i} of the trace ({checks.text(i)}) is not what the test port was given"
            for i in wrong[:TELL]]


def lives(run: "Run") -> List[str]:
    """VMs are created as often as they were asked for, and do not share a control block."""
    created = run.trace.select("vm_create").vm.tolist()
    found = []
    for vm in sorted(set(created)):
        most = 1 + run.restarts(vm)
        if vm > len(run.guests) or created.count(vm) > most:
            found.append(f"the trace tells of VM {vm} being created {created.count(vm)} times")
    if run.traces("exits") and not any(map(run.restarts, range(1, len(run.guests) + 1))):
        found += _entered(run)
    return found


def _entered(run: "Run") -> List[str]:
    """Each control block is one VM's, and each VM has one."""
    owners = blocks(run)
    found = [f"VMs {sorted(vms)} were entered through one control block at {block:#x}"
             for block, vms in owners.items() if len(vms) > 1]
    for vm in sorted(set().union(*owners.values())):
        mine = [block for block, vms in owners.items() if vm in vms]
        if not 1 <= vm <= len(run.guests):
            found.append(f"the trace tells of exits of VM {vm}, which there is not")
        elif len(mine) > 1:
            found.append(f"VM {vm} was entered through {len(mine)} control blocks")
    return found


def blocks(run: "Run") -> Dict[int, Set[int]]:
    """Control block (host-physical, from the emulator) -> the VMs whose exits it made."""
    traced = exitlog.traced_exits(run.trace)
    n = min(len(traced), len(run.exits))
    pairs = np.unique(np.stack([run.exits.vmcb[:n], traced.vm[:n].astype(np.uint64)]), axis=1)
    found: Dict[int, Set[int]] = {}
    for block, vm in pairs.T.tolist():
        found.setdefault(block, set()).add(vm)
    return found
