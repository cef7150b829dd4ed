"""Each consistency check of the control block, violated alone, is explained in words.

The judge of whether an entry was refused is the emulator's own log. On the versions that
are tested it is known which checks they make; another may let a VM run on where a check
is not made, and that is right too. Many VMs, each with another broken check, share a
machine. Rules: the field, the manual's section and the value are named; Bochs objects to
the same; only those VMs end, and the ticker beside them gets all of its ticks.
"""
from __future__ import annotations

from typing import Any, Dict, List

import pytest

from grader import platforms
from grader.oracle import exitlog, timer
from grader.platform import Machine
from grader.tests.entry_checks import (BREAKS_THE_EMULATOR, LETS_PASS, SVM, TESTED, VMX, Check)

pytestmark = [pytest.mark.machine, pytest.mark.everywhere]

AT_ONCE = 14                    # VMs of a machine, beside the ticker
MANUAL = {"svm": "AMD64 Manual vol. 2", "vmx": "Intel SDM vol. 3C"}
TICKER = "ticker mem=2M -- hz=1000 ticks=30"


def kind(platform: str) -> str:
    return platform.rsplit("-", 1)[1]


def checks(platform: str) -> Dict[str, Check]:
    """The checks that are tried on this platform."""
    known = SVM if kind(platform) == "svm" else VMX
    never = BREAKS_THE_EMULATOR.get(platform, frozenset()) | (
        LETS_PASS[platform] if kind(platform) == "vmx" else frozenset())
    return {name: check for name, check in known.items() if name not in never}


def broken(machine: Any, names: List[str]) -> Any:
    guests = [f"hello mem=2M break={name}" for name in names]
    return machine((*guests, TICKER), "slice=1ms", "1s", exit_log=True, ok=False)


@pytest.fixture(scope="module")
def runs(machine: Any, platform: str) -> List[Any]:
    """Machines that have tried all checks between them, each with the names of its VMs."""
    names = [*checks(platform), *sorted(LETS_PASS[platform] - set(checks(platform)))]
    parts = [names[i:i + AT_ONCE] for i in range(0, len(names), AT_ONCE)]
    return [(broken(machine, part), part) for part in parts]


def refused(run: Any) -> Dict[int, str]:
    """VM -> why, of those whose entry was refused."""
    return {vm["vm"]: vm["why"] for vm in run.json["vms"] if vm["how"] == "BAD_ENTRY"}


def test_all_checks_are_made_that_are_known_to_be(runs, platform):
    for run, names in runs:
        assert exitlog.refusals(exitlog.read(run.dir / "exits.log")) == len(refused(run))
        passed = {name for vm, name in enumerate(names, 1) if vm not in refused(run)}
        if TESTED[platform] in run.json["emulator"]:
            assert passed == LETS_PASS[platform] & set(names)


def test_a_refused_entry_is_explained(runs, platform):
    for run, names in runs:
        failed = run.trace.select("entry_failed")
        told = {int(vm): (failed.text(i), int(failed["value"][i]))
                for i, vm in enumerate(failed.vm)}
        assert {vm: text for vm, (text, _) in told.items()} == refused(run) and told
        for vm, (said, value) in told.items():
            check = checks(platform)[names[vm - 1]]
            number = f"{value:#x}" if value else "0"
            assert said.startswith(f"entry refused: {check.field} = {number}: "), said
            assert check.reason in said
            assert f"{MANUAL[kind(platform)]}, {check.section})" in said
            assert run.json["vms"][vm - 1]["checks_passed"] == 0, "it ran, although refused"


def test_the_emulator_objects_to_the_same(runs, platform):
    """Bochs has words of its own for each of VMX's checks, and these reach the user."""
    for run, names in runs:
        made = Machine(run.dir, "nestling.img", exit_log=True)
        said = platforms.find(platform).remarks(made)
        if not platform.startswith("bochs"):
            assert said == []
            continue
        assert len(said) == len(refused(run))
        for vm, words in zip(refused(run), said):
            name = names[vm - 1]
            assert words.startswith(f"Bochs on the refused entry of [{vm} hello]: ")
            assert checks(platform)[name].bochs in words


def test_only_those_vms_end(runs):
    for run, names in runs:
        assert run.json["exit_reason"] == "ended" and run.json["status"] in (0, 1)
        ticker = run.json["vms"][len(names)]
        assert (ticker["how"], ticker["code"], ticker["checks_failed"]) == ("EXITED", 0, 0)
        delivered = run.trace.select("timer_delivered")
        assert int(delivered["delivered"][delivered.vm == ticker["vm"]].max()) == 30
        assert timer.check(run.trace) == []
        assert not run.trace.select("vm_destroy")["leaked"].any()


def test_the_exits_are_the_emulators(runs):
    for run, _ in runs:
        assert exitlog.disagreements(exitlog.read(run.dir / "exits.log"), run.trace) == []


# Of checks on reserved bits: a bit there that is not set otherwise.
BITS = {"svm": {"cr0": 40, "cr4": 40, "dr6": 32, "dr7": 32, "efer": 50, "cr3": 60},
        "vmx": {"proc2": 31, "hostcr3": 52, "cr3": 52, "dr7": 32, "idtr": 16, "rip": 32}}


def test_the_values_named_are_those_that_were_broken(runs, platform):
    for run, names in runs:
        failed = run.trace.select("entry_failed")
        for vm, value in zip(failed.vm.tolist(), failed["value"].tolist()):
            bit = BITS[kind(platform)].get(names[vm - 1])
            assert bit is None or value >> bit & 1


@pytest.mark.long
def test_alone_each_is_told_the_same(machine, runs, platform):
    for run, names in runs:
        for vm, name in enumerate(names, 1):
            alone = broken(machine, [name])
            assert alone.json["vms"][0]["how"] == run.json["vms"][vm - 1]["how"], name
            assert exitlog.refusals(exitlog.read(alone.dir / "exits.log")) == len(refused(alone))


def test_a_check_that_does_not_exist_is_said(machine):
    run = machine(("hello break=nonsense", "hello"), "", "1s", exit_log=True, ok=False)
    assert run.json["vms"][0]["how"] == "BAD_ENTRY"
    assert "there is no entry check of that name" in run.json["vms"][0]["why"]
    assert run.json["vms"][1]["how"] == "EXITED" and run.json["vms"][1]["checks_failed"] == 0
    assert exitlog.disagreements(exitlog.read(run.dir / "exits.log"), run.trace) == []
