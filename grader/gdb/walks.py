"""A walk that the debugger makes: both dimensions, or the guest's tables and their shadow, by
physical reads of the RAM file.

GDB's own reads of memory ignore nested tables.  The walk itself is the oracle's
(grader/oracle/walk.py); here it becomes a walk of viz, so that it is numbered, worded and
drawn as one from a trace.  What it does not do: set A and D, know GDB or choose the roots.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional

from grader.oracle import compare
from grader.oracle import walk as oracle
from grader.oracle.memory import Memory
from viz import walk as drawing
from viz import walk_grid, walk_steps, walk_words
from viz.style import PROVENANCE
from viz.walk_data import Walk, WalkRef

CR0_WP, CR0_PG, CR4_PAE, CR4_LA57, EFER_LMA = 1 << 16, 1 << 31, 1 << 5, 1 << 12, 1 << 10
ACCESS = {"r": 0, "w": oracle.WRITE, "x": oracle.EXECUTE, "u": oracle.USER}


class WalkRefused(Exception):
    """The walk cannot be made; the message is one sentence."""


@dataclass(frozen=True)
class Guest:
    """What a walk needs of a guest: its registers, its memory, and the root of the table on which
    it runs."""

    vm: int
    name: str
    cr0: int
    cr3: int
    cr4: int
    efer: int
    rflags: int
    nroot: int
    shadow_root: int = 0                                # 0: it runs on its nested table
    slots: compare.Places = ()                          # none: it fills its shadow itself

    @property
    def mode(self) -> str:
        """The paging mode, in the words of the trace."""
        if not self.cr0 & CR0_PG:
            return "OFF"
        if self.efer & EFER_LMA:
            return "LONG5" if self.cr4 & CR4_LA57 else "LONG4"
        return "PAE" if self.cr4 & CR4_PAE else "LEGACY32"


def access_bits(word: str) -> int:
    """r, w or x, with u for a user's access: `wu`."""
    if not word or set(word) - set(ACCESS) or len(set(word) - {"u"}) > 1:
        raise WalkRefused(f"'{word}' is no access: r, w or x, and u for user mode, as in wu")
    return sum(ACCESS[letter] for letter in set(word))


def make(memory: Memory, guest: Guest, gva: int, access: int = 0,
         ns: int = walk_words.UNKNOWN) -> Walk:
    """The walk of `gva`, with the debugger as its cause; `ns` is the time of the last record."""
    if guest.mode == "LONG5":
        raise WalkRefused("the guest has five levels of tables, which this walker does not know")
    walk = Walk(number=1, record=0, ns=ns, vm=guest.vm, gva=gva, access=access, groot=guest.cr3,
                nroot=guest.shadow_root or guest.nroot, mode=guest.mode,
                kind="SHADOW" if guest.shadow_root else "NESTED", cause="DEBUGGER",
                cr0=guest.cr0, cr4=guest.cr4, efer=guest.efer, rflags=guest.rflags)
    try:
        found = compare.expected(walk, memory, guest.slots)
    except compare.NotCovered as reason:
        raise WalkRefused(str(reason)) from None
    walk.refs = [WalkRef(n, ref.dim, ref.level, ref.table, ref.index, ref.entry, ref.entry,
                         ref.size, ref.serves, ref.addr)
                 for n, ref in enumerate(found.refs, start=1)]
    walk.complete, walk.total = True, len(found.refs)
    walk.gpa, walk.hpa, walk.gpa_refs = found.gpa or 0, found.hpa or 0, found.gpa_refs
    walk.fault, walk.fault_dim = found.fault, found.dim
    walk.fault_level, walk.error = found.level, found.error
    return walk


def own_registers(cr0: int, cr4: int, kept: Mapping[str, int]) -> Dict[str, int]:
    """On a shadow the processor's CR3 is the host's, and so are CR0.PG, CR0.WP and CR4.PAE; the
    guest's are `kept` by the backend (vmm/svm/svm_paging.c)."""
    return {"CR0": cr0 & ~(CR0_PG | CR0_WP) | kept["cr0"], "CR3": kept["cr3"],
            "CR4": cr4 & ~CR4_PAE | kept["cr4"]}


def lines(walk: Walk, data: Optional[int] = None) -> List[str]:
    """The walk in words: every reference with its number, then where it ended."""
    said = [f"VM {walk.vm}, gVA {walk.gva:#x}, {walk_words.access_words(walk.access)}, "
            f"{walk_words.MODES.get(walk.mode, walk.mode)}: gCR3 {walk.groot:#x}, "
            f"{walk_words.root_words(walk)}",
            f"{'n':>4}  {'read at hPA':<18} {'entry':<18}"]
    for ref, sentence in zip(walk.refs, walk_steps.sentences(walk)):
        where = ref.table + walk.width(ref) * ref.index
        said.append(f"{ref.n:>4}  {where:#018x} {ref.before:#018x} "
                    f"{sentence.partition(' Where that lies')[0]}")
    if walk.faulted:
        return said + walk_words.fault_story(walk)
    gpa, after = f"gPA {walk.gpa:#x} known after {walk.gpa_refs}, ", f"{walk.total}"
    if walk_grid.is_pair(walk):
        after = f"{walk.total - walk.gpa_refs} of the processor's own"
    elif walk.kind == "SHADOW":
        gpa = ""    # what the guest filled tells no gPA
    said.append(f"{gpa}hPA {walk.hpa:#x} known after {after}")
    return said + ([f"there: {data:#018x} (u64)"] if data is not None else [])


def draw(walk: Walk, guest: Guest, path: str, platform: str) -> None:
    """Draw it into `path`, in the format of its ending; WalkRefused or viz.walk.WalkError."""
    form = path.rpartition(".")[2].lower()
    if form not in drawing.FORMATS:
        raise WalkRefused(f"{path}: the ending must be one of "
                          + ", ".join("." + name for name in drawing.FORMATS))
    about = {"name": guest.name, "platform": platform,
             "provenance": f"computed: {PROVENANCE['computed']}; from the stopped machine"}
    try:
        drawing.save(walk, about, form, path)
    except OSError as error:
        raise WalkRefused(f"{path}: {error.strerror or error}") from None
