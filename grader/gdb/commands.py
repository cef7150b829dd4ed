"""The commands: vms, vmcb, exits, walk, trace, guest-symbols, host-symbols, guest-break.

Each says where the machine is and what its values are worth there (state.py), and what it
cannot do now, in one sentence.  The work is done in kernel.py, control_block.py, walks.py,
records.py and symbols.py.  Imported inside GDB only; handouts/debugging.md shows them used.
"""
from __future__ import annotations

from typing import Any, Callable, List, Optional

import gdb  # type: ignore[import-not-found]

from grader.gdb import control_block, records, state, symbols, walks
from grader.gdb.kernel import Kernel, Vm
from grader.gdb.state import State
from grader.oracle.memory import OutsideMemory
from viz import trace as viz_trace
from viz.walk_words import UNKNOWN

ALL = ("all", "*")
EXITS, RECORDS = 10, 20
REFUSED = ("which the processor refused: what it was entered with (its own block may hold the "
           "host's registers now)")
OURS = """What Nestling adds to GDB.

vms                      every VM: state, generation, rip, exits, ticks, memory
vmcb [VM]                the control block, in the manual's words
exits [VM|all] [N]       the last N exits in the trace, and how many for each reason
walk VM gVA [r|w|x][u] [FILE.svg]
                         both dimensions of a page walk, or the guest's tables and their
                         shadow, read from memory; drawn into FILE
trace [VM|all] [N] [-f TEXT]
                         the last N records of the trace that contain TEXT
guest-symbols VM         show the names of that VM's guest instead of the host's
host-symbols             back to the host's
guest-break VM WHERE     stop when that VM comes to a guest-virtual address or a guest's name

break testport_checkpoint stops whenever a guest reports a checkpoint.  A breakpoint set while
host symbols are shown stops in the host only.  The run stops by itself before it ends.
`help vms` and so on say more; handouts/debugging.md shows each in use."""


class Debugger:
    """What the commands share."""

    def __init__(self, kernel: Kernel, view: symbols.View) -> None:
        self.kernel, self.view = kernel, view

    def state(self) -> State:
        """Where the machine is, as a sentence or two on the screen."""
        found = state.find(self.kernel)
        print("\n".join(found.sentences()))
        return found

    def vm(self, word: Optional[str], now: State) -> Vm:
        """The VM asked for; without a number the one whose registers the processor holds."""
        vms = self.kernel.vms()
        if not vms:
            raise gdb.GdbError("there are no VMs yet")
        if word is None:
            return now.vm or vms[0]
        for vm in vms:
            if vm.number == number(word):
                return vm
        known = ", ".join(f"{vm.number} ({vm.name})" for vm in vms)
        raise gdb.GdbError(f"there is no VM {word}; there are: {known}")

    def trace(self) -> Any:
        """The trace as it is now in the machine's memory."""
        try:
            trace = viz_trace.load(str(self.kernel.memory_file))
        except viz_trace.TraceError:
            raise gdb.GdbError("there is no trace in memory yet: the kernel lays it out as it "
                               "starts") from None
        for sentence in records.caveats(trace):
            print(sentence)
        return trace


def number(word: str) -> int:
    """A number as typed, or what GDB makes of an expression such as $rip or &ticks."""
    try:
        return int(word, 0)
    except ValueError:
        value = gdb.parse_and_eval(f"(unsigned long)({word})")
        return int(value) & (1 << 64) - 1


class Command(gdb.Command):
    """A command whose errors are one sentence."""

    def __init__(self, name: str, doc: str, work: Callable[[List[str]], None]) -> None:
        self.__doc__ = doc
        super().__init__(name, gdb.COMMAND_DATA)
        self.work = work

    def invoke(self, argument: str, from_tty: bool) -> None:
        try:
            self.work(gdb.string_to_argv(argument))
        except (OutsideMemory, walks.WalkRefused, viz_trace.TraceError, ValueError,
                gdb.error) as error:
            raise gdb.GdbError(str(error)) from None


def at_most(words: List[str], count: int, usage: str, least: int = 0) -> None:
    """Refuse a call with too many words, or too few."""
    if not least <= len(words) <= count:
        raise gdb.GdbError(f"usage: {usage}")


def whose_and_count(words: List[str], default: int) -> Any:
    """[VM|all] [N]: the number of the VM (None: all) and how many."""
    vm = None if not words or words[0] in ALL else number(words[0])
    return vm, max(1, number(words[1])) if len(words) > 1 else default


# --- The commands ------------------------------------------------------------------

def vms(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 0, "vms")
    now = debugger.state()
    for vm in debugger.kernel.vms():
        is_live = now.where == state.GUEST and now.vm is not None and vm.number == now.vm.number
        rip = f"{state.live('rip'):#x}*" if is_live else f"{int(vm.vcpu['rip']):#x}"
        print(f"VM {vm.number} {vm.name}: {vm.state}, generation {int(vm.value['generation'])}, "
              f"rip {rip}, {int(vm.vcpu['exits'])} exits")
        print(f"    ticks due/delivered/backlog/discarded: {vm.ticks}")
        slots = [f"{size >> 10}K at gPA {gpa:#x} = hPA {hpa:#x}" for gpa, size, hpa in vm.slots]
        for slot in slots or ["given back"]:
            print(f"    memory: {slot}")


def vmcb(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 1, "vmcb [VM]")
    now = debugger.state()
    vm = debugger.vm(words[0] if words else None, now)
    if not vm.backend:
        raise gdb.GdbError(f"VM {vm.number} ({vm.name}) has {vm.state}: its control block was "
                           "given back")
    block = vm.block()
    told = REFUSED if control_block.refused(block) else validity(now, vm)
    print(f"VM {vm.number} ({vm.name}), {told}")
    for title, lines in control_block.groups(block):
        print(f"{title}:")
        for line in lines:
            print(f"    {line}")
    print("general registers, from struct vcpu, as of the last exit:")
    found = list(vm.registers().items())
    for start in range(0, len(found), 4):
        print("    " + " ".join(f"{name:>6} {value:#018x}"
                                for name, value in found[start:start + 4]))


def validity(now: State, vm: Vm) -> str:
    """Which values of the block are the guest's now."""
    if now.vm is None or vm.number != now.vm.number:
        return "as of its last exit; all of it is in the block"
    if now.where == state.GUEST:
        return ("which runs: the save area is that of the last entry, the last exit the one "
                "before; the guest's registers now: info registers")
    return ("as of its last exit; FS, GS, LDTR, TR, CR2 and the system-call registers are still "
            "in the processor, the block has those of its last turn")


def exits(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 2, "exits [VM|all] [N]")
    debugger.state()
    vm, count = whose_and_count(words, EXITS)
    print("\n".join(records.exits(debugger.trace(), vm, count)))


def trace(debugger: Debugger, words: List[str]) -> None:
    containing = ""
    if "-f" in words:
        place = words.index("-f")
        containing = " ".join(words[place + 1:place + 2])
        words = words[:place] + words[place + 2:]
        if not containing:
            raise gdb.GdbError("usage: trace -f TEXT")
    at_most(words, 2, "trace [VM|all] [N] [-f TEXT]")
    debugger.state()
    vm, count = whose_and_count(words, RECORDS)
    lines = records.tail(debugger.trace(), vm, count, containing)
    print("\n".join(lines) or "no such record in the trace")


def walk(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 4, "walk VM gVA [r|w|x][u] [FILE.svg]", least=2)
    now = debugger.state()
    vm = debugger.vm(words[0], now)
    if not vm.backend:
        raise gdb.GdbError(f"VM {vm.number} ({vm.name}) has {vm.state}: its tables were given back")
    files = [word for word in words[2:] if "." in word]
    access = next((word for word in words[2:] if word not in files), "r")
    guest = paging(vm, now)
    made = walks.make(debugger.kernel.memory, guest, number(words[1]), walks.access_bits(access),
                      records.last_ns(debugger.kernel.memory_file) if files else UNKNOWN)
    data = None
    if not made.faulted and made.hpa + 8 <= debugger.kernel.memory.size:
        data = debugger.kernel.memory.read_u64(made.hpa)
    print("\n".join(walks.lines(made, data)))
    for file in files:
        walks.draw(made, guest, file, "qemu-svm")
        print(f"drawn: {file}")


def paging(vm: Vm, now: State) -> walks.Guest:
    """The registers that a walk depends on: the processor's while this guest runs."""
    block = vm.block()
    value = {name: control_block.u(block, offset) for offset, name in control_block.REGISTERS}
    if now.where == state.GUEST and now.vm is not None and now.vm.number == vm.number:
        value.update({name.upper(): state.live(name) for name in ("cr0", "cr3", "cr4", "efer")})
        value["RFLAGS"] = state.live("eflags")
    if vm.shadow_root:
        value.update(walks.own_registers(value["CR0"], value["CR4"], vm.own_registers()))
    return walks.Guest(vm.number, vm.name, value["CR0"], value["CR3"], value["CR4"],
                       value["EFER"], value["RFLAGS"], control_block.u(block, 0x0b0),
                       vm.shadow_root, () if vm.is_software else tuple(vm.slots))


def guest_symbols(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 1, "guest-symbols VM", least=1)
    vm = debugger.vm(words[0], state.find(debugger.kernel))
    file = debugger.view.symbol_file(vm)
    if file is None:
        raise gdb.GdbError(f"no file with symbols for {vm.name}: it is not one of our guests; "
                           "symbol-file FILE takes your own")
    debugger.view.show(vm, file)
    print(f"GDB now shows the names of VM {vm.number} ({vm.name}); host-symbols goes back. Our "
          "commands work as before; GDB's own reads of memory ignore nested tables: use walk")


def host_symbols(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 0, "host-symbols")
    debugger.view.show(None, debugger.kernel.image)
    print("GDB shows the host's names again")


def guest_break(debugger: Debugger, words: List[str]) -> None:
    at_most(words, 2, "guest-break VM WHERE", least=2)
    vm, where, shown = number(words[0]), words[1], debugger.view.vm
    if debugger.kernel.vms():
        debugger.vm(words[0], state.find(debugger.kernel))      # refuses one that is not there
    is_address = where[:1].isdigit()
    if not is_address and shown != vm:
        raise gdb.GdbError(f"{where} would be a name of the host: guest-symbols {vm} first, or "
                           "give an address")
    symbols.guest_break(vm, number(where if is_address else f"&{where}"))
    if shown != vm:
        print(f"(file and line are those of the names that GDB shows now, not VM {vm}'s: "
              f"guest-symbols {vm})")


DOCS = {
    "vms": (vms, """Every VM: name, state, generation, rip, exits, ticks, memory slots.
Ticks are the totals of its timer: due / delivered / backlog / discarded.
A value marked * is the processor's own, now; all others are those of the last exit."""),
    "vmcb": (vmcb, """vmcb [VM]: the control block, fields by their names in the manual.
Without a number that of the VM whose registers the processor holds."""),
    "exits": (exits, """exits [VM|all] [N]: the last N exits in the trace (10), in words,
then how many exits there were for each reason.  Needs a run that records exits."""),
    "walk": (walk, """walk VM gVA [r|w|x][u] [FILE.svg]: how the processor would translate gVA.
Both dimensions, or (mmu=shadow) the guest's tables and the shadow that stands for them, read
from the machine's memory (GDB's own reads ignore nested tables).
The access is a supervisor's read unless given, as in wu: a user's write.  gVA may be an
expression such as $rip or, after guest-symbols, &ticks.  Sets no A or D bit."""),
    "trace": (trace, """trace [VM|all] [N] [-f TEXT]: the last N records of the trace (20).
With -f only records whose line contains TEXT.  VM 0 is the host.
This replaces GDB's own trace command (tracepoints), which QEMU does not know."""),
    "guest-symbols": (guest_symbols, """guest-symbols VM: show the names of that VM's guest.
Host and guests lie at the same addresses, so GDB is shown one symbol file at a time."""),
    "host-symbols": (host_symbols, "host-symbols: show the host's names again."),
    "guest-break": (guest_break, """guest-break VM WHERE: stop when that VM gets there.
WHERE is a guest-virtual address or, after guest-symbols VM, a name.  Other VMs and the host
pass it by; but under QEMU each hit, passed by or not, costs some 0.2 us of virtual time, so
that what follows differs from a run without (and is the same each time)."""),
}


def register(debugger: Debugger) -> None:
    """Make the commands known to GDB."""
    for name, (work, doc) in DOCS.items():
        Command(name, doc, lambda words, work=work: work(debugger, words))
    Command("nestling", OURS, lambda words: print(OURS))
