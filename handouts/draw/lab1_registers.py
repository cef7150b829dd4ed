"""Lab 1's figure: one row a register, and who keeps it: hardware, you, or nobody.

The rows follow what this VMM does on SVM (AMD64 Manual vol. 2, 15.5.1 and 15.14). It is called as draw/lab1_registers.py -o OUT.svg and needs no run.
"""
from __future__ import annotations

import argparse
from typing import List, Tuple

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt  # noqa: E402

from viz.style import LIGHT  # noqa: E402

HARDWARE, LOOP, SWITCH, NOBODY = range(4)
COLUMNS = ("the processor,\nat every VMRUN\nand exit", "you,\nat every exit\n(1.5)",
           "you, when the\nvCPU changes\n(1.2)", "nobody:\nnot the guest's")
ROWS: Tuple[Tuple[str, int, str], ...] = (
    ("RIP", HARDWARE, "control block"), ("RSP", HARDWARE, "control block"),
    ("RAX", HARDWARE, "control block"), ("RFLAGS", HARDWARE, "control block"),
    ("RCX", LOOP, ""), ("RDX", LOOP, ""), ("RBX", LOOP, ""), ("RBP", LOOP, ""),
    ("RSI", LOOP, ""), ("RDI", LOOP, "the last in,\nthe first out"), ("R8", LOOP, ""),
    ("R9", LOOP, ""), ("R10", LOOP, ""), ("R11", LOOP, ""), ("R12", LOOP, ""),
    ("R13", LOOP, ""), ("R14", LOOP, ""), ("R15", LOOP, ""),
    ("CR0, CR2, CR3, CR4", HARDWARE, ""), ("EFER", HARDWARE, "SVME hidden"),
    ("CR8", HARDWARE, "V_TPR"), ("PAT", HARDWARE, "G_PAT"),
    ("CS, SS, DS, ES", HARDWARE, ""), ("GDTR, IDTR", HARDWARE, ""),
    ("DR6, DR7", HARDWARE, ""), ("TSC", HARDWARE, "an offset is added"),
    ("DR0 to DR3", SWITCH, "MOV"),
    ("x87, MXCSR, XMM", SWITCH, "FXSAVE, FXRSTOR"),
    ("FS, GS, TR, LDTR", SWITCH, "VMSAVE, VMLOAD"),
    ("KernelGSbase", SWITCH, "VMSAVE, VMLOAD"),
    ("STAR, LSTAR, CSTAR,\nSFMASK", SWITCH, "VMSAVE, VMLOAD"),
    ("SYSENTER CS,\nESP, EIP", SWITCH, "VMSAVE, VMLOAD"),
    ("XCR0, YMM", NOBODY, "hidden by CPUID"),
    ("APIC, MTRRs,\nmachine check", NOBODY, "hidden; MSRs exit"),
    ("performance\ncounters", NOBODY, "RDPMC exits"))


def panel(axes: plt.Axes, rows: List[Tuple[str, int, str]]) -> None:
    """One half of the table."""
    colours = (LIGHT.guest, LIGHT.nested, LIGHT.known, LIGHT.muted)
    for y, (name, column, note) in enumerate(rows):
        axes.axhline(y - 0.5, color=LIGHT.line, lw=0.6)
        axes.text(-0.62, y, name, ha="right", va="center", fontsize=8, family="monospace")
        axes.add_patch(plt.Rectangle((column - 0.46, y - 0.38), 0.92, 0.76,
                                     color=colours[column], lw=0))
        if note:
            axes.text(column, y, note, ha="center", va="center", fontsize=5.6, color="white")
    for x, title in enumerate(COLUMNS):
        axes.text(x, -0.8, title, ha="center", va="bottom", fontsize=7)
    axes.set(xlim=(-0.55, 3.5), ylim=(len(rows) - 0.4, -0.6))
    axes.axis("off")


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", dest="out", required=True)
    out = parser.parse_args().out
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.4, 5.4))
    panel(left, list(ROWS[:18]))
    panel(right, list(ROWS[18:]))
    figure.subplots_adjust(left=0.07, right=0.99, top=0.86, bottom=0.02, wspace=0.36)
    figure.savefig(out)


if __name__ == "__main__":
    main()
