"""Where the machine is: before the VMM, in the host, in a guest, in a panic, or ended.

GDB cannot see whether the processor is in guest mode: it is when its descriptor tables are
not the host's (a guest that loads the host's own addresses would deceive this).  What each
state means for the values shown is said here, so that every command says it alike.
Imported inside GDB only.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import gdb  # type: ignore[import-not-found]

from grader.gdb.kernel import Kernel, Vm

BEFORE, HOST, GUEST, PANIC, ENDED = "before", "host", "guest", "panic", "ended"
BOOT = ("the VMM has not started: there are no VMs yet; continue to a breakpoint, for instance "
        "break testport_checkpoint, or break run_vms")


@dataclass(frozen=True)
class State:
    """Where the machine is; `vm` is the one whose registers the processor holds."""

    where: str
    vm: Optional[Vm] = None

    def sentences(self) -> List[str]:
        """What this state means for what is shown."""
        name = f"VM {self.vm.number} ({self.vm.name})" if self.vm else "no VM"
        return {
            BEFORE: [BOOT],
            HOST: [f"the processor is in the host; it holds the registers of {name}; guests' "
                   "values are those of their last exits"],
            GUEST: [f"the processor is in guest mode, in {name}: GDB's registers are live, and "
                    "the guest's; host symbols do not apply to rip",
                    "values marked * are live, all others those of the last exit"],
            PANIC: ["the host kernel has panicked: no guest will run again; all values are those "
                    "of then"],
            ENDED: ["the machine has ended: this is its memory as it was left"],
        }[self.where]


def find(kernel: Kernel) -> State:
    """The state now."""
    if not connected():
        return State(ENDED if kernel.memory_file.is_file() and kernel.started() else BEFORE)
    if not kernel.started() or not kernel.vms():
        return State(BEFORE)
    vm = kernel.on_cpu()
    if in_guest(kernel):
        return State(GUEST, vm)
    return State(PANIC if panicked(kernel) else HOST, vm)


def connected() -> bool:
    """Whether there still is a machine to ask."""
    thread = gdb.selected_thread()
    return thread is not None and thread.is_valid()


def in_guest(kernel: Kernel) -> bool:
    """Whether the processor's descriptor tables are not the host's."""
    if not kernel.started():
        return False
    seen = descriptor_tables()
    return (seen.get("IDT"), seen.get("GDT")) != (kernel.address["idt"], kernel.address["gdt"])


def descriptor_tables() -> Dict[str, int]:
    """Bases of GDT and IDT, which only QEMU's monitor tells."""
    said = gdb.execute("monitor info registers", to_string=True)
    return {name: int(base, 16) for name, base in re.findall(r"^(GDT|IDT)= +([0-9a-f]+) ", said,
                                                             re.M)}


def panicked(kernel: Kernel) -> bool:
    """Whether panic() is on the stack; its first instruction counts."""
    frame: Any = gdb.newest_frame()
    for _ in range(16):
        if frame is None or not frame.is_valid():
            return False
        if frame.name() == "panic" or frame.pc() == kernel.address["panic"]:
            return True
        frame = frame.older()
    return False


def live(name: str) -> int:
    """A register of the processor, as it is now (some have types that Python cannot take)."""
    return int(gdb.execute(f"output/x ${name}", to_string=True), 16) & (1 << 64) - 1
