"""What a guest of this VMM may see of CPUID: judged from the answers that asker reported.

The rules are those of the handout of lab 1, taken from the AMD64 Manual, vol. 3, appendix
E. They do not say what the processor has, only what must be hidden, what every guest of
the kit needs, and which leaves do not exist.
"""
from __future__ import annotations

import struct
from typing import Dict, List, NamedTuple, Tuple

# leaf, register -> bit -> name
Bits = Dict[Tuple[int, str], Dict[int, str]]

HIDDEN: Bits = {
    (1, "ecx"): {3: "MONITOR", 21: "X2APIC", 26: "XSAVE", 27: "OSXSAVE", 28: "AVX"},
    (1, "edx"): {7: "MCE", 9: "APIC", 12: "MTRR", 14: "MCA"},
    (0x80000001, "ecx"): {2: "SVM"},
    (0x80000001, "edx"): {7: "MCE", 9: "APIC", 12: "MTRR", 14: "MCA", 27: "RDTSCP"}}
SHOWN: Bits = {
    (1, "ecx"): {31: "the hypervisor bit"},
    (1, "edx"): {0: "FPU", 3: "PSE", 4: "TSC", 5: "MSR", 6: "PAE", 8: "CMPXCHG8B", 15: "CMOV",
                 24: "FXSR", 25: "SSE", 26: "SSE2"},
    (0x80000001, "edx"): {11: "SYSCALL", 20: "NX", 29: "long mode"}}
VENDORS = {"svm": b"AuthenticAMD", "vmx": b"GenuineIntel"}
HYPERVISOR, NAME = 0x40000000, b"NestlingVMM."
MOST_BASIC, MOST_HYPERVISOR, MOST_EXTENDED = 1, 0x40000000, 0x80000008
EMPTY = (0x80000005, 0x80000006, 0x80000007)    # inside the range, but nothing is offered


class Answer(NamedTuple):
    """The four registers after CPUID."""

    eax: int
    ebx: int
    ecx: int
    edx: int


def answers(checkpoints: List[Tuple[str, int]]) -> Dict[int, Answer]:
    """Leaf -> answer, from asker's checkpoints: two a leaf."""
    words: Dict[int, List[int]] = {}
    for name, value in checkpoints:
        if len(name) == 8:
            words.setdefault(int(name, 16), []).extend((value & 0xFFFFFFFF, value >> 32))
    return {leaf: Answer(*found[:4]) for leaf, found in words.items() if len(found) >= 4}


def text(words: Tuple[int, ...]) -> bytes:
    """The bytes of some registers."""
    return struct.pack(f"<{len(words)}I", *words)


def wrong_names(seen: Dict[int, Answer], extension: str = "svm") -> str:
    """'' if the vendor is the processor's and the hypervisor leaf says who we are."""
    vendor, us = seen[0], seen[HYPERVISOR]
    right = VENDORS[extension]
    if text((vendor.ebx, vendor.edx, vendor.ecx)) != right:
        return f"leaf 0 must name the processor's vendor, {right.decode()}, in EBX, EDX, ECX; it " \
            f"says {text((vendor.ebx, vendor.edx, vendor.ecx))!r}"
    if text((us.ebx, us.ecx, us.edx)) != NAME:
        return f"leaf 0x40000000 must say {NAME.decode()} in EBX, ECX, EDX; it says " \
            f"{text((us.ebx, us.ecx, us.edx))!r}"
    for leaf, most in ((0, MOST_BASIC), (HYPERVISOR, MOST_HYPERVISOR),
                       (0x80000000, MOST_EXTENDED)):
        if seen[leaf].eax != most:
            return f"leaf {leaf:#x} must give {most:#x} in EAX, the highest leaf there is; it " \
                f"gives {seen[leaf].eax:#x}"
    return ""


def wrong_features(seen: Dict[int, Answer]) -> str:
    """'' if what must be hidden is hidden and what guests need is shown."""
    for table, wanted in ((HIDDEN, 0), (SHOWN, 1)):
        for (leaf, register), bits in table.items():
            value = getattr(seen[leaf], register)
            for bit, name in bits.items():
                if value >> bit & 1 != wanted:
                    return f"{name} must {'be shown' if wanted else 'not be shown'}: bit {bit} " \
                        f"of leaf {leaf:#x} {register.upper()} is {1 - wanted} (all of it: " \
                        f"{value:#x})"
    return ""


def wrong_leaves(seen: Dict[int, Answer]) -> str:
    """'' if every leaf that does not exist here answers four zeros."""
    for leaf, answer in seen.items():
        there = leaf <= MOST_BASIC or leaf == HYPERVISOR or (
            0x80000000 <= leaf <= MOST_EXTENDED and leaf not in EMPTY)
        if not there and any(answer):
            return f"leaf {leaf:#x} does not exist here and must answer zeros; it answers " \
                + ", ".join(f"{name.upper()} {value:#x}"
                            for name, value in answer._asdict().items())
    return ""
