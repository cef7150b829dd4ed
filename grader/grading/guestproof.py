"""What guests really were and said: their memory at the end, read from outside.

The emulator's log names the control block of every entry; in RAM it holds the nested
root, through which the guest's memory is found without a word of the VMM, or the root of a
shadow: our guests map themselves to themselves, so that a gVA of theirs is its gPA.  There
its code must be the pristine image's, what it exited on must be such an instruction, and
the self-checks that it kept must be those that the trace tells of.  What lies where in a
VMCS is known to its processor alone: on bochs-vmx the trace is believed about the root.
Judged only where the memory cannot have been used again, and never hostile guests,
which change themselves.  AMD64 manual, volume 2, appendix B (control block).
"""
from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Tuple

import numpy as np

from grader.oracle import exitlog, guestimage
from grader.oracle.guestimage import Image
from grader.oracle.memory import OutsideMemory
from grader.oracle.mmu import fence
from grader.oracle.paging import LONG4, PAE, Mode, frame
from grader.oracle.seal import check_name, seal
from grader.oracle.vmcb import CR3, EFER, EFER_LMA, HOST_USE, N_CR3, NP_CONTROL, NP_ENABLE

if TYPE_CHECKING:
    from grader.grading.runs import Run

PAGE, PREFIXES = 4096, bytes((0x66, 0x67, 0xF2, 0xF3, 0x2E, 0x36, 0x3E, 0x26, 0x64, 0x65))
CHANGES_ITSELF = ("hostile",)
KEPT, KEPT_COUNT = "testport_kept", 64
IO_OPCODES = (*range(0x6C, 0x70), *range(0xE4, 0xE8), *range(0xEC, 0xF0))
INSTRUCTIONS: Dict[str, Tuple[str, Callable[[bytes], bool]]] = {
    "CPUID": ("CPUID", lambda code: code[:2] == b"\x0f\xa2"),
    "HLT": ("HLT", lambda code: code[:1] == b"\xf4"),
    "IO": ("port I/O", lambda code: code[:1] != b"" and code[0] in IO_OPCODES
           or code[:1] != b"" and 0x40 <= code[0] < 0x50 and code[1] in IO_OPCODES),
    "HYPERCALL": ("VMMCALL or VMCALL",
                  lambda code: code[:3] in (b"\x0f\x01\xd9", b"\x0f\x01\xc1"))}
LONGEST = 8  # bytes of an instruction that are looked at


def contradictions(run: "Run") -> List[str]:
    """Where guests' memory contradicts the trace, in words."""
    judged = _judged(run) if run.traces("exits") else _by_roots(run)
    found: List[str] = []
    for vm, block in judged.items():
        path = run.image(vm)
        if path is None or path.stem in CHANGES_ITSELF:
            continue
        image = guestimage.read(path)
        found += instructions(run, vm, block, image)
        memory = GuestMemory(run, block, image)
        found += memory.code(vm, image)
        if run.is_ours(vm) and not run.trace.dropped:
            found += kept_checks(run, vm, memory, image)
    return found


def _judged(run: "Run") -> Dict[int, int]:
    """VM -> its control block, for VMs that lived once and had one block."""
    from grader.grading.evidence import blocks
    if any(run.restarts(vm) for vm in range(1, len(run.guests) + 1)):
        return {}               # memory given back was used again
    found: Dict[int, List[int]] = {}
    for block, vms in blocks(run).items():
        for vm in vms:
            found.setdefault(vm, []).append(block)
    return {vm: mine[0] for vm, mine in found.items() if len(mine) == 1 and mine[0] and vm}


def _by_roots(run: "Run") -> Dict[int, int]:
    """The same where exits are not traced: by the nested roots that the trace tells of, and
    that the control blocks hold which the emulator saw entered.  0: none was."""
    if any(run.restarts(vm) for vm in range(1, len(run.guests) + 1)):
        return {}
    if run.extension == "vmx":
        return {}
    created = run.trace.select("vm_create")
    roots: Dict[int, int] = {}
    for block in np.unique(run.exits.vmcb).tolist():
        roots[GuestMemory(run, block).root] = block
    return {vm: roots.get(root, 0) for vm, root in zip(created.vm.tolist(),
                                                       created["root"].tolist())}


def instructions(run: "Run", vm: int, block: int, image: Image) -> List[str]:
    """What the processor left the guest on is such an instruction in the image."""
    mine = run.exits.vmcb == np.uint64(block)
    for word, (name, fits) in INSTRUCTIONS.items():
        for rip in np.unique(run.exits.rip[mine & run.left(word)]).tolist():
            there = image.at(rip, LONGEST)
            if there and not fits(there.lstrip(PREFIXES)):
                return [f"VM {vm} was left on {name} at rip {rip:#x}, where its image has "
                        f"{there[:4].hex(' ')}"]
    return []


def _traced(run: "Run", block: int) -> Tuple[int, bool]:
    """The nested root of the VM whose exits this control block made, 0 if it is not one VM's;
    and whether that VM ever ran on a shadow."""
    from grader.grading.evidence import blocks
    vms, created = blocks(run).get(block, set()), run.trace.select("vm_create")
    roots = [root for vm, root in zip(created.vm.tolist(), created["root"].tolist()) if {vm} == vms]
    shadowed = set(run.trace.select("shadow_root").vm.tolist())
    return (roots[-1], bool(vms & shadowed)) if roots else (0, False)


class GuestMemory:
    """Guest-physical memory behind the root of one control block: the nested one, or, where
    nested paging is off, that of a shadow."""

    def __init__(self, run: "Run", block: int, image: Optional[Image] = None) -> None:
        self.memory, self.image = run.memory, image
        self.root = 0           # no guest memory: block 0 is none
        self.table, self.form, self.is_shadow = 0, LONG4, False
        try:
            if run.extension == "vmx":
                self.root, self.is_shadow = _traced(run, block)
                self.table, self.form = self.root, run.nested
            elif block:
                self._look_at(block)
        except OutsideMemory:
            pass

    def _look_at(self, block: int) -> None:
        self.root = self.table = self.memory.read_u64(block + N_CR3)
        self.is_shadow = not self.memory.read_u64(block + NP_CONTROL) & NP_ENABLE
        if fence.holds(self.memory, block):
            self.root, self.is_shadow = self.memory.read_u64(block + HOST_USE), True
        if self.is_shadow:
            self.table = self.memory.read_u64(block + CR3)
            self.form = LONG4 if self.memory.read_u64(block + EFER) & EFER_LMA else PAE

    def page(self, gpa: int) -> Optional[int]:
        """The host-physical address of gPA; None if it is not mapped."""
        found = self._walk(self.form, self.table, gpa)
        if found is not None or not self.is_shadow or self.image is None:
            return found
        return self._beside(gpa)

    def _walk(self, form: Mode, root: int, gpa: int) -> Optional[int]:
        if not root:
            return None
        table = root & form.root_mask
        for level in form.levels:
            entry = self.memory.read_u64(table + 8 * level.index(gpa))
            if not entry & form.present:
                return None
            last = form.maps_page(level, entry)
            table = frame(form, level, entry, last)
            if last:
                return table + gpa % level.page
        return None

    def _beside(self, gpa: int) -> Optional[int]:
        """A shadow may have lost an entry, or be given up: the frame is as far from the code's
        as the page, and the guest began on its nested table."""
        pages = [page for start, data in (self.image.fixed if self.image else ())
                 for page in range(start, start + len(data), PAGE)]
        for form, root in ((self.form, self.table), (LONG4, self.root)):
            for page in pages:
                found = self._walk(form, root, page)
                if found is not None:
                    return found + gpa - page
        return None

    def read(self, gpa: int, length: int) -> Optional[bytes]:
        """Bytes at gPA; None where a page is not mapped."""
        parts = []
        while length:
            size = min(length, PAGE - gpa % PAGE)
            hpa = self.page(gpa)
            if hpa is None:
                return None
            parts.append(self.memory.read_bytes(hpa, size))
            gpa, length = gpa + size, length - size
        return b"".join(parts)

    def code(self, vm: int, image: Image) -> List[str]:
        """The image's fixed parts are still there; pages never touched are not mapped."""
        try:
            for start, data in image.fixed:
                for offset in range(0, len(data), PAGE):
                    piece = data[offset:offset + PAGE]
                    there = self.read(start + offset, len(piece))
                    if there is not None and there != piece:
                        return [f"at the end the code of VM {vm} at gPA {start + offset:#x} is "
                                "not that of its image"]
        except OutsideMemory as error:
            return [f"the nested table of VM {vm} leads outside: {error}"]
        return []


def kept_checks(run: "Run", vm: int, memory: GuestMemory, image: Image) -> List[str]:
    """The self-checks that the guest kept are the last ones that the trace tells of."""
    where = image.symbols.get(KEPT)
    if where is None:
        return []
    try:
        raw = memory.read(where, 8 + 32 * KEPT_COUNT)
    except OutsideMemory:
        raw = None
    checks = run.trace.select("check")
    mine = checks.where(np.asarray(checks.vm) == vm)
    if raw is None:
        return [f"VM {vm} reported {len(mine)} self-checks, but its memory was never touched"] \
            if len(mine) else []
    count = struct.unpack_from("<Q", raw)[0]
    if count not in (len(mine), len(mine) + 1):     # its time may end between keeping and telling
        return [f"VM {vm} made {count} self-checks by its own memory, the trace tells of "
                f"{len(mine)}"]
    nonce = int(run.json["nonce"], 16)
    for i in range(max(0, count - KEPT_COUNT), len(mine)):
        name, value, expected, sealed = struct.unpack_from("<4Q", raw, 8 + 32 * (i % KEPT_COUNT))
        told = (mine.text(i), int(mine["value"][i]), int(mine["expected"][i]))
        if told != (check_name(name), value, expected):
            return [f"self-check {i} of VM {vm} is {check_name(name)} {value:#x} by its own memory, "
                    f"the trace tells of {told[0]} {told[1]:#x}"]
        if bool(mine["sealed"][i]) != (sealed == seal(nonce, name, value, expected)):
            return [f"the seal of self-check {i} of VM {vm} is not as the trace tells"]
    return []
