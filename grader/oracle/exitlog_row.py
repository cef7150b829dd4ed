"""One exit as a log tells it: what the parsers of all emulators make.

Logs differ in how much they say; `told` says which numbers of a row are known, so that
nothing is held against what an emulator did not say.
"""
from __future__ import annotations

from typing import NamedTuple

INFO1, INFO2, RIP, TICK = 1, 2, 4, 8    # bits of told: this number is known
REFUSED = 16                            # bit of told: the guest was not entered at all
NEVER = 0xFFFF                          # code in a trace: the VMM did not enter (vmm/vmx/vmx.c)

# Reasons for an exit by their name in a trace: AMD's exit code (AMD64 Manual vol. 2, appendix
# C), Intel's exit reason (SDM vol. 3D, appendix C). What SVM's #UD, #DE and #PF are, VMX tells by
# the vector alone, which no log has; CR3 is a write to it.
CODES = {"INTR": (0x60, 1), "INTR_WINDOW": (0x64, 7), "RDTSC": (0x6E, 16), "CPUID": (0x72, 10),
         "HLT": (0x78, 12), "INVLPG": (0x79, 14), "IO": (0x7B, 30), "SHUTDOWN": (0x7F, 2),
         "HYPERCALL": (0x81, 18), "NESTED": (0x400, 48), "DE": (0x40, 0), "UD": (0x46, 0),
         "PF": (0x4E, 0), "CR3": (0x13, 28)}
MOV_TO_CR3, CR_AND_KIND = 0x03, 0x3F    # of the qualification of VMX's CR accesses: SDM table 27-3
DOUBLE_FAULT = 0x48                     # Bochs makes no SHUTDOWN exit of SVM's: vmm/doublefault.c


def code_of(word: str, platform: str) -> int:
    """The processor's number for that reason."""
    if (word, platform) == ("SHUTDOWN", "bochs-svm"):
        return DOUBLE_FAULT
    return CODES[word][platform.endswith("-vmx")]


class Row(NamedTuple):
    """One exit; 64-bit numbers."""

    code: int           # SVM: EXITCODE, 32 bits; VMX: exit reason, or the number of a VMfail
    info1: int          # SVM: EXITINFO1; VMX: the exit qualification
    info2: int          # SVM: EXITINFO2; VMX: the gPA of an EPT violation
    rip: int
    block: int          # host-physical address of VMCB or VMCS; 0: not told
    out: int            # (size << 16) + port of an OUT of a register, else 0
    tick: int
    told: int


def svm_out(code: int, info1: int) -> int:
    """The column `out` for an exit of AMD's, AMD64 Manual vol. 2, 15.10.2."""
    plain_out = code == 0x7B and not info1 & 0xF
    return (info1 >> 4 & 7) << 16 | info1 >> 16 & 0xFFFF if plain_out else 0


def vmx_out(reason: int, qualification: int) -> int:
    """The column `out` for an exit of Intel's, SDM vol. 3C, table 27-5."""
    plain_out = reason == 30 and not qualification & 0x38
    return ((qualification & 7) + 1) << 16 | qualification >> 16 & 0xFFFF if plain_out else 0
