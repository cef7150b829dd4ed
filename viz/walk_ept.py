"""Entries of extended page tables and the exits they cause, in words.

After Intel's SDM, volume 3C: tables 28-1 to 28-6 (entries), 28.2.3 (violations and
misconfigurations), table 27-7 (exit qualification). What holds for all formats is in
walk_words.py. What it does not do: read traces, or draw.
"""
from __future__ import annotations

from typing import List, Tuple

from viz.walk_data import WalkRef

R, W, X, IPAT, LARGE, A, D = 1, 1 << 1, 1 << 2, 1 << 6, 1 << 7, 1 << 8, 1 << 9
TYPES = {0: "UC", 1: "WC", 4: "WT", 5: "WP", 6: "WB"}
FAULTS = {
    "NOT_PRESENT": "the entry is not present (R = W = X = 0)",
    "READ": "a read, but the entry forbids reading (R = 0)",
    "WRITE": "a write, but the entry forbids writing (W = 0)",
    "EXECUTE": "an instruction fetch, but the entry forbids execution (X = 0)",
}
LEGEND = ("EPT entries:   R read   W write   X execute   A accessed   D dirty   PS large page   "
          "WB, UC, ...: memory type   IPAT it alone counts, not the guest's PAT")


def memory_type(entry: int) -> str:
    """Of an entry that maps a page."""
    number = entry >> 3 & 7
    return TYPES.get(number, f"type {number}")


def flags(ref: WalkRef) -> List[Tuple[str, str]]:
    """The entry's flags that mean something here: (name, "set" | "clear" | "gained")."""
    bits = [("R", R), ("W", W), ("X", X), ("A", A)]
    bits += [("D", D)] if ref.size else []
    bits += [("PS", LARGE)] if ref.level in (2, 3) else []
    shown = [(name, "gained" if ref.after & bit and not ref.before & bit else
              "set" if ref.after & bit else "clear") for name, bit in bits]
    if ref.size:
        shown.append((memory_type(ref.after), "set"))
        shown += [("IPAT", "set")] if ref.after & IPAT else []
    return shown


def fault_words(fault: str, ref: WalkRef) -> str:
    """What is wrong with the entry that `ref` read."""
    if fault != "RESERVED":
        return FAULTS.get(fault, f"reason {fault}")
    return f"the entry is misconfigured: {_misconfigured(ref.before, bool(ref.size))}"


def _misconfigured(entry: int, is_page: bool) -> str:
    if entry & (R | W) == W:
        return "it may be written but not read (R = 0, W = 1)"
    if is_page and entry >> 3 & 7 not in TYPES:
        return f"there is no memory type {entry >> 3 & 7}"
    return "it has a reserved bit set"


def exit_name(fault: str) -> str:
    """Which of the two exits it is."""
    return "EPT misconfiguration" if fault == "RESERVED" else "EPT violation"


def qualification(code: int) -> List[str]:
    """The exit qualification bit by bit, one sentence each."""
    words = [text for bit, text in ((0, "bit 0: a read"), (1, "bit 1: a write"),
                                    (2, "bit 2: an instruction fetch")) if code >> bit & 1]
    allowed = [name for name, bit in (("R", 3), ("W", 4), ("X", 5)) if code >> bit & 1]
    words.append("bits 3 to 5: all entries together allow " + (" ".join(allowed) or "nothing"))
    words += ["bit 7: the gVA is known"] if code >> 7 & 1 else []
    return words + ["bit 8: while translating the final gPA" if code >> 8 & 1 else
                    "bit 8 = 0: while finding one of the guest's own tables, which counts as "
                    "reading and writing it"]
