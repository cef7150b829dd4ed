"""SVM's control block in words: fields by their manual names, intercepts spelled out.

Works on the 4096 bytes alone.  After the AMD64 manual, volume 2 (24593 rev. 3.38),
appendix B (tables B-1, B-2), 15.13.1 (EXITINTINFO), 15.20 (EVENTINJ) and 15.21; nothing
here is shared with the VMM's own header.  What it does not do: judge the values.
"""
from __future__ import annotations

from typing import Iterator, List, Tuple

SIZE = 4096
INTERCEPTS = {
    0x00c: ("INTR NMI SMI INIT VINTR CR0_SEL_WRITE IDTR_READ GDTR_READ LDTR_READ TR_READ "
            "IDTR_WRITE GDTR_WRITE LDTR_WRITE TR_WRITE RDTSC RDPMC PUSHF POPF CPUID RSM IRET INTn "
            "INVD PAUSE HLT INVLPG INVLPGA IOIO_PROT MSR_PROT TASK_SWITCH FERR_FREEZE SHUTDOWN"),
    0x010: ("VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT "
            "MWAIT_ARMED XSETBV RDPRU EFER_WRITE_TRAP"),
}
EXCEPTIONS = ("#DE #DB NMI #BP #OF #BR #UD #NM #DF #9 #TS #NP #SS #GP #PF #15 #MF #AC #MC #XF "
              "#20 #CP #22 #23 #24 #25 #26 #27 #HV #VC #SX #31").split()
EVENT_TYPES = {0: "external interrupt", 2: "NMI", 3: "exception", 4: "software interrupt"}
TLB_CONTROL = {0: "do nothing", 1: "flush the whole TLB", 3: "flush this guest's",
               7: "flush this guest's non-global"}
SEGMENTS = ("ES", "CS", "SS", "DS", "FS", "GS", "GDTR", "LDTR", "IDTR", "TR")
PLAIN = {"GDTR", "IDTR"}           # of these only base and limit mean something
CONTROL = ((0x040, "IOPM_BASE_PA"), (0x048, "MSRPM_BASE_PA"), (0x050, "TSC_OFFSET"))
REGISTERS = ((0x558, "CR0"), (0x640, "CR2"), (0x550, "CR3"), (0x548, "CR4"), (0x4d0, "EFER"),
             (0x578, "RIP"), (0x5d8, "RSP"), (0x5f8, "RAX"), (0x570, "RFLAGS"), (0x568, "DR6"),
             (0x560, "DR7"), (0x668, "G_PAT"))
CALLS = ((0x600, "STAR"), (0x608, "LSTAR"), (0x610, "CSTAR"), (0x618, "SFMASK"),
         (0x620, "KernelGsBase"), (0x628, "SYSENTER_CS"), (0x630, "SYSENTER_ESP"),
         (0x638, "SYSENTER_EIP"))
FLAGS = {
    "CR0": ((31, "PG"), (30, "CD"), (29, "NW"), (18, "AM"), (16, "WP"), (5, "NE"), (4, "ET"),
            (3, "TS"), (2, "EM"), (1, "MP"), (0, "PE")),
    "CR4": ((21, "SMAP"), (20, "SMEP"), (18, "OSXSAVE"), (17, "PCIDE"), (16, "FSGSBASE"),
            (12, "LA57"), (10, "OSXMMEXCPT"), (9, "OSFXSR"), (8, "PCE"), (7, "PGE"), (6, "MCE"),
            (5, "PAE"), (4, "PSE"), (3, "DE"), (2, "TSD"), (1, "PVI"), (0, "VME")),
    "EFER": ((14, "FFXSR"), (13, "LMSLE"), (12, "SVME"), (11, "NXE"), (10, "LMA"), (8, "LME"),
             (0, "SCE")),
    "RFLAGS": ((21, "ID"), (18, "AC"), (17, "VM"), (16, "RF"), (14, "NT"), (11, "OF"), (10, "DF"),
               (9, "IF"), (8, "TF"), (7, "SF"), (6, "ZF"), (4, "AF"), (2, "PF"), (0, "CF")),
}


def u(block: bytes, offset: int, size: int = 8) -> int:
    """The number of `size` bytes at `offset`."""
    return int.from_bytes(block[offset:offset + size], "little")


def refused(block: bytes) -> bool:
    """Whether the processor did not take this block (VMEXIT_INVALID)."""
    return u(block, 0x070, 4) == 0xffffffff


def with_exit_of(block: bytes, other: bytes) -> bytes:
    """`block` with the four words of the last exit taken from `other`."""
    return block[:0x070] + other[0x070:0x090] + block[0x090:]


def flags(register: str, value: int) -> str:
    """The names of the bits that are set, highest first."""
    return " ".join(name for bit, name in FLAGS.get(register, ()) if value >> bit & 1)


def intercepts(block: bytes) -> List[str]:
    """What makes the guest exit, a line for each of the five words that says anything."""
    lines = []
    for offset, kind in ((0x000, "CR"), (0x004, "DR")):
        for half, what in ((0, "reads"), (2, "writes")):
            word = u(block, offset + half, 2)
            lines.append((f"{kind} {what}", [f"{kind}{n}" for n in range(16) if word >> n & 1]))
    word = u(block, 0x008, 4)
    lines.append(("exceptions", [name for n, name in enumerate(EXCEPTIONS) if word >> n & 1]))
    for offset, names in INTERCEPTS.items():
        listed, word = names.split(), u(block, offset, 4)
        lines.append((f"at {offset:03x}h", [listed[n] if n < len(listed) else f"bit {n}"
                                            for n in range(32) if word >> n & 1]))
    return [f"{title}: {' '.join(names)}" for title, names in lines if names]


def event(word: int) -> str:
    """EVENTINJ or EXITINTINFO in words; bit 31 says whether the rest means anything."""
    if not word >> 31 & 1:
        return "none" + (f" (V = 0: {word:#x} is stale)" if word else "")
    kind, vector = word >> 8 & 7, word & 0xff
    named = EXCEPTIONS[vector] if kind == 3 and vector < 32 else f"vector {vector:#x}"
    error = f", error code {word >> 32:#x}" if word >> 11 & 1 else ""
    return f"{EVENT_TYPES.get(kind, f'reserved type {kind}')} {named}{error}"


def virtual_interrupt(word: int) -> str:
    """The word at 060h: V_TPR, V_IRQ and what belongs to it (15.21)."""
    asked = f"V_IRQ vector {word >> 32 & 0xff:#x} priority {word >> 16 & 0xf}" \
        if word >> 8 & 1 else "no V_IRQ"
    return ", ".join([f"V_TPR {word & 0xf:#x}", asked]
                     + ["V_IGN_TPR"] * (word >> 20 & 1) + ["V_INTR_MASKING"] * (word >> 24 & 1))


def segment(block: bytes, index: int) -> str:
    """One of the ten descriptors from 400h on, hidden part and all."""
    at = 0x400 + 16 * index
    name, base, limit = SEGMENTS[index], u(block, at + 8), u(block, at + 4, 4)
    if name in PLAIN:
        return f"{name:<5}                     base {base:#018x} limit {limit:#x}"
    selector, attrib = u(block, at, 2), u(block, at + 2, 2)
    words = [f"DPL {attrib >> 5 & 3}"] + [word for bit, word in
                                          ((7, "P"), (9, "L"), (10, "D"), (11, "G"))
                                          if attrib >> bit & 1]
    return (f"{name:<5} {selector:#06x} attrib {attrib:#05x} base {base:#018x} limit {limit:#x} "
            f"({' '.join(words)})")


def exit_lines(block: bytes) -> Iterator[str]:
    """The last exit, as the processor reported it."""
    from grader.gdb import exit_words
    code = u(block, 0x070)
    yield f"EXITCODE    {code:#x} {exit_words.code_name(code)}"
    yield f"EXITINFO1   {u(block, 0x078):#x}"
    yield f"EXITINFO2   {u(block, 0x080):#x}"
    yield f"EXITINTINFO {event(u(block, 0x088))}"


def control_lines(block: bytes) -> Iterator[str]:
    """How the guest is to run."""
    for offset, name in CONTROL:
        yield f"{name:<16} {u(block, offset):#x}"
    tlb = u(block, 0x05c, 1)
    yield f"{'ASID':<16} {u(block, 0x058, 4)}"
    yield f"{'TLB_CONTROL':<16} {tlb} ({TLB_CONTROL.get(tlb, 'reserved')})"
    yield f"{'V_INTR (060h)':<16} {virtual_interrupt(u(block, 0x060))}"
    yield f"{'INTERRUPT_SHADOW':<16} {u(block, 0x068) & 1}"
    yield f"{'NP_ENABLE':<16} {u(block, 0x090) & 1}"
    yield f"{'N_CR3':<16} {u(block, 0x0b0):#x}"
    yield f"{'EVENTINJ':<16} {event(u(block, 0x0a8))}"


def register_lines(block: bytes) -> Iterator[str]:
    """The registers of the state save area."""
    for offset, name in REGISTERS:
        value = u(block, offset)
        yield f"{name:<6} {value:#018x} {flags(name, value)}".rstrip()
    yield f"CPL    {u(block, 0x4cb, 1)} (for show: the processor takes it from SS)"


def groups(block: bytes) -> List[Tuple[str, List[str]]]:
    """The whole block: (title, lines) a group."""
    if len(block) != SIZE:
        raise ValueError(f"a control block has {SIZE} bytes, not {len(block)}")
    return [
        ("intercepts", intercepts(block)),
        ("control area", list(control_lines(block))),
        ("last exit", list(exit_lines(block))),
        ("state save area: registers", list(register_lines(block))),
        ("state save area: segments", [segment(block, i) for i in range(len(SEGMENTS))]),
        ("state save area: system calls",
         [f"{name:<12} {u(block, offset):#x}" for offset, name in CALLS]),
    ]
