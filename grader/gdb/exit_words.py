"""An exit in words: the processor's code and its two information words, decoded.

After the AMD64 manual, volume 2 (24593), appendix C (codes), 15.10.2 (IOIO), 15.12
(exceptions), 15.25.6 (nested page faults).  Codes that the manual does not list are shown
as numbers.  What it does not do: read traces or control blocks.
"""
from __future__ import annotations

from typing import Dict

INVALID = 0xffffffff            # QEMU leaves the upper half 0: compare 32 bits
NAMES: Dict[int, str] = {
    **{n: f"VMEXIT_CR{n}_READ" for n in range(16)},
    **{0x10 + n: f"VMEXIT_CR{n}_WRITE" for n in range(16)},
    **{0x20 + n: f"VMEXIT_DR{n}_READ" for n in range(16)},
    **{0x30 + n: f"VMEXIT_DR{n}_WRITE" for n in range(16)},
    **{0x40 + n: f"VMEXIT_EXCP{n}" for n in range(32)},
    **{0x60 + n: "VMEXIT_" + name for n, name in enumerate(
        "INTR NMI SMI INIT VINTR CR0_SEL_WRITE IDTR_READ GDTR_READ LDTR_READ TR_READ IDTR_WRITE "
        "GDTR_WRITE LDTR_WRITE TR_WRITE RDTSC RDPMC PUSHF POPF CPUID RSM IRET SWINT INVD PAUSE "
        "HLT INVLPG INVLPGA IOIO MSR TASK_SWITCH FERR_FREEZE SHUTDOWN VMRUN VMMCALL VMLOAD VMSAVE "
        "STGI CLGI SKINIT RDTSCP ICEBP WBINVD MONITOR MWAIT MWAIT_CONDITIONAL XSETBV".split())},
    0x400: "VMEXIT_NPF",
}
REASONS: Dict[str, str] = {
    "HLT": "the guest halted", "CPUID": "CPUID", "IO": "port access", "MSR": "MSR access",
    "CR": "control register", "DR": "debug register", "EXCEPTION": "exception",
    "INTR": "a physical interrupt came", "NMI": "a physical NMI came",
    "INTR_WINDOW": "the guest can take an interrupt now", "NESTED": "nested page fault",
    "HYPERCALL": "VMMCALL", "RDTSC": "RDTSC", "INVLPG": "INVLPG",
    "SHUTDOWN": "triple fault", "PAUSE": "PAUSE", "RDPMC": "RDPMC", "WBINVD": "WBINVD",
    "MONITOR": "MONITOR or MWAIT", "VIRT_INSN": "an instruction of the virtualization extension",
    "TASK_SWITCH": "a task switch", "SOFT_INT": "INT n", "DESCRIPTOR": "descriptor table access",
    "ENTRY_FAILED": "the processor refused the control block", "XSETBV": "XSETBV",
}


def code_name(code: int) -> str:
    """The manual's name of an exit code."""
    if code & INVALID == INVALID:
        return "VMEXIT_INVALID"
    return NAMES.get(code, "(not in the manual)")


def io(info1: int) -> str:
    """EXITINFO1 of an IOIO exit (15.10.2)."""
    size = next((n for n, bit in ((1, 4), (2, 5), (4, 6)) if info1 >> bit & 1), 0)
    name = ("IN" if info1 & 1 else "OUT") + ("S" if info1 >> 2 & 1 else "")
    return ("REP " if info1 >> 3 & 1 else "") + f"{name} of {size} at port {info1 >> 16:#x}"


def nested(info1: int, info2: int) -> str:
    """EXITINFO1 and 2 of a nested page fault (15.25.6)."""
    what = "fetch" if info1 & 16 else "write" if info1 & 2 else "read"
    why = "forbidden by a mapping" if info1 & 1 else "no mapping"
    where = "the guest's own page walk" if info1 >> 33 & 1 else "the final access"
    return f"nested page fault: {what} of gPA {info2:#x}, {why}, in {where}"


def describe(reason: str, code: int, info1: int, info2: int) -> str:
    """One exit in a few words; `reason` is the word of the trace."""
    if reason == "IO":
        return io(info1)
    if reason == "NESTED":
        return nested(info1, info2)
    if reason == "MSR":
        return "WRMSR" if info1 & 1 else "RDMSR"
    if reason in ("CR", "DR"):
        *_, register, what = code_name(code).split("_")
        return f"{what.lower()} of {register}"
    if reason == "EXCEPTION":
        from grader.gdb.control_block import EXCEPTIONS
        vector = code - 0x40
        named = EXCEPTIONS[vector] if 0 <= vector < 32 else f"code {code:#x}"
        more = f", error code {info1:#x}, address {info2:#x}" if vector == 14 else ""
        return f"exception {named}{more}"
    return REASONS.get(reason, reason.lower())
