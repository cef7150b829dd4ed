"""A guest that fails ends alone: triple faults of every kind, HLT for ever, no memory, EXIT.

Rules: the trace and run.json name how it ended; the log of the emulator shows the
shutdown; the other VMs go on for as long as they want, undisturbed to the last value.
"""
from __future__ import annotations

import numpy as np
import pytest

from grader.oracle import timer
from grader.oracle import exitlog

pytestmark = pytest.mark.machine

# The exit that a triple fault is. Bochs's SVM has none: the double fault before it exits.
SHUTDOWN = {"qemu-svm": 0x7F, "bochs-svm": 0x48, "bochs-vmx": 2}
BESIDE = ("ticker -- hz=500 ticks=40 compute=300000", "walker -- pages=16 rounds=3",
          "canary -- rounds=200")
# guest -> how it ends, its code, a part of the reason
ENDS = {"crash -- how=idt": ("TRIPLE_FAULT", 0, "triple fault near rip"),
        "crash -- how=ud": ("TRIPLE_FAULT", 0, "triple fault near rip"),
        "crash -- how=pf": ("TRIPLE_FAULT", 0, "triple fault near rip"),
        "crash -- how=nonsense": ("EXITED", 2, "exited with code 2"),
        "ticker -- speed=1": ("EXITED", 2, "exited with code 2"),
        "walker mem=2M -- pages=64": ("EXITED", 3, "exited with code 3")}


def beside(machine, guest: str):
    return machine((guest, *BESIDE), "slice=500us", "2s", ok=False, exit_log=True)


def reported(run, vm: int) -> list:
    checks = run.trace.select("check")
    return [(checks.text(i), int(checks["value"][i]), int(checks["expected"][i]),
             int(checks["sealed"][i])) for i in np.flatnonzero(checks.vm == vm).tolist()]


@pytest.mark.parametrize("guest", ENDS)
def test_its_end_is_named(machine, platform, guest):
    run = beside(machine, guest)
    how, code, reason = ENDS[guest]
    ended = run.json["vms"][0]
    assert (ended["how"], ended["code"]) == (how, code) and reason in ended["why"]
    shutdowns = np.count_nonzero(exitlog.read(run.dir / "exits.log").code == SHUTDOWN[platform])
    assert shutdowns == (how == "TRIPLE_FAULT")
    # A VM that an error of its own kills does not make the run a failure; an exit code does.
    assert run.json["exit_reason"] == "ended"
    assert run.json["status"] == (1 if code else 0)


@pytest.mark.parametrize("guest", ENDS)
def test_the_others_do_not_notice(machine, guest):
    run, undisturbed = beside(machine, guest), beside(machine, "hello")
    for vm in (2, 3, 4):
        told = run.json["vms"][vm - 1]
        assert (told["how"], told["code"], told["checks_failed"]) == ("EXITED", 0, 0)
        assert reported(run, vm) == reported(undisturbed, vm) != []
    delivered = run.trace.select("timer_delivered")
    assert int(delivered["delivered"][delivered.vm == 2].max()) >= 40
    assert timer.check(run.trace) == []
    assert not run.trace.select("vm_destroy")["leaked"].any()


@pytest.mark.parametrize("mmu", ("nested", "shadow"))
def test_a_double_fault_that_nobody_takes(machine, mmu):
    """On a shadow page faults exit, and the VMM makes a double fault of two of them: what comes of a
    third is the VM's end, not the processor's."""
    run = machine((f"crash mmu={mmu} -- how=stack", "ticker -- hz=500 ticks=5"), "", "1s", ok=False)
    assert [vm["how"] for vm in run.json["vms"]] == ["TRIPLE_FAULT", "EXITED"]
    assert (run.json["exit_reason"], run.json["status"]) == ("ended", 0)


def test_each_generation_is_told_its_number(machine):
    run = machine(("crash restart=5 -- how=ud", "ticker -- hz=500 ticks=5"), "", "1s")
    said = run.trace.select("checkpoint")
    mine = [int(said["value"][i]) for i in np.flatnonzero(said.vm == 1).tolist()]
    assert mine == [0, 1, 2, 3, 4, 5] and run.json["vms"][0]["generations"] == 6
