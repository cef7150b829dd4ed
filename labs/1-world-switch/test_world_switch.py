"""Lab 1, public tests: into a guest and out again.

In the order of the tasks. What is judged: how each VM ended, the guests' sealed
self-checks, the emulator's log of exits, and the guest's memory; of the trace only what
agrees with these.
"""
import re

import numpy as np

from grader.grading import expect, points
from grader.oracle import cpuid, share, steps

CANARIES = ("canary -- rounds=1200",) * 3
TEST_PORT = 0x5E0


def line(run, vm, pattern):
    """The first line that the VM printed and that fits, without its prefix; else ''."""
    for text in run.console.splitlines():
        found = re.match(rf"\[{vm} [^\]]*\] (.*)", text)
        if found and re.search(pattern, found[1]):
            return found[1]
    return ""


def ended_well(run, vm):
    """The VM ended by itself, content."""
    end = run.vms[vm - 1]
    why = line(run, vm, "unexpected exception|FAILED") or end["why"]
    expect((end["how"], end["code"]) == ("EXITED", 0),
           f"VM {vm} ({end['name']}) should have come to its own end, with code 0; it ended with "
           f"{end['how']}, code {end['code']}: {why}")


def ended_well_but_for_checks(run, vm):
    """The VM came to the end of its program; what its checks say is judged one by one."""
    end = run.vms[vm - 1]
    expect(end["how"] == "EXITED" and end["code"] in (0, 1),
           f"VM {vm} ({end['name']}) should have come to its own end; it ended with {end['how']}, "
           f"code {end['code']}: {line(run, vm, 'unexpected exception') or end['why']}")


def booted(run, vm):
    """A hello guest came to its end. What CPUID hides is not asked here: see 1.7."""
    ended_well_but_for_checks(run, vm)
    checks = run.checks(vm)
    bad = [name for name, found in checks.items() if name != "hidden" and not found[-1][2]]
    name = run.vms[vm - 1]["name"]
    expect(checks, f"VM {vm} ({name}) should have made at least one self-check; it made none")
    expect(not bad, f"VM {vm} ({name}): of its {len(checks)} self-checks {', '.join(bad)} failed: "
           f"{line(run, vm, 'FAILED')}")


def passed(run, vm, name, sentence, pattern=None):
    """The guest made that self-check, and it passed; else the sentence, and what it printed."""
    found = run.checks(vm).get(name, [])
    said = line(run, vm, pattern) if pattern else ""
    expect(found, f"{sentence}; the guest did not come so far as to look ({run.vms[vm - 1]['why']})")
    expect(all(check[2] for check in found), sentence + (f"; seen first: {said}" if said else ""))


def count(run, reason):
    """How many exits for that reason the emulator logged."""
    return int(np.count_nonzero(run.left(reason)))


# --- Into a guest at all ------------------------------------------------------------------


@points(5, hint="1.5")
def test_a_guest_boots(lab):
    """The guest hello boots, finds the machine that it expects, and comes to its end."""
    run = lab.run("hello", time="100ms")
    lab.picture(run, "timeline")
    booted(run, 1)
    lab.measure("ports", round(100 * count(run, "IO") / len(run.exits), 1))


@points(3, hint="1.1", needs="test_a_guest_boots")
def test_every_mode_starts(lab):
    """Kernels in real mode, in 32-bit mode and with PAE start in the state they are promised."""
    run = lab.run("hello32", "hello-pae", "real boot=raw mem=1M", time="50ms")
    for vm in (1, 2, 3):
        booted(run, vm)


@points(2, hint="1.1", needs="test_a_guest_boots")
def test_the_fpu_starts_as_after_reset(lab):
    """A guest that looks into the FPU before it has used it finds FCW 0x37f and MXCSR 0x1f80."""
    run = lab.run("asker", time="1s")
    for name, value in (("fcw", "0x37f"), ("mxcsr", "0x1f80")):
        passed(run, 1, name, f"{name.upper()} must be {value} when a guest starts",
               f"check {name}:")


# --- The world switch ------------------------------------------------------------------------


@points(6, hint="1.5")
def test_guest_registers_survive(lab):
    """After 10,000 exits all general registers and the flags are what the guest left in them."""
    run = lab.run("keeps", time="100ms")
    lost = re.search(r"keeps: [er](\w+) +is not", run.console)
    expect(not lost, f"the guest's R{lost[1].upper() if lost else ''} does not survive an exit: a "
           "guest that compares each register with what it held before an OUT found another value")
    ended_well(run, 1)
    first = line(lab.run("stepper -- steps=40 kind=out", time="300ms"), 1, "stepper: step")
    expect(not first, f"a register that is not the instruction's result must survive: {first}")
    run = lab.run("canary -- rounds=2500", option="slice=5ms", time="4s")
    ended_well_but_for_checks(run, 1)
    expect(len(run.exits) >= 10_000, f"the guest should have made 10,000 exits, it made "
           f"{len(run.exits)}")
    passed(run, 1, "gpr", "every general register must survive an exit that is not about it",
           r"canary: (r|flags)")


@points(4, hint="1.5")
def test_host_registers_survive(lab):
    """The host's RBX, RBP, R12 to R15, RSP and flags are untouched behind every exit."""
    run = lab.run("canary -- rounds=100", option="verify=registers", time="1s")
    ended_well_but_for_checks(run, 1)
    expect(len(run.exits) > 300, "the guest did not make enough exits to look behind")


# --- The vCPU switch -----------------------------------------------------------------------------


def switched(lab):
    """Three canaries on one CPU; they change places thousands of times."""
    run = lab.run(*CANARIES, option="slice=1ms", time="20s")
    for vm in (1, 2, 3):
        ended_well_but_for_checks(run, vm)
    who = run.trace.select("sched_pick").vm
    changes = int(np.count_nonzero(np.diff(who[who != 0].astype(int))))
    expect(changes >= 2000, f"the VMs should have changed places 2,000 times, it was {changes}")
    return run


def each_passed(lab, name, sentence, pattern):
    """All three canaries made the check, and it passed."""
    run = switched(lab)
    lab.picture(run, "timeline")
    for vm in (1, 2, 3):
        passed(run, vm, name, f"VM {vm}: {sentence}", pattern)


@points(6, hint="1.2", needs=["test_a_guest_boots", "test_guest_registers_survive"])
def test_two_guests_never_mix(lab):
    """No general register, segment base or system-call MSR of one guest reaches another."""
    run = switched(lab)
    for vm in (1, 2, 3):
        passed(run, vm, "gpr", f"VM {vm}: the general registers must survive other VMs",
               r"canary: (r|flags)")
        found = line(run, vm, r"canary: (cr8|fs\.|gs\.|kgs|star|lstar|cstar|sfmask|sys|pat|standing)")
        expect(not found, f"VM {vm}: segment bases and MSRs must survive other VMs; seen first: "
               f"{found}")


@points(4, hint="1.2", needs="test_a_guest_boots")
def test_debug_registers_belong_to_the_guest(lab):
    """DR0 to DR3, DR6 and DR7 are what the guest left there, whatever other VMs did."""
    each_passed(lab, "dr", "the debug registers must survive other VMs", "canary: dr")


@points(4, hint="1.2", needs="test_a_guest_boots")
def test_fpu_and_sse_belong_to_the_guest(lab):
    """x87, MXCSR and XMM0 to XMM15 are what the guest left there, whatever other VMs did."""
    each_passed(lab, "fpu", "the FPU's registers must survive other VMs",
                "canary: (fcw|fsw|ftw|mxcsr|st |xmm)")


# --- The run loop ------------------------------------------------------------------------------------


@points(3, hint="1.4", needs="test_a_guest_boots")
def test_the_cpu_is_given_back(lab):
    """Guests that never halt share the CPU, half each, until the time is up; one that ended has none."""
    run = lab.run("greedy -- spin=5000", "ticker -- hz=100", option="slice=2ms", time="60ms")
    lab.picture(run, "timeline")
    lab.measure("permille", round(1000 * count_of(run, 2) / busy_ns(run, 2), 3))
    had = share.shares(run.trace)
    expect(abs(had.get(1, 0) - 0.5) < 0.05, "each of the two should have had half of the CPU; the "
           f"first had {100 * had.get(1, 0):.0f} %")
    expect(run.json["virtual_ns"] < 65_000_000, "the run should have ended when its 60 ms were "
           f"over; it took {run.json['virtual_ns'] / 1e6:.1f} ms")
    hello = lab.run("hello", time="100ms")
    expect(int(hello.exits.out[-1]) & 0xffff == TEST_PORT,
           "a VM that has ended must not be entered again: the last exit of hello should be its OUT "
           f"to port {TEST_PORT:#x}, but it has code {int(hello.exits.code[-1]):#x}")


def count_of(run, vm):
    """Exits of one VM."""
    return int(np.count_nonzero(run.trace.select("exit").vm == vm))


def busy_ns(run, vm):
    """For how long a VM had the CPU; an instruction is a nanosecond."""
    charged = run.trace.select("sched_charge")
    return int(charged["ran"][charged.vm == vm].sum()) or 1


@points(3, hint="1.4", needs="test_a_guest_boots")
def test_ticks_arrive_in_time(lab):
    """A guest that computes gets every tick of its timer, and gets it before the next is due."""
    run = lab.run("ticker -- hz=1000 ticks=40 compute=400000", option="slice=1ms", time="1s")
    lab.picture(run, "timeline")
    ended_well(run, 1)
    due = run.trace.select("timer_due")
    late = int(due["backlog"].max()) if len(due) else 0
    expect(len(due) >= 40, f"40 ticks should have fallen due, {len(due)} did")
    expect(late <= 1, f"a tick should be delivered before the next is due; {late} were waiting")
    run = lab.run("masker -- rounds=3", option="slice=1ms", time="500ms")
    ended_well_but_for_checks(run, 1)
    expect(not run.vms[0]["checks_failed"], "an interrupt that came while the guest had them off "
           "must go in as soon as it has them on: what vcpu_events asked for must reach the control "
           f"block; {line(run, 1, 'FAILED')}")


# --- What an exit means -------------------------------------------------------------------------------


def stepped(lab, kind, number=150):
    """One kind of instruction, seeded, with prefixes: where it goes on, and what it changes."""
    run = lab.run(f"stepper -- steps={number} kind={kind}", time="300ms")
    wrong = steps.first_wrong(run, 1, number)
    expect(not wrong, wrong)
    ended_well_but_for_checks(run, 1)
    said = line(run, 1, "stepper: step")
    passed(run, 1, kind, f"{kind.upper()} must change its result's registers and no other",
           "stepper: step")
    expect(not said, said)
    over(lab, kind)
    return run


OVER = {"out": ("stiout", "stepout"), "in": ("stiin", "stepin"), "cpuid": ("sticpuid", "stpcpuid"),
        "vmmcall": ("stivmm", "stepvmm")}


def over(lab, kind):
    """What comes with an instruction's being done: STI's shadow ends, a single step is made."""
    if kind not in OVER:
        return
    run = lab.run("behind", time="200ms")
    interrupt, step = OVER[kind]
    rule = (f"must come right behind the {kind.upper()} that exits; only vcpu_advance does all that "
            "goes with going on behind an instruction")
    if all(check[2] for check in run.checks(1).get("stinop", [])):  # else see task 1.4
        passed(run, 1, interrupt, f"an interrupt that waits behind STI {rule}", f"check {interrupt}:")
    passed(run, 1, step, f"the debug exception of a single step (RFLAGS.TF) {rule}",
           f"check {step}:")


@points(3, hint="1.6", needs="test_a_guest_boots")
def test_in_reads_as_wide_as_it_is(lab):
    """IN of 1, 2 and 4 bytes: the value where it belongs, the rest of RAX as the manual says."""
    stepped(lab, "in")


@points(2, hint="1.6", needs="test_a_guest_boots")
def test_out_writes_as_wide_as_it_is(lab):
    """OUT of 1, 2 and 4 bytes: the device sees that many bytes of RAX and no more."""
    run = stepped(lab, "out")
    said = run.trace.select("checkpoint").index[0]      # "code": the steps come behind it
    io = run.trace.select("io")
    io = io.where(io.index > said)
    wide = np.flatnonzero(io["value"] >> (np.uint64(8) * io["size"]))
    expect(not len(wide), "" if not len(wide) else
           f"an OUT of {int(io['size'][wide[0]])} bytes to port {int(io['port'][wide[0]]):#x} "
           f"must not write {int(io['value'][wide[0]]):#x}")
    said = dict(run.checkpoints(1)).get("written")
    expect(said == written(io), "the values that the devices got are not those that the guest "
           "wrote, in its order")


def written(io):
    """The sum over what stepper's OUTs wrote, as the guest makes it (guests/README.md)."""
    total = 0
    for i in np.flatnonzero((io["write"] == 1) & np.isin(io["port"], (0x80, 0x590, 0x3FF))):
        total = mix(total, int(io["port"][i]), int(io["value"][i]))
    return total


def mix(a, b, c):
    """formats.md, section 5."""
    full = (1 << 64) - 1
    for word in (b, c):
        a = (a ^ word) * 0x9E3779B97F4A7C15 & full
        a ^= a >> 29
    a = a * 0xBF58476D1CE4E5B9 & full
    return a ^ a >> 32


def asked(lab):
    """What asker was answered."""
    run = lab.run("asker", time="1s")
    ended_well_but_for_checks(run, 1)
    answers = cpuid.answers(run.checkpoints(1))
    expect(len(answers) >= 20, f"asker asks for 23 leaves, but only {len(answers)} were answered")
    return run, answers


@points(3, hint="1.7", needs="test_a_guest_boots")
def test_cpuid_says_who_we_are(lab):
    """CPUID names the processor's vendor, the hypervisor, and the highest leaf of each range."""
    run, answers = asked(lab)
    wrong = cpuid.wrong_names(answers, run.extension)
    expect(not wrong, wrong)


@points(3, hint="1.7", needs="test_a_guest_boots")
def test_cpuid_hides_what_we_do_not_offer(lab):
    """CPUID shows what guests need, and neither SVM, MONITOR, the APIC nor XSAVE."""
    wrong = cpuid.wrong_features(asked(lab)[1])
    expect(not wrong, wrong)


@points(1, hint="1.7", needs="test_a_guest_boots")
def test_cpuid_clears_the_upper_halves(lab):
    """CPUID writes 32 bits of each register, and so clears the upper ones."""
    run, _ = asked(lab)
    passed(run, 1, "upper", "the upper halves of RAX, RBX, RCX and RDX must be 0 behind CPUID",
           "check upper:")


@points(2, hint="1.7", needs="test_a_guest_boots")
def test_cpuid_goes_on_behind(lab):
    """The guest goes on behind its CPUID, with the same answer each time and nothing else changed."""
    stepped(lab, "cpuid")
    cost = [value for name, value in lab.run("bench -- batches=2 rounds=16 pages=16", time="1s")
            .checkpoints(1) if name == "cpuid"]
    if cost:
        lab.measure("cpuid", cost[0])


@points(3, hint="1.8", needs="test_a_guest_boots")
def test_vmmcall_goes_on_behind(lab):
    """VMMCALL answers all ones in RAX and goes on behind the instruction, however long it is."""
    stepped(lab, "vmmcall")


@points(3, hint="1.8", needs="test_a_guest_boots")
def test_hlt_waits_for_an_interrupt(lab):
    """HLT takes the guest off the CPU until its interrupt, and goes on behind the instruction."""
    run = stepped(lab, "hlt", 60)
    lab.picture(run, "timeline")
    exits, entries = run.trace.select("exit"), run.trace.select("entry")
    expect(len(run.trace.select("sched_block")) >= 50, "a guest that halts should leave the CPU "
           f"until its interrupt; of 60 times it did so "
           f"{len(run.trace.select('sched_block'))} times: HLT does not block the vCPU (1.8), or the "
           "interrupt comes before the HLT or not at all, since STI's shadow reaches the guest (1.5)")
    for at in np.flatnonzero(np.asarray(exits.word("reason")) == "HLT")[:60]:
        behind = entries.where(entries.index > exits.index[at])
        expect(len(behind) and int(behind["inject"][0]), "behind the HLT at rip "
               f"{int(exits['rip'][at]):#x} (exit number {int(at)}) the guest was entered without "
               "the interrupt that it waits for")


@points(2, hint="1.8", needs="test_a_guest_boots")
def test_hlt_without_interrupts_ends_the_vm(lab):
    """HLT with interrupts off can never end: the VM does, as HALTED, and its neighbour goes on."""
    run = lab.run("stray -- how=hlt", "canary -- rounds=150", option="slice=1ms", time="1s")
    alive(run, 2)
    expect(count(run, "HLT"), "the guest did not come to its HLT")
    ended(run, 1, "HALTED")


# --- The ends --------------------------------------------------------------------------------------------


def alive(run, vm):
    """The neighbour lived, and its checks passed: without it "the host survived" says nothing."""
    end = run.vms[vm - 1]
    expect(end["how"] == "EXITED" and len(run.checks(vm)) > 4,
           f"the neighbour, VM {vm} ({end['name']}), should have gone on to its own end; it ended "
           f"with {end['how']}: {end['why']}")


def ended(run, vm, how):
    """The VM ended as it should, and nothing worse came of it."""
    end = run.vms[vm - 1]
    expect(end["how"] == how, f"VM {vm} ({end['name']}) should have ended with {how}; it ended "
           f"with {end['how']}: {end['why']}")


@points(3, hint="1.9", needs="test_a_guest_boots")
def test_a_triple_fault_ends_one_vm(lab):
    """A guest's triple fault ends that VM, with that name; its neighbour goes on to its end."""
    run = lab.run("crash -- how=ud", "canary -- rounds=150", option="slice=1ms", time="200ms")
    expect(count(run, "SHUTDOWN") > 0, "the guest did not come to its triple fault")
    alive(run, 2)
    ended(run, 1, "TRIPLE_FAULT")
    expect(count(run, "SHUTDOWN") == 1, "a VM that had a triple fault must not be entered again; "
           f"it shut down {count(run, 'SHUTDOWN')} times")


@points(3, hint="1.9", needs="test_a_guest_boots")
def test_an_unknown_exit_ends_one_vm(lab):
    """An exit that nobody handles ends that VM, and names the exit's code; the others go on."""
    unknown(lab, "rdtsc")


def unknown(lab, what):
    """A guest that makes an exit nobody handles, beside a canary."""
    run = lab.run(f"stray exits={what} -- how={what}", "canary -- rounds=150", option="slice=1ms",
                  time="1s")
    code = run.code(what.upper())
    expect(count(run, what.upper()), f"the guest did not come to its {what} (exit code {code:#x})")
    alive(run, 2)
    ended(run, 1, "UNSUPPORTED")
    end = run.vms[0]
    expect(end["code"] == code and f"{code:x}" in end["why"].lower(),
           f"the VM's end must carry the exit's code, {code:#x}: its code is {end['code']:#x}, the "
           f"sentence {end['why']!r}")


@points(3, hint="1.9", needs="test_a_guest_boots")
def test_a_refused_entry_is_explained(lab):
    """A control block that the processor refuses ends that VM, and the sentence says why."""
    refused(lab, "asid", {"svm": ("ASID", "must not be 0", "15."),
                          "vmx": ("VPID", "must not be 0", "26.")})


def refused(lab, name, words):
    """A guest whose control block breaks a rule, beside a canary; words: by the processor's
    extension, the field, the rule and the manual's chapter."""
    run = lab.run(f"hello break={name}", "canary -- rounds=150", option="slice=1ms", time="1s")
    expect(count(run, "REFUSED") == 1, "the entry should have been refused once; the emulator "
           f"refused {count(run, 'REFUSED')} times")
    alive(run, 2)
    ended(run, 1, "BAD_ENTRY")
    why = run.vms[0]["why"]
    for part, what in zip(words[run.extension], ("the field", "the rule", "the manual's section")):
        expect(part in why, f"the sentence must name {what} ({part}); it is {why!r}")
    failed = run.trace.select("entry_failed")
    expect(len(failed) == 1, "a refused entry must be traced, once, as entry_failed")
    value = int(failed["value"][0])
    expect(f"{value:x}" in why.lower() or str(value) in why,
           f"the sentence must name the field's value, {value:#x}; it is {why!r}")
