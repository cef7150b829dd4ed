"""What a walk's bits and codes mean, in words: flags, access, faults, page sizes.

After the AMD64 manual, volume 2 (24593), sections 5.3-5.6, 8.4.2 (page-fault error
code) and 15.25.6 (nested page faults); EPT is walk_ept.py's. What it does not do: read
traces, or draw.
"""
from __future__ import annotations

from typing import List, Tuple

from viz import walk_ept
from viz.walk_data import FINAL, IN_WALK, NX, PS, A, D, P, U, W, Walk, WalkRef

FLAGS = (("P", P), ("W", W), ("U", U), ("A", A), ("D", D), ("PS", PS), ("NX", NX))
LETTERS = {"GUEST": "g", "NESTED": "n", "SHADOW": "s", "SEGMENT": "seg"}
MODES = {"OFF": "paging off", "LEGACY32": "32-bit paging", "PAE": "PAE paging",
         "LONG4": "4-level paging", "LONG5": "5-level paging"}
KINDS = {"NESTED": "nested tables (NPT)", "SHADOW": "shadow tables", "SEGMENT": "a segment",
         "ONE": "one dimension"}
CAUSES = {"REQUEST": "asked for by the guest", "FAULT": "made on a fault",
          "DEBUGGER": "asked for by the debugger"}
UNKNOWN = -1        # the time of a walk, if nothing tells it
FAULT_NAMES = {"NOT_PRESENT": "not present", "READ": "read denied", "WRITE": "write denied", "USER": "user denied",
               "EXECUTE": "execution denied", "RESERVED": "reserved bit set",
               "NON_CANONICAL": "not canonical", "LIMIT": "beyond the limit",
               "NO_MEMORY": "no memory there"}
FAULTS = {
    "NOT_PRESENT": "the entry is not present (P = 0)",
    "WRITE": "a write, but the entry forbids writing (W = 0)",
    "USER": "a user access, but the entry is the supervisor's (U = 0)",
    "EXECUTE": "an instruction fetch, but the entry forbids execution (NX = 1)",
    "RESERVED": "the entry has a reserved bit set",
    "NON_CANONICAL": "the address is not canonical (bits 63 to 47 differ): #GP before any "
                     "reference is made",
    "LIMIT": "the address lies beyond the segment's limit",
    "NO_MEMORY": "the table lies outside the memory that the VM was given",
}


def table_name(dim: str, level: int) -> str:
    """gL4, nL1, sL2: the field's short name of a table."""
    return f"{LETTERS.get(dim, dim.lower())}L{level}" if dim != "SEGMENT" else "segment"


def size_name(size: int) -> str:
    """4096 -> 4K."""
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)


def made_words(walk: Walk) -> str:
    """Who asked for it, and when: the debugger at a stop, of which the records before it tell."""
    who = CAUSES.get(walk.cause, walk.cause)
    if walk.ns == UNKNOWN:
        return who
    when = "after the trace's last record, " if walk.cause == "DEBUGGER" else ""
    return f"{who} {when}at {walk.ns / 1e9:.9f} s"


def mode_words(walk: Walk) -> str:
    """How the guest's paging is set."""
    return MODES.get(walk.mode, walk.mode) + (
        " (the processor holds its directory pointers)" if walk.pointers_held else "")


def kind_words(walk: Walk) -> str:
    """What kind of tables or segments stand behind the guest's."""
    if walk.kind == "NESTED" and walk.format == "EPT":
        return "extended page tables (EPT)"
    return KINDS.get(walk.kind, walk.kind)


def root_words(walk: Walk) -> str:
    """The root of the nested tables, by the name that its manual has for it; or the shadow's."""
    if walk.kind == "SHADOW":
        return f"shadow root {walk.nroot:#x}"
    return f"{'EPT root' if walk.format == 'EPT' else 'nCR3'} {walk.nroot:#x}"


def fault_words(walk: Walk) -> str:
    """What is wrong where the walk faulted."""
    at = failing(walk)
    if at >= 0 and walk.is_ept(walk.refs[at]):
        return walk_ept.fault_words(walk.fault, walk.refs[at])
    return FAULTS.get(walk.fault, f"reason {walk.fault}")


def fault_title(walk: Walk) -> Tuple[str, str]:
    """What such an end is called, and why it came, in a word or two each."""
    if not _by_ept(walk):
        return "fault", fault_name(walk.fault)
    reason = "invalid entry" if walk.fault == "RESERVED" else fault_name(walk.fault)
    return walk_ept.exit_name(walk.fault), reason


def fault_name(fault: str) -> str:
    """NOT_PRESENT -> not present."""
    return FAULT_NAMES.get(fault, fault.lower().replace("_", " "))


def access_words(access: int) -> str:
    """The access bits of walk_begin: "user write"."""
    what = "write" if access & 1 else "instruction fetch" if access & 4 else "read"
    return ("user " if access & 2 else "supervisor ") + what


def flags(walk: Walk, ref: WalkRef) -> List[Tuple[str, str]]:
    """The entry's flags that mean something here: (name, "set" | "clear" | "gained")."""
    if walk.is_ept(ref):
        return walk_ept.flags(ref)
    shown = []
    for name, bit in FLAGS:
        meaningless = (name == "NX" and walk.width(ref) == 4 or name == "D" and not ref.size
                       or name == "PS" and ref.level not in (2, 3))
        if ref.level == 3 and _is_pointer(walk, ref):
            meaningless = name != "P"
        if meaningless:
            continue
        before, after = ref.before & bit, ref.after & bit
        shown.append((name, "gained" if after and not before else "set" if after else "clear"))
    return shown


def _is_pointer(walk: Walk, ref: WalkRef) -> bool:
    """Whether a level-3 entry is one of PAE's directory pointers, which permit nothing; the
    shadow of a 32-bit guest is in PAE's format, too."""
    return (ref.dim == "GUEST" and walk.mode == "PAE" or
            ref.dim == "SHADOW" and walk.mode in ("PAE", "LEGACY32"))


def error_bits(walk: Walk) -> List[str]:
    """The error code, or EPT's exit qualification, bit by bit, one sentence each."""
    code = walk.error
    if _by_ept(walk):
        return walk_ept.qualification(code)
    words = [
        "P = 1: the entry was present, but forbade it" if code & 1 else
        "P = 0: an entry was not present",
        "W = 1: a write" if code & 2 else "W = 0: not a write",
        "U = 1: as a user" if code & 4 else "U = 0: as the supervisor",
    ]
    words += ["RSVD = 1: a reserved bit was set"] if code & 8 else []
    words += ["I = 1: an instruction fetch"] if code & 16 else []
    words += ["bit 32: while translating the final gPA"] if code & FINAL else []
    words += ["bit 33: while finding one of the guest's own tables"] if code & IN_WALK else []
    return words


def _by_ept(walk: Walk) -> bool:
    return walk.format == "EPT" and walk.fault_dim == "NESTED" and walk.fault != "NO_MEMORY"


def failing(walk: Walk) -> int:
    """Index in walk.refs of the reference that the fault is about, -1 if there is none."""
    for i in range(len(walk.refs) - 1, -1, -1):
        ref = walk.refs[i]
        if walk.faulted and (ref.dim, ref.level) == (walk.fault_dim, walk.fault_level):
            return i
    return -1


def fault_story(walk: Walk) -> List[str]:
    """The fault in sentences: whose, where, why."""
    if not walk.faulted:
        return []
    whose = {"GUEST": "Guest page fault: the guest's own #PF",
             "NESTED": "Nested page fault: an exit to the VMM, which the guest does not see",
             "SHADOW": "Shadow page fault: the guest, which fills its TLB itself, gets the #PF",
             "SEGMENT": "Segment violation: an exit to the VMM"}.get(walk.fault_dim, "Fault")
    if _by_ept(walk):
        whose = f"{walk_ept.exit_name(walk.fault)}: an exit to the VMM, which the guest does not see"
    if walk.kind == "SHADOW" and any(ref.dim == "GUEST" for ref in walk.refs):
        whose = {"GUEST": "Guest page fault: the guest's own tables forbid it, so the VMM reflects "
                          "the #PF and the guest sees it",
                 "SHADOW": "Hidden page fault: the guest's own tables allow it, so the VMM mends "
                           "the shadow and the guest never sees it"}.get(walk.fault_dim, whose)
    whose = {"NON_CANONICAL": "General protection: the guest sees #GP",
             "NO_MEMORY": "The walk leaves the memory there is"}.get(walk.fault, whose)
    at = failing(walk)
    where = ""
    if at >= 0:
        ref = walk.refs[at]
        where = f"Reference {ref.n}, {table_name(ref.dim, ref.level)}[{ref.index:#x}]"
        if ref.dim == "NESTED":
            where += (f", while finding the gL{ref.serves} table" if ref.serves
                      else ", while translating the final gPA")
        where += ": "
    elif walk.fault_level:
        where = f"{table_name(walk.fault_dim, walk.fault_level)}: "
    sentence = where + fault_words(walk) + "."
    story = [whose + ".", sentence[0].upper() + sentence[1:] if not where else sentence]
    if _by_ept(walk) and walk.fault == "RESERVED":
        story.append("It has no exit qualification: whoever makes such an entry has a bug.")
    elif walk.fault not in ("NON_CANONICAL", "NO_MEMORY", "LIMIT"):
        what = "Exit qualification" if _by_ept(walk) else "Error code"
        story.append(f"{what} {walk.error:#x}:  " + ";  ".join(error_bits(walk)) + ".")
    return story
