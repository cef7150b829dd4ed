"""Lab 1, hidden tests: other seeds, other cases, and everything at once.

Nothing is asked here that the handout and the public tests do not ask.
"""
import re

import numpy as np

from grader.grading import expect, points
from grader.oracle import cpuid, steps

UNKNOWN = ("rdtsc", "invlpg", "ud", "de")
BREAKS = {"svm": {
    "vmrun": ("VMRUN", "15."), "svme": ("EFER", "SVME"), "cr0": ("CR0", "63 to 32"),
    "cr4": ("CR4", "reserved"), "dr7": ("DR7", "63 to 32"), "efer": ("EFER", "reserved"),
    "cs": ("CS.attrib", "15."), "event": ("EVENTINJ", "15.20")}, "vmx": {
    "pin": ("pin-based", "26.2.1.1"), "eptlevels": ("EPT pointer", "bits 5-3"),
    "hostcr4": ("host CR4", "VMX fixes"), "cr3": ("CR3", "physical memory"),
    "dr7": ("DR7", "63-32"), "efer": ("EFER", "reserved"), "event": ("interruption", "type 1 or 7"),
    "csdpl": ("CS", "26.3.1.2")}}
PARTS = ("gpr", "fpu", "cr2", "dr", "system")


def whole(run, vm):
    """The VM came to its own end and no check failed."""
    end = run.vms[vm - 1]
    expect((end["how"], end["code"]) == ("EXITED", 0) and not end["checks_failed"],
           f"VM {vm} ({end['name']}) should have ended with code 0 and no failed check; it ended "
           f"with {end['how']}, code {end['code']}, {end['checks_failed']} checks failed: "
           f"{end['why']}{spoke(run, vm)}")


def spoke(run, vm):
    """What the guest said of the first difference that it found."""
    found = re.search(rf"^\[{vm} [^\]]*\] ((canary|stepper): .*|unexpected .*)$", run.console, re.M)
    return f"; seen first: {found[1]}" if found else ""


@points(7, hint="1.8", needs="test_a_guest_boots")
def test_hidden_steps(lab):
    """All kinds of instructions that exit, mixed, in two VMs at once: each goes on behind."""
    run = lab.run("stepper -- steps=400", "stepper -- steps=400", option="slice=1ms",
                  time="600ms")
    for vm in (1, 2):
        wrong = steps.first_wrong(run, vm, 400)
        expect(not wrong, f"VM {vm}: {wrong}")
        whole(run, vm)


@points(7, hint="1.2", needs="test_a_guest_boots")
def test_hidden_registers(lab):
    """Three guests with other seeds, rounds and slices: every register stays its owner's."""
    chance = lab.random("rounds")
    rounds = [chance.randrange(700, 1100) for _ in range(3)]
    run = lab.run(*(f"canary -- rounds={each} spin=20000" for each in rounds),
                  option=f"slice={chance.randrange(200, 900)}us verify=registers", time="20s")
    for vm in (1, 2, 3):
        for part in PARTS:
            found = run.checks(vm).get(part, [])
            expect(found and found[0][2], f"VM {vm}: {part} should have survived the other VMs"
                   f"{spoke(run, vm)}")
        whole(run, vm)


@points(3, hint="1.7", needs="test_a_guest_boots")
def test_hidden_leaves(lab):
    """Leaves that do not exist answer four zeros, also those that nobody thinks of."""
    run = lab.run("asker", time="1s")
    answers = cpuid.answers(run.checkpoints(1))
    expect(len(answers) >= 20, f"asker asks for 23 leaves, but only {len(answers)} were answered")
    wrong = cpuid.wrong_leaves(answers)
    expect(not wrong, wrong)


@points(4, hint="1.9", needs="test_a_guest_boots")
def test_hidden_refusals(lab):
    """Other mistakes in the control block are explained too, each with its field and rule."""
    chance = lab.random("breaks")
    breaks = BREAKS[lab.extension]
    names = chance.sample(sorted(breaks), 3)
    run = lab.run(*(f"hello break={name}" for name in names), "canary -- rounds=100",
                  option="slice=1ms", time="1s")
    whole(run, 4)
    expect(int(np.count_nonzero(run.left("REFUSED"))) == 3,
           "three entries should have been refused")
    for vm, name in enumerate(names, 1):
        end = run.vms[vm - 1]
        expect(end["how"] == "BAD_ENTRY", f"VM {vm} should have ended with BAD_ENTRY, it ended "
               f"with {end['how']}: {end['why']}")
        for part in breaks[name]:
            expect(part in end["why"], f"the sentence must name {part}; it is {end['why']!r}")


@points(4, hint="1.9", needs="test_a_guest_boots")
def test_hidden_unknown_exits(lab):
    """Other exits that nobody handles end their VM, and no other."""
    names = lab.random("exits").sample(sorted(UNKNOWN), 3)
    run = lab.run(*(f"stray exits={name} -- how={name}" for name in names),
                  "canary -- rounds=100", option="slice=1ms", time="1s")
    whole(run, 4)
    for vm, name in enumerate(names, 1):
        end = run.vms[vm - 1]
        code = run.code(name.upper())
        expect((end["how"], end["code"]) == ("UNSUPPORTED", code),
               f"VM {vm} should have ended with UNSUPPORTED, code {code:#x}; it ended with "
               f"{end['how']}, code {end['code']:#x}: {end['why']}")


@points(4, hint="1.9", needs="test_a_guest_boots")
def test_hidden_crowd(lab):
    """Guests that crash again and again beside guests that work: only the former suffer."""
    how = lab.random("how").choice(("idt", "ud", "pf"))
    run = lab.run(f"crash restart=12 -- how={how}", "stray restart=12 -- how=hlt",
                  "stepper -- steps=200", "canary -- rounds=150", option="slice=500us", time="800ms")
    whole(run, 3)
    whole(run, 4)
    for vm, name in ((1, "TRIPLE_FAULT"), (2, "HALTED")):
        end = run.vms[vm - 1]
        expect(end["how"] == name and end["generations"] == 13,
               f"VM {vm} ({end['name']}) should have ended with {name} 13 times; it did "
               f"{end['generations']} times, at last with {end['how']}: {end['why']}")
