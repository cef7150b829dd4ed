"""What one instruction made Bochs do to memory, and whether that is the walk that was traced.

Bochs's debugger logs (trace-mem on) each access that the emulated processor makes, with its
host-physical address and its value: this is where walks are *observed*.  The references that
our walker told must be these, one by one: address, level, dimension and entry.  Bochs names
the level (but for PAE's directory pointers), and for EPT the dimension; for NPT that follows from where the entry lies, the
guest's own memory or not.  A and D bits must be set where the manual says (AMD64 vol. 2, 5.4.2;
Intel SDM vol. 3A, 4.8), and nowhere else.  What it does not do: run Bochs (bochs_walks.py).
"""
from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Sequence, Tuple

from grader.oracle.paging import A, D
from viz.walk_data import Walk, WalkRef

BEGIN, END = "Memory-Tracing enabled for CPU0", "Memory-Tracing disabled for CPU0"
LINE = re.compile(r"\[CPU0 (RD|WR)\]: (?:LIN 0x([0-9a-f]+) )?PHY 0x([0-9a-f]+) \(len=(\d+), \S+\):"
                  r" ([0-9A-Fx ]*)(?:\t; (.*))?$", re.MULTILINE)
LEVELS = {"PML4E": 4, "PDPTE": 3, "PDE": 2, "PTE": 1}
WRITE, EXECUTE = 1, 4

Range = Tuple[int, int]


@dataclass(frozen=True)
class Access:
    """One access: level is 0 if it was not to a page table."""

    write: bool
    address: int
    value: int
    level: int = 0
    ept: bool = False
    linear: Optional[int] = None

    @property
    def of_table(self) -> bool:
        return self.level > 0


@dataclass(frozen=True)
class Touch:
    """All accesses of a touch, in their order."""

    accesses: Tuple[Access, ...]

    @property
    def walk(self) -> List[Access]:
        """Those to page tables, up to the first that is not to one."""
        end = next((i for i, access in enumerate(self.accesses) if not access.of_table),
                   len(self.accesses))
        return list(self.accesses[:end])

    @property
    def data(self) -> Optional[Access]:
        """The first one that is not to a table, if any."""
        return next((access for access in self.accesses if not access.of_table), None)


def parse(log: str) -> List[Touch]:
    """The touches in all that Bochs printed."""
    pieces = [piece.partition(END)[0] for piece in log.split(BEGIN)[1:]]
    return [Touch(tuple(_with_pointers([_access(match) for match in LINE.finditer(piece)])))
            for piece in pieces]


def _with_pointers(accesses: List[Access]) -> List[Access]:
    """Bochs names no level where it reads one of PAE's directory pointers: in mid-walk."""
    return [replace(access, level=3) if not (access.level or access.write or access.linear)
            and 0 < i < len(accesses) - 1 and accesses[i - 1].level and accesses[i + 1].level
            else access for i, access in enumerate(accesses)]


def _access(match: re.Match) -> Access:
    kind, linear, address, _, words, what = match.groups()
    value = 0
    for word in words.split():
        value = value << 32 | int(word, 16)
    name = (what or "").split()
    level = LEVELS.get(name[-1], 0) if name else 0
    return Access(kind == "WR", int(address, 16), value, level, "EPT" in name,
                  int(linear, 16) if linear else None)


def compare(walk: Walk, touch: Touch, slots: Sequence[Range]) -> List[str]:
    """Every difference between the traced walk and what Bochs did, in words."""
    reads = [access for access in touch.walk if not access.write]
    found = []
    for ref, access in zip(walk.refs, reads):
        found += _compare_ref(walk, ref, access, slots)
    # What comes behind a guest's fault is how it is delivered: that begins with walks, too.
    more = len(reads) > len(walk.refs) and not (walk.faulted and walk.fault_dim == "GUEST")
    if len(reads) < len(walk.refs) or more:
        found.append(f"{len(walk.refs)} references were traced, Bochs made {len(reads)}")
    return found or _compare_rest(walk, touch)


def _compare_ref(walk: Walk, ref: WalkRef, access: Access, slots: Sequence[Range]) -> List[str]:
    where = f"reference {ref.n}"
    dim = "GUEST" if any(low <= access.address < high for low, high in slots) else "NESTED"
    address = ref.table + walk.width(ref) * ref.index
    pairs = [("address", hex(address), hex(access.address)), ("level", ref.level, access.level),
             ("dimension", ref.dim, dim), ("entry", hex(ref.before), hex(access.value))]
    found = [f"{where}: {name} {ours} was traced, Bochs has {theirs}"
             for name, ours, theirs in pairs if ours != theirs]
    if access.ept and dim == "GUEST":
        found.append(f"{where}: Bochs says EPT, but it lies in the guest's memory")
    return found


def _compare_rest(walk: Walk, touch: Touch) -> List[str]:
    """The bits that were set, and where the access itself went."""
    found = []
    set_bits = {access.address: access.value for access in touch.walk if access.write}
    wanted = {} if walk.faulted else sets(walk)
    if not walk.faulted and set_bits != wanted:
        found.append(f"Bochs set A and D as {_shown(set_bits)}, should be {_shown(wanted)}")
    data = touch.data
    if walk.faulted or walk.access & EXECUTE:
        return found
    if data is None:
        return found + ["Bochs made no access to the data"]
    if (data.linear, data.address, data.write) != (walk.gva, walk.hpa, bool(walk.access & WRITE)):
        found.append(f"the data: gVA {walk.gva:#x} at hPA {walk.hpa:#x} was traced, Bochs has "
                     f"{data.linear or 0:#x} at {data.address:#x}")
    return found


def sets(walk: Walk) -> Dict[int, int]:
    """The entries that must be written: A in all that were used, D where a write ends."""
    wanted = {}
    for ref in walk.refs:
        bits = A
        if ref.dim != "GUEST" or walk.mode == "PAE" and ref.level == 3:
            continue        # a directory pointer has no A
        if ref.size and walk.access & WRITE:
            bits |= D
        if ref.before & bits != bits:
            wanted[ref.table + walk.width(ref) * ref.index] = ref.before | bits
    return wanted


def _shown(entries: Dict[int, int]) -> str:
    return ", ".join(f"{value:#x} at {address:#x}" for address, value in sorted(entries.items())) \
        or "none"
