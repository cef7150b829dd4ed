"""What a report states about a run, gathered from its trace and its run.json.

Where both speak of one thing, checks() compares them.  This shows that the two
belong together; it proves nothing about the run, since the runner takes the VMs'
ends from the trace.  No HTML here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from viz import recorded
from viz.stats import Stats, compute
from viz.trace import Trace, load

# run.json's fields in the order in which a report shows them.
FACTS: Tuple[Tuple[str, str], ...] = (
    ("platform", "platform"), ("emulator", "emulator"), ("exit_reason", "the run ended by"),
    ("status", "kernel's exit status"), ("seed", "seed"), ("nonce", "nonce"),
    ("virtual_ns", "virtual time (ns)"), ("host_s", "host time (s)"), ("repeat", "repeat it with"),
    ("image_sha256", "image"), ("bundle_sha256", "bundle"))
MAX_FAILED = 20


@dataclass(frozen=True)
class Check:
    """One statement about the run: does it hold (None: cannot be told), and how so."""

    name: str
    ok: Optional[bool]
    text: str


@dataclass
class Run:
    """A run as found on disk."""

    path: str
    folder: Optional[str]
    trace: Trace
    stats: Stats
    facts: Dict[str, Any] = field(default_factory=dict)
    problems: List[str] = field(default_factory=list)
    checks: List[Check] = field(default_factory=list)
    self_checks: List[Dict[str, Any]] = field(default_factory=list)

    @property
    def title(self) -> str:
        return os.path.basename(os.path.abspath(self.folder or self.path))

    @property
    def shown_facts(self) -> List[Tuple[str, str]]:
        """run.json's facts, or the header's when there is no run.json."""
        rows = [(label, str(self.facts[key])) for key, label in FACTS if key in self.facts]
        if not self.facts:
            rows = [("platform", self.stats.platform), ("seed", self.stats.seed),
                    ("nonce", self.stats.nonce)]
        return rows + [("machine's options", self.stats.cmdline),
                       ("build", self.stats.build_id)]

    @property
    def remark(self) -> Optional[str]:
        """What the run did not record by choice, in a sentence."""
        return recorded.remark(self.trace)

    def file(self, name: str) -> Optional[str]:
        """The path of a file of the run's folder, None if it is not there."""
        path = os.path.join(self.folder, name) if self.folder else ""
        return path if os.path.isfile(path) else None

    def vm_args(self, vm: int) -> str:
        """How a VM was asked for, as its creation records it."""
        created = self.trace.select("vm_create")
        own = created.where(created.vm == vm)
        return own.text(0) if len(own) else ""


def gather(path: str) -> Run:
    """Read a run's folder or a trace; TraceError if there is no trace to read."""
    folder = path if os.path.isdir(path) else None
    trace = load(path)
    run = Run(path, folder, trace, compute(trace))
    if folder:
        _read_facts(run)
    run.self_checks = self_checks(trace)
    run.checks = checks(run)
    run.stats.warnings = list(trace.warnings)
    return run


def _read_facts(run: Run) -> None:
    path = run.file("run.json")
    if path is None:
        run.problems.append("the folder holds no run.json")
        return
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        run.problems.append(f"run.json cannot be read: {error}")
        return
    if isinstance(facts, dict):
        run.facts = facts
    else:
        run.problems.append("run.json is not an object")


def self_checks(trace: Trace) -> List[Dict[str, Any]]:
    """The guests' self-checks by VM and name: how many passed, failed, the last values."""
    records = trace.select("check")
    value, expected, sealed = records["value"], records["expected"], records["sealed"]
    rows: Dict[Tuple[int, str], Dict[str, Any]] = {}
    for i, vm in enumerate(records.vm.tolist()):
        name = records.text(i)
        row = rows.setdefault((vm, name), {"vm": vm, "name": name, "passed": 0, "failed": 0})
        good = value[i] == expected[i] and sealed[i] != 0
        row["passed" if good else "failed"] += 1
        row.update(value=hex(int(value[i])), expected=hex(int(expected[i])),
                   sealed=bool(sealed[i]))
    return [rows[key] for key in sorted(rows)]


def checks(run: Run) -> List[Check]:
    """What the report holds the run to; each says in words what was found."""
    result = [_complete(run), _ticks(run.stats), _passed(run), _leaks(run.trace)]
    return result + (_agreement(run) if run.facts else [])


def _complete(run: Run) -> Check:
    count = len(run.trace.warnings)
    name = "The trace is complete"
    if count:
        remarks = "one remark" if count == 1 else f"{count} remarks"
        return Check(name, False, f"{remarks} about missing or damaged parts, see above")
    if recorded.option(run.trace) == "off":
        return Check(name, None, "this run was told to record nothing")
    rest = "" if run.remark is None else ", of the groups that it was to record (see above)"
    return Check(name, True, f"{len(run.trace)} records, none dropped{rest}")


def _ticks(stats: Stats) -> Check:
    name = "delivered + backlog + discarded = due"
    timers = [vm for vm in stats.vms if vm.ticks]
    if not timers:
        return Check(name, None, "timer ticks were not recorded" if "time" in stats.not_recorded
                     else "no VM's timer left a record")
    wrong = sum(vm.ticks_wrong for vm in timers)
    if wrong:
        return Check(name, False, f"it does not hold at {wrong} records")
    due = sum((vm.ticks or {}).get("due", 0) for vm in timers)
    return Check(name, True, f"at every record of {len(timers)} timers, {due} ticks in all")


def _passed(run: Run) -> Check:
    name = "The guests' self-checks passed"
    passed = sum(row["passed"] for row in run.self_checks)
    failed = [row for row in run.self_checks if row["failed"]]
    if not passed and not failed:
        return Check(name, None, "no guest reported one")
    if failed:
        names = ", ".join(f"{row['name']} of VM {row['vm']}" for row in failed[:MAX_FAILED])
        return Check(name, False, f"failed: {names}")
    return Check(name, True, f"all {passed}")


def _leaks(trace: Trace) -> Check:
    name = "Destroyed VMs gave all frames back"
    gone = trace.select("vm_destroy")
    if not len(gone):
        return Check(name, None, "no VM was destroyed")
    leaked = sum(gone["leaked"].tolist())
    lives = f"{len(gone)} lives of VMs" if len(gone) > 1 else "one VM"
    text = f"{leaked} frames leaked" if leaked else f"{lives} ended, no frame leaked"
    return Check(name, not leaked, text)


def _agreement(run: Run) -> List[Check]:
    """Do run.json and the trace tell the same?"""
    told = [(key, _as_int(run.facts.get(key)), value) for key, value in
            (("seed", run.trace.header.seed), ("nonce", run.trace.header.nonce))]
    wrong = [key for key, said, value in told if said is not None and said != value]
    wrong += [f"the end of VM {vm.vm}" for vm in run.stats.vms
              if vm.how and _told_end(run.facts, vm.vm) not in (None, vm.how.lower())]
    name = "run.json and the trace agree"
    if wrong:
        return [Check(name, False, "they differ in " + ", ".join(wrong))]
    return [Check(name, True, "on seed, nonce and how each VM ended")]


def _as_int(value: Any) -> Optional[int]:
    try:
        return int(value, 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _told_end(facts: Dict[str, Any], number: int) -> Optional[str]:
    """How run.json says that VM `number` ended, in lower case; None if it does not."""
    vms = facts.get("vms")
    for vm in vms if isinstance(vms, list) else []:
        if isinstance(vm, dict) and vm.get("vm") == number and isinstance(vm.get("how"), str):
            return str(vm["how"]).lower().replace(" ", "_").replace("-", "_")
    return None
