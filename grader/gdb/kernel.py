"""The host kernel's data, out of the machine's RAM, by the types that GDB knows.

RAM is a file (offset = host-physical address), and the host maps all memory at its own
address; so a pointer of the kernel is an offset.  Unlike GDB's own reads, this works in
guest mode, and after the machine has ended.  Types and addresses are looked up once, since
GDB may be shown a guest's symbols later.  Imported inside GDB only.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import gdb  # type: ignore[import-not-found]

from grader.gdb import control_block
from grader.oracle.memory import Memory, OutsideMemory

STATIC = {"on_cpu": "vmm/vmm.c", "vms": "vmm/vmm.c", "vm_count": "vmm/vmm.c",
          "idt": "kernel/trap.c"}
NAME_MAX = 64


class Kernel:
    """The kernel that a machine runs: where its data lie, and reading them."""

    def __init__(self, image: Path, memory: Path) -> None:
        gdb.execute(f"file {image}", to_string=True)
        self.image, self.memory_file = image, memory
        self._memory: Optional[Memory] = None
        self.type: Dict[str, Any] = {}
        self.address: Dict[str, int] = {}
        for name, source in STATIC.items():
            self._learn(name, f"'{source}'::{name}")
        self._learn("gdt", "gdt")
        self._learn("hv", "hv")
        for function in ("panic", "host_exit"):
            self.address[function] = int(gdb.parse_and_eval(f"(unsigned long)&{function}"))
        self.type["svm_vcpu"] = gdb.lookup_type("struct svm_vcpu")
        self.type["vm"] = gdb.lookup_type("struct vm")

    def _learn(self, name: str, expression: str) -> None:
        pointer = gdb.parse_and_eval(f"&{expression}")
        self.address[name] = int(pointer.cast(gdb.lookup_type("unsigned long")))
        self.type[name] = pointer.type.target()

    @property
    def memory(self) -> Memory:
        """The machine's RAM; the emulator makes the file before GDB can attach."""
        if self._memory is None:
            self._memory = Memory(self.memory_file)
        return self._memory

    def read(self, address: int, kind: Any) -> Any:
        """A value of that type at a host-physical address; OutsideMemory."""
        return gdb.Value(self.memory.read_bytes(address, kind.sizeof), kind)

    def variable(self, name: str) -> Any:
        """One of the variables looked up above, as it is now."""
        return self.read(self.address[name], self.type[name])

    def text(self, address: int) -> str:
        """The string at an address, up to its end."""
        try:
            raw = self.memory.read_bytes(address, NAME_MAX)
        except OutsideMemory:
            return "?"
        return raw.split(b"\0", 1)[0].decode("ascii", "replace")

    # --- What the VMM knows --------------------------------------------------------

    def started(self) -> bool:
        """Whether the VMM has chosen its backend: before, there can be no VM."""
        return int(self.variable("hv")) != 0

    def vms(self) -> List["Vm"]:
        """The VMs that there are or were, in the order of their numbers."""
        if not self.started():
            return []
        size = self.type["vm"].sizeof
        limit = self.type["vms"].sizeof // size
        all_vms = [Vm(self, self.address["vms"] + i * size) for i in range(limit)]
        return [vm for vm in all_vms if vm.number]

    def on_cpu(self) -> Optional["Vm"]:
        """The VM whose registers the processor holds; None: none yet, or it has ended."""
        pointer = int(self.variable("on_cpu"))
        for vm in self.vms():
            if vm.vcpu_address == pointer:
                return vm
        return None


class Vm:
    """One VM as the VMM keeps it; read once, when made."""

    def __init__(self, kernel: Kernel, address: int) -> None:
        self.kernel = kernel
        self.value = kernel.read(address, kernel.type["vm"])
        self.number = int(self.value["id"])
        offset = next(f.bitpos // 8 for f in kernel.type["vm"].fields() if f.name == "vcpu")
        self.vcpu_address = address + offset
        self.vcpu = self.value["vcpu"]

    @property
    def name(self) -> str:
        return self.kernel.text(int(self.value["name"]))

    @property
    def alive(self) -> bool:
        return bool(self.value["alive"])

    @property
    def state(self) -> str:
        """ready, running, blocked, or how it ended."""
        if not self.alive:
            return "ended: " + _word(self.value["how"])
        return _word(self.vcpu["state"])

    @property
    def slots(self) -> List[Tuple[int, int, int]]:
        """Its memory: gPA, size and hPA of each slot."""
        memory = self.value["mem"]
        slots = [memory["slot"][i] for i in range(int(memory["slots"]))]
        return [(int(slot["gpa"]["v"]), int(slot["size"]), int(slot["hpa"]["v"]))
                for slot in slots]

    @property
    def shadow_root(self) -> int:
        """The shadow table that it runs on; 0: it runs on its nested table."""
        return int(self.vcpu["ctl"]["shadow_root"]["v"])

    @property
    def is_software(self) -> bool:
        """Whether it fills its shadow itself (mmu=vtlb)."""
        return bool(self.value["shadow"]["software"])

    def own_registers(self) -> Dict[str, int]:
        """On a shadow CR3 and some bits of CR0 and CR4 are the host's: here are the guest's."""
        state = self.kernel.read(self.backend, self.kernel.type["svm_vcpu"])
        return {name: int(state[name]) for name in ("cr0", "cr3", "cr4")}

    @property
    def ticks(self) -> str:
        """Its timer's totals: due / delivered / backlog / discarded."""
        timer = self.value["timer"]
        return "/".join(str(int(timer[name]))
                        for name in ("due", "delivered", "backlog", "discarded"))

    @property
    def backend(self) -> int:
        """Where the backend's own state lies; 0 once the VM was destroyed."""
        return int(self.vcpu["backend"])

    def block(self) -> bytes:
        """The 4096 bytes of its control block.

        A refused entry may leave the host's registers in it: then those of the VMM's copy
        of what it entered with, but for the exit.
        """
        kind = self.kernel.type["svm_vcpu"]
        state = self.kernel.read(self.backend, kind)
        raw = self.kernel.memory.read_bytes(int(state["vmcb"]), control_block.SIZE)
        if not control_block.refused(raw):
            return raw
        offset = next(f.bitpos // 8 for f in kind.fields() if f.name == "copy")
        copy = self.kernel.memory.read_bytes(self.backend + offset, control_block.SIZE)
        return control_block.with_exit_of(copy, raw)

    def registers(self) -> Dict[str, int]:
        """The general registers as of the last exit."""
        names = "RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15".split()
        found = {name: int(self.vcpu["gpr"][i]) for i, name in enumerate(names)}
        return {**found, "RIP": int(self.vcpu["rip"]), "RFLAGS": int(self.vcpu["rflags"])}


def _word(value: Any) -> str:
    """VCPU_READY -> ready."""
    return str(value).split("_", 1)[-1].lower().replace("_", " ")
