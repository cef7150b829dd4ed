"""GDB's commands on real machines: before the VMM, in the host, in a guest, in a panic, after.

What they print is held against what they do not read: the trace's own walks and roots,
the oracle on the RAM file as it was at that stop, the emulator's log of exits, and a run
without a debugger.
"""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from grader import plan
from grader.oracle import compare, exitlog
from grader.oracle import walk as oracle
from grader.tests.debugger import STOP_AT_CHECKPOINT, address, after, debug, references
from grader.tests.test_machine_mmu import Patched
from grader.tests.test_machine_panic import UD2, with_bug
from viz.walk_data import A, D, Walks

pytestmark = pytest.mark.machine

TICKER = "ticker -- hz=1000"
AD = A | D
STOP_AT_TICKER = ("break testport_checkpoint", "condition 1 $_on_host() && vm == 1", "continue")


def in_guest(name: str, symbol: str) -> int:
    return address(symbol, plan.BUILD / "obj" / "guests" / f"{name}.elf64")


# --- Before the VMM -------------------------------------------------------------------

def test_before_the_vmm_every_command_says_so(tmp_path):
    commands = ["vms", "vmcb", "exits", "walk 1 0", "trace", "guest-symbols 1", "help nestling"]
    session = debug(tmp_path, ["hello"], commands)
    for command in commands[:5]:
        assert "the VMM has not started: there are no VMs yet; continue to" in session.of(command)
    assert "there are no VMs yet" in session.of("guest-symbols 1")
    assert not re.search("Traceback|Error occurred|Exception", session.text)
    for command in ("vms", "vmcb", "exits", "walk VM", "trace", "guest-symbols", "guest-break"):
        assert re.search(rf"^{command}", session.of("help nestling"), re.M)


def test_once_the_vms_are_made_they_are_listed_though_none_has_run(tmp_path):
    session = debug(tmp_path, ["hello mem=4M,1M@16M", "crash"],
                    ["break run_vms", "continue", "vms", "exits"])
    said = session.of("vms")
    assert "VM 1 hello: ready, generation 0, rip 0x101" in said and "VM 2 crash: ready" in said
    assert said.count("memory: ") == 3 and "1024K at gPA 0x1000000 = hPA 0x" in said
    assert "0 exits" in session.of("exits")


# --- In the host, at a checkpoint -----------------------------------------------------

@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """At the ticker's first checkpoint, its 100th tick, with a log of exits."""
    return debug(tmp_path_factory.mktemp("gdb") / "out", [TICKER, "greedy mem=8M"],
                 [*STOP_AT_TICKER, "vms", "vmcb 1", "exits all 20",
                  "exits 1 100000", "trace 1 50", "trace 1 -f timer_program", "walk 1 0", "vmcb 7"],
                 exit_log=True, time="1s")


def test_vms_tells_what_the_trace_tells(stopped):
    said = stopped.of("vms")
    timer = stopped.trace.select("timer_delivered")
    due, delivered, backlog, lost = (int(timer[name][-1]) for name in
                                     ("due", "delivered", "backlog", "discarded"))
    assert delivered > 50
    assert f"ticks due/delivered/backlog/discarded: {due}/{delivered}/{backlog}/{lost}" in said
    exits = stopped.trace.select("exit")
    rip = int(exits["rip"][exits.vm == 1][-1])
    assert f"VM 1 ticker: running, generation 0, rip {rip:#x}, {int((exits.vm == 1).sum())} exits" \
        in said
    slots = stopped.trace.select("vm_slot")
    for i in range(len(slots)):
        assert (f"{int(slots['size'][i]) >> 10}K at gPA {int(slots['gpa'][i]):#x} = hPA "
                f"{int(slots['hpa'][i]):#x}") in said


def test_the_exits_are_the_emulators(stopped):
    log = exitlog.read(stopped.dir / "exits.log")
    listed = re.findall(r"^ +\d+\.\d+ +(\d+)  0x([0-9a-f]{16})  (\w+)", stopped.of("exits all 20"),
                        re.M)
    assert len(listed) == 20
    assert [int(rip, 16) for _, rip, _ in listed] == log.rip[-20:].tolist()
    all_of_1 = re.findall(r"^ +\d+\.\d+ +1  0x", stopped.of("exits 1 100000"), re.M)
    counted = re.search(r"^(\d+) exits of VM 1 in the trace: (.*)$", stopped.of("exits 1 100000"),
                        re.M)
    assert len(all_of_1) == int(counted[1]) < len(log)
    assert sum(int(part.split()[1]) for part in counted[2].split(", ")) == int(counted[1])
    total = re.search(r"^(\d+) exits in the trace", stopped.of("exits all 20"), re.M)
    assert int(total[1]) == len(log)


def test_the_exits_are_in_words(stopped):
    said = stopped.of("exits 1 100000")
    assert "OUT of 4 at port 0x5e0" in said and "OUT of 1 at port 0x40" in said
    nested = stopped.trace.select("nested_fault")
    for gpa in nested["gpa"][nested.vm == 1].tolist():
        assert re.search(f"NESTED +nested page fault: .* gPA {gpa:#x}, no mapping", said)
    assert "a physical interrupt came" in said


def test_the_trace_is_decoded_by_its_own_schema(stopped):
    lines = stopped.of("trace 1 50").splitlines()
    records = [line for line in lines if re.match(r" +\d+\.\d+ +1  ", line)]
    trace = stopped.trace
    mine = np.flatnonzero(trace.vm == 1)[-50:]
    assert [line.split()[2] for line in records] == \
        [trace.schema.event_name(int(trace.event[i])) for i in mine]
    assert re.search(r" exit reason=IO rip=0x[0-9a-f]+ code=0x7b info1=0x5e00040 info2=0x",
                     records[-2]), records[-3:]
    assert records[-1].endswith(" io port=0x5e0 write=yes size=4 value=0x4")
    programmed = stopped.of("trace 1 -f timer_program")
    mine_too = trace.select("timer_program")
    assert programmed.count("timer_program") == int((mine_too.vm == 1).sum()) > 0


def test_the_block_is_in_the_manuals_words(stopped):
    said = stopped.of("vmcb 1")
    for words in ("EXITCODE    0x7b VMEXIT_IOIO", "EVENTINJ         none", "NP_ENABLE        1",
                  "ASID             1", "CR writes: CR0 CR4 CR8"):
        assert words in said
    assert {"INTR", "HLT", "CPUID", "IOIO_PROT", "MSR_PROT", "SHUTDOWN"} <= \
        set(re.search(r"at 00ch: (.*)", said)[1].split())
    assert re.search(r"CR0 +0x0*80010011 PG WP ET PE", said)
    root = int(stopped.trace.select("vm_create")["root"][0])
    assert re.search(rf"N_CR3 +{root:#x}$", said, re.M)
    assert "there is no VM 7; there are: 1 (ticker), 2 (greedy)" in stopped.of("vmcb 7")


# --- Walks ------------------------------------------------------------------------------

FAULTS = ("walk 1 0x800000000000", "walk 1 0x100000 wu", "walk 1 0xfff000000", "walk 1 0 rw",
          "walk 1 0 walk.txt", "walk 1 0 /nonexist/walk.svg")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """At the ticker's first checkpoint: a walk that succeeds, drawn, and walks that do not."""
    out = tmp_path_factory.mktemp("walked")
    call = f"walk 1 {in_guest('ticker', 'ticks'):#x} w {out / 'walk.svg'}"
    return debug(out / "out", [TICKER], [*STOP_AT_CHECKPOINT, call, *FAULTS]), call


def test_a_walk_is_the_oracles_and_the_vmms_own(walked):
    """The ticker asked the VMM for a walk: roots and mode come from that record."""
    ticks = in_guest("ticker", "ticks")
    session, call = walked
    said, picture = session.of(call), session.dir.parent / "walk.svg"
    theirs = next(iter(Walks(session.trace)))
    assert theirs.gva == ticks
    right = oracle.walk(session.memory, ticks, oracle.WRITE, theirs.mode, theirs.groot,
                        theirs.nroot)
    shown = references(said)
    assert [(ref["n"], ref["at"], ref["entry"]) for ref in shown] == \
        [(ref.n, ref.address, ref.entry) for ref in right.refs]
    assert [(ref["at"], ref["entry"] | AD) for ref in shown] == \
        [(ref.table + 8 * ref.index, ref.before | AD) for ref in theirs.refs]
    assert f"gPA {right.gpa:#x} known after 20, hPA {right.hpa:#x} known after 24" in said
    assert f"there: {session.memory.read_u64(right.hpa):#018x}" in said
    assert f"drawn: {picture}" in said
    drawing = picture.read_text()
    assert "24" in drawing
    when = re.search(r"debugger after the trace&#39;s last record, at 0\.(\d{9}) s", drawing)
    assert when and int(when[1]) in session.trace.ns.tolist()


def test_a_fault_is_told_in_words(walked):
    session, calls = walked[0], FAULTS
    assert "not canonical" in session.of(calls[0]) and not references(session.of(calls[0]))
    assert "Reference 5, gL4[0x0]: a user access, but the entry is the supervisor's (U = 0)." \
        in session.of(calls[1])
    assert "Error code 0x7" in session.of(calls[1])
    assert "gL3[0x3f]: the entry is not present (P = 0)." in session.of(calls[2])
    assert len(references(session.of(calls[2]))) == 10
    assert "'rw' is no access" in session.of(calls[3])
    assert "the ending must be one of" in session.of(calls[4])
    assert "/nonexist/walk.svg: No such file or directory" in session.of(calls[5])


@pytest.mark.parametrize("guest,mode,count", [("hello32", "OFF", 4), ("walker-pae", "PAE", 19)])
def test_walks_in_the_other_paging_modes(tmp_path, guest, mode, count):
    call = "walk 1 0x100000 x"
    session = debug(tmp_path, [guest], [*STOP_AT_CHECKPOINT, call, "vmcb 1"])
    block = session.of("vmcb 1")
    cr3, nroot = (int(re.search(rf"^ +{name} +0x([0-9a-f]+)", block, re.M)[1], 16)
                  for name in ("CR3", "N_CR3"))
    right = oracle.walk(session.memory, 0x100000, oracle.EXECUTE, mode, cr3, nroot)
    shown = references(session.of(call))
    assert [(ref["at"], ref["entry"]) for ref in shown] == \
        [(ref.address, ref.entry) for ref in right.refs]
    assert len(shown) == count


def test_a_walk_of_a_guest_on_a_shadow(tmp_path):
    """churn asked the VMM for a walk just before it stops: the debugger's is the same."""
    call = "walk 1 0x1000000000"
    session = debug(tmp_path, ["churn mmu=shadow -- pages=4 accesses=4"],
                    [*STOP_AT_CHECKPOINT, call, "walk 1 0x2000000000"])
    theirs = next(iter(Walks(session.trace)))
    shown = references(session.of(call))
    assert [ref.dim for ref in theirs.refs] == ["GUEST"] * 4 + ["SHADOW"] * 4
    assert [(ref["at"], ref["entry"] | AD) for ref in shown] == \
        [(ref.table + 8 * ref.index, ref.before | AD) for ref in theirs.refs]
    said = session.of(call)
    assert f"gCR3 {theirs.groot:#x}, shadow root {theirs.nroot:#x}" in said
    assert f"gPA {theirs.gpa:#x} known after 4, hPA {theirs.hpa:#x} known after 4 of the " \
        "processor's own" in said
    assert "the VMM reflects the #PF" in session.of("walk 1 0x2000000000")


# --- In a guest -------------------------------------------------------------------------

def test_in_a_guest_the_processors_registers_count(tmp_path):
    """The walker loads a CR3 of its own, without an exit: the block still has the old one."""
    stop, call = after("walker", ",%cr3"), "walk 1 $rip x"
    session = debug(tmp_path, ["walker"], [f"guest-break 1 {stop:#x}", "continue", "vms", "vmcb",
                                           "print/x $cr3", call, "exits 1 3"])
    assert "in guest mode, in VM 1 (walker)" in session.of("vms")
    assert "host symbols do not apply to rip" in session.of("vms")
    assert f"running, generation 0, rip {stop:#x}*," in session.of("vms")
    live = int(re.search(r"= (0x[0-9a-f]+)", session.of("print/x $cr3"))[1], 16)
    stale = int(re.search(r"^ +CR3 +0x([0-9a-f]+)", session.of("vmcb"), re.M)[1], 16)
    assert live != stale and "which runs: the save area is that of the last entry" \
        in session.of("vmcb")
    nroot = int(session.trace.select("vm_create")["root"][0])
    right = oracle.walk(session.memory, stop, oracle.EXECUTE, "LONG4", live, nroot)
    assert right.fault == "NONE" and f"gCR3 {live:#x}" in session.of(call)
    assert [(ref["at"], ref["entry"]) for ref in references(session.of(call))] == \
        [(ref.address, ref.entry) for ref in right.refs]
    code = session.memory.read_bytes(right.hpa, 8)
    assert f"there: {int.from_bytes(code, 'little'):#018x}" in session.of(call)


def test_a_breakpoint_in_a_guest_stops_in_that_vm_only(tmp_path):
    """Two VMs run the same code; the first to come by is not the one that is meant."""
    session = debug(tmp_path, [TICKER, TICKER], [
        "break run_vms", "continue", "guest-symbols 2", "guest-break 2 on_tick", "continue", "vms",
        "print $rip == &on_tick", "walk 2 &ticks"])
    assert "in guest mode, in VM 2 (ticker)" in session.of("vms")
    assert " = 1" in session.of("print $rip == &on_tick")
    delivered = session.trace.select("timer_delivered")
    assert (delivered.vm == 1).sum() > 0 and (delivered.vm == 2).sum() == 1
    assert references(session.of("walk 2 &ticks"))[-1]["n"] == 24


def test_a_breakpoint_of_the_host_is_not_met_in_a_guest(tmp_path):
    """Host and guests lie at the same addresses."""
    session = debug(tmp_path, [TICKER, "hello"], [f"break *{in_guest('ticker', 'on_tick'):#x}",
                                                  "continue", "vms"], time="20ms")
    assert "in guest mode" not in session.text
    assert "the run ends here, status 2 (the time is up)" in session.text


def test_breakpoints_of_the_host_outlive_a_guests_symbols(tmp_path):
    session = debug(tmp_path, ["crash"], ["break testport_checkpoint", "break run_vms", "continue",
                                          "guest-symbols 1", "continue", "host-symbols",
                                          "info symbol $rip", "vms"])
    assert "testport_checkpoint in section .text" in session.of("info symbol $rip")
    assert "the processor is in the host" in session.of("vms")


GREEDY = ("slice=1ms", "120ms")


def test_the_first_stop_is_where_the_run_without_a_debugger_was(tmp_path, machine):
    """The trace up to there is the same, to the bit; in a guest and in the host."""
    plain = machine([TICKER, "greedy"], *GREEDY).trace
    stop = in_guest("ticker", "on_tick")
    for i, commands in enumerate((STOP_AT_CHECKPOINT, (f"guest-break 1 {stop:#x}", "continue"))):
        session = debug(tmp_path / str(i), [TICKER, "greedy"], [*commands, "vms"],
                        option=GREEDY[0], time=GREEDY[1])
        count = len(session.trace)
        assert 100 < count < len(plain)
        assert np.array_equal(session.trace.tsc, plain.tsc[:count])
        assert np.array_equal(session.trace.event, plain.event[:count])


def test_the_same_commands_stop_at_the_same_places(tmp_path):
    stop = in_guest("ticker", "on_tick")
    commands = [*STOP_AT_CHECKPOINT, f"guest-break 1 {stop:#x}", *["continue", "vms"] * 5]
    first, again = (debug(tmp_path / name, [TICKER, "greedy"], commands, option=GREEDY[0],
                          time=GREEDY[1]) for name in ("first", "again"))
    assert first.said[1:-1] == again.said[1:-1]
    assert np.array_equal(first.trace.tsc, again.trace.tsc)


# --- A panic, and the end -----------------------------------------------------------------

def test_a_panic_stops_where_it_can_be_looked_at(tmp_path):
    session = debug(tmp_path / "out", [TICKER, "hello"],
                    ["continue", "vms", "bt", "exits 1 1", "vmcb 1", "walk 1 0x100000", "continue",
                     "vms", "trace 0 1"], build=with_bug(tmp_path, "qemu-svm", UD2), time="1s")
    assert "the host kernel panics: bt says from where" in session.said[1]
    for command in ("vms", "exits 1 1", "vmcb 1", "walk 1 0x100000"):
        assert "the host kernel has panicked: no guest will run again" in session.of(command)
    assert "VM 1 ticker" in session.of("vms") and "trap_handler" in session.of("bt")
    assert len(references(session.of("walk 1 0x100000"))) == 24
    assert "status 4 (panic)" in session.of("continue", 1)
    assert "has panicked" in session.of("vms", 1)
    assert re.search(r"panic rip=.* 'exception 6 \(invalid opcode\) at rip",
                     session.of("trace 0 1"))


def test_after_the_machines_end_its_memory_is_read(tmp_path):
    session = debug(tmp_path, ["crash -- how=idt", "hello"],
                    ["continue", "vms", "continue", "vms", "vmcb 1", "walk 1 0", "exits 1 1",
                     "trace -f vm_end"])
    assert "the run ends here, status 0 (all guests have ended)" in session.said[1]
    assert "the machine has ended; our commands still read its memory" in session.of("continue", 1)
    said = session.of("vms", 1)
    assert "the machine has ended: this is its memory as it was left" in said
    assert "VM 1 crash: ended: triple fault" in said and "VM 2 hello: ended: exited" in said
    assert "memory: given back" in said
    for command in ("vmcb 1", "walk 1 0"):
        assert "VM 1 (crash) has ended: triple fault: its " in session.of(command)
    assert "SHUTDOWN     triple fault" in session.of("exits 1 1")
    assert session.of("trace -f vm_end").count(" vm_end ") == 2


def test_a_refused_entry_is_shown_as_it_was_entered_with(tmp_path):
    """The processor leaves the host's registers in the block; the guest's are in the copy."""
    session = debug(tmp_path, ["hello break=asid"], ["break vm_end", "continue", "vmcb",
                                                     "trace 1 -f entry_failed"])
    said = session.of("vmcb")
    assert "which the processor refused: what it was entered with" in said
    assert "ASID             0" in said and "EXITCODE    0xffffffff VMEXIT_INVALID" in said
    entered = int(session.trace.select("entry")["rip"][-1])
    assert f"RIP    {entered:#018x}" in said and "CR0    0x0000000000000011 ET PE" in said
    assert "ASID must not be 0" in session.of("trace 1 -f entry_failed")


def test_commands_refuse_in_a_sentence(tmp_path):
    calls = ["vms 1", "walk 1", "trace -f", "exits 1 2 3", "walk 1 nosuch", "guest-break 1 on_tick",
             "guest-break 9 0x1000", "guest-symbols x"]
    session = debug(tmp_path, ["hello"], ["break run_vms", "continue", *calls])
    for call in calls[:4]:
        assert f"usage: {call.split()[0]}" in session.of(call)
    assert 'No symbol "nosuch"' in session.of(calls[4])
    assert "would be a name of the host: guest-symbols 1 first" in session.of(calls[5])
    assert "there is no VM 9; there are: 1 (hello)" in session.of(calls[6])
    assert not re.search("Traceback|Error occurred|Exception", session.text)


def test_a_run_that_records_no_exits_says_so(tmp_path):
    session = debug(tmp_path, ["hello32"], [*STOP_AT_CHECKPOINT, "exits"], option="trace=sched")
    assert "not recorded, by the run's option trace=sched: " in session.of("exits")


def test_the_comparison_of_walks_can_fail(walked):
    """One entry of the memory changed behind GDB's back, and its walk is another."""
    session = walked[0]
    walk = next(iter(Walks(session.trace)))
    right = compare.expected(walk, session.memory)
    last = right.refs[-1]
    changed = Patched(session.memory, last.address, last.entry ^ 0x1000)
    assert compare.expected(walk, changed).hpa != right.hpa
