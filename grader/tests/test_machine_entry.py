"""Each consistency check of the control block, violated alone, is explained in words.

The judge of whether an entry was refused is the emulator's own log (exit code -1). QEMU
7.2 makes all of the checks below; on another emulator a check that is not made lets the
VM run on, and that is right too. Rules: the field, the manual's section and the value
are named; only that VM ends; the ticker beside it gets all of its ticks.
"""
from __future__ import annotations

from typing import Dict, Tuple

import numpy as np
import pytest

from grader.oracle import timer
from grader.oracle import exitlog

pytestmark = pytest.mark.machine

# name of the check -> the field that must be named, a part of the reason, the section
CHECKS: Dict[str, Tuple[str, str, str]] = {
    "asid": ("ASID", "must not be 0", "15.5.1"),
    "vmrun": ("intercept VMRUN", "VMRUN intercept", "15.5.1"),
    "svme": ("EFER", "SVME", "15.5.1"),
    "nw": ("CR0", "NW", "15.5.1"),
    "cr0": ("CR0", "63 to 32", "15.5.1"),
    "cr3": ("CR3", "reserved", "15.5.1"),
    "cr4": ("CR4", "reserved", "15.5.1"),
    "dr6": ("DR6", "63 to 32", "15.5.1"),
    "dr7": ("DR7", "63 to 32", "15.5.1"),
    "efer": ("EFER", "reserved", "15.5.1"),
    "pae": ("CR4", "PAE", "15.5.1"),
    "pe": ("CR0", "PE", "15.5.1"),
    "cs": ("CS.attrib", "CS.L and CS.D", "15.5.1"),
    "iopm": ("IOPM_BASE_PA", "I/O permission map", "15.5.1"),
    "msrpm": ("MSRPM_BASE_PA", "MSR permission map", "15.5.1"),
    "event": ("EVENTINJ", "type or vector", "15.20")}
MADE_BY_QEMU_7_2 = set(CHECKS)


def broken(machine, name: str):
    return machine((f"hello break={name}", "ticker -- hz=1000 ticks=30"), "slice=1ms", "1s",
                   exit_log=True, ok=False)


def refusals(run) -> int:
    log = exitlog.read(run.dir / "exits.log")
    return int(np.count_nonzero(log.code == exitlog.INVALID))


@pytest.mark.parametrize("name", CHECKS)
def test_a_refused_entry_is_explained(machine, name):
    run = broken(machine, name)
    field, reason, section = CHECKS[name]
    hello, failed = run.json["vms"][0], run.trace.select("entry_failed")
    if refusals(run) == 0:
        assert "QEMU emulator version 7.2" not in run.json["emulator"]
        assert hello["how"] == "EXITED" and len(failed) == 0
        return
    assert refusals(run) == 1 and len(failed) == 1
    assert hello["how"] == "BAD_ENTRY" and hello["why"] == failed.text(0)
    said, value = hello["why"], int(failed["value"][0])
    assert said.startswith(f"entry refused: {field} = {value:#x}: ".replace("= 0x0:", "= 0:"))
    assert reason in said and f"AMD64 Manual vol. 2, {section})" in said
    assert hello["checks_passed"] == 0, "it ran, although its entry was refused"


@pytest.mark.parametrize("name", CHECKS)
def test_only_that_vm_ends(machine, name):
    run = broken(machine, name)
    assert run.json["exit_reason"] == "ended" and run.json["status"] in (0, 1)
    ticker = run.json["vms"][1]
    assert (ticker["how"], ticker["code"], ticker["checks_failed"]) == ("EXITED", 0, 0)
    delivered = run.trace.select("timer_delivered")
    assert int(delivered["delivered"][delivered.vm == 2].max()) == 30
    assert timer.check(run.trace) == []
    assert not run.trace.select("vm_destroy")["leaked"].any()


def test_qemu_7_2_makes_all_of_these_checks(machine):
    runs = {name: broken(machine, name) for name in CHECKS}
    if "version 7.2" not in runs["asid"].json["emulator"]:
        assert refusals(runs["asid"]) == 1      # the one that no emulator leaves out
        return
    assert {name for name, run in runs.items() if refusals(run)} == MADE_BY_QEMU_7_2


def test_the_values_named_are_those_that_were_broken(machine):
    """Of the checks on reserved bits: a bit there that is not set otherwise."""
    for name, bit in (("cr0", 40), ("cr4", 40), ("dr6", 32), ("dr7", 32), ("efer", 50),
                      ("cr3", 60)):
        run = broken(machine, name)
        if refusals(run):
            assert int(run.trace.select("entry_failed")["value"][0]) >> bit & 1


def test_a_check_that_does_not_exist_is_said(machine):
    run = machine(("hello break=nonsense", "hello"), "", "1s", ok=False)
    assert run.json["vms"][0]["how"] == "BAD_ENTRY"
    assert "there is no entry check of that name" in run.json["vms"][0]["why"]
    assert run.json["vms"][1]["how"] == "EXITED" and run.json["vms"][1]["checks_failed"] == 0
