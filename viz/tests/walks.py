"""Walks of every kind for the tests of the walk drawing, written as formats.md says.

What it does not do: keep real tables; entries are made up, but plausible.
"""
from __future__ import annotations

from typing import Dict, List, Tuple

from viz.tests.synth import TraceWriter

GVA = 0x8049_3ABC
ENTRY = 0x27


def begin(writer: TraceWriter, mode: str, kind: str, gva: int = GVA, access: int = 0,
          groot: int = 0x1000, nroot: int = 0x70_0000, cause: str = "REQUEST",
          form: str = "NPT") -> None:
    writer.emit("walk_begin", vm=1, gva=gva, access=access, groot=groot, nroot=nroot, mode=mode,
                kind=kind, cause=cause, format=form)


def end(writer: TraceWriter, refs: int, gpa_refs: int, fault: str = "NONE", dim: str = "GUEST",
        level: int = 0, error: int = 0, gpa: int = 0x2A_ABC, hpa: int = 0x81_2ABC) -> None:
    writer.emit("walk_end", vm=1, gpa=gpa, hpa=hpa, gpa_refs=gpa_refs, refs=refs, fault=fault,
                dim=dim, level=level, error=error)


def refs(writer: TraceWriter, steps: List[Tuple[str, int, int, int]], gva: int = GVA,
         bits: int = 9, odd: Dict[int, int] = {}) -> None:
    """One reference for each (dim, level, serves, size); `odd` gives other entries by number."""
    for n, (dim, level, serves, size) in enumerate(steps, start=1):
        addr = gva if dim in ("GUEST", "SHADOW") else 0x1000 * (5 - serves) if serves else 0x2AABC
        width = bits if dim == "GUEST" else 9
        index = addr >> 12 + width * (level - 1) & (1 << width) - 1
        entry = odd.get(n, 0x10_0000 * n + ENTRY | (0x80 if size > 4096 else 0))
        writer.emit("walk_ref", vm=1, n=n, dim=dim, level=level, table=0x40_0000 + 0x1000 * n,
                    index=index, before=entry, after=entry, size=size, serves=serves, addr=addr)


def nested(serves: int, leaf: int = 1) -> List[Tuple[str, int, int, int]]:
    sizes = {1: 1 << 12, 2: 1 << 21, 3: 1 << 30}
    return [("NESTED", level, serves, sizes[leaf] if level == leaf else 0)
            for level in range(4, leaf - 1, -1)]


def two(levels: List[int], size: int = 4096, leaf: int = 1) -> List[Tuple[str, int, int, int]]:
    """A two-dimensional walk with these guest levels."""
    steps = []
    for level in levels:
        steps += nested(level, leaf) + [("GUEST", level, 0, size if level == levels[-1] else 0)]
    return steps + nested(0, leaf)


def unpaged(writer: TraceWriter) -> None:
    begin(writer, "OFF", "NESTED", gva=0x2AABC, groot=0)
    refs(writer, nested(0))
    end(writer, 4, 0)


def pae(writer: TraceWriter) -> None:
    begin(writer, "PAE", "NESTED", groot=0x1020)
    refs(writer, two([3, 2, 1]), odd={5: 0x500001})
    end(writer, 19, 15)


def legacy(writer: TraceWriter) -> None:
    begin(writer, "LEGACY32", "NESTED")
    refs(writer, two([2, 1]), bits=10)
    end(writer, 14, 10)


def legacy_4m(writer: TraceWriter) -> None:
    begin(writer, "LEGACY32", "NESTED")
    refs(writer, two([2], 4 << 20), bits=10)
    end(writer, 9, 5)


def shadow(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "SHADOW")
    refs(writer, [("SHADOW", level, 0, 4096 if level == 1 else 0) for level in (4, 3, 2, 1)])
    end(writer, 4, 0)


def beside(levels: List[int], size: int, shadow: List[int], leaf: int = 1) -> List[
        Tuple[str, int, int, int]]:
    """The guest's references, then those of the shadow."""
    sizes = {1: 1 << 12, 2: 1 << 21}
    return [("GUEST", level, 0, size if level == levels[-1] else 0) for level in levels] + [
        ("SHADOW", level, 0, sizes[leaf] if level == leaf else 0) for level in shadow]


def shadow_pair(writer: TraceWriter) -> None:
    """The guest's walk beside the shadow's."""
    begin(writer, "LONG4", "SHADOW")
    refs(writer, beside([4, 3, 2, 1], 4096, [4, 3, 2, 1]))
    end(writer, 8, 4)


def shadow_split(writer: TraceWriter) -> None:
    """The guest's page is 2M, its shadow of 4K pages."""
    begin(writer, "LONG4", "SHADOW", access=1)
    refs(writer, beside([4, 3, 2], 2 << 20, [4, 3, 2, 1]))
    end(writer, 7, 3)


def shadow_legacy(writer: TraceWriter) -> None:
    """A guest with 32-bit paging; its shadow is in PAE's format."""
    begin(writer, "LEGACY32", "SHADOW")
    refs(writer, beside([2, 1], 4096, [3, 2, 1]), bits=10)
    end(writer, 5, 2)


def shadow_hidden(writer: TraceWriter) -> None:
    """The guest allows it, the shadow has no entry yet."""
    begin(writer, "LONG4", "SHADOW", access=1, cause="FAULT")
    refs(writer, beside([4, 3, 2, 1], 4096, [4, 3, 2]), odd={7: 0})
    end(writer, 7, 4, "NOT_PRESENT", "SHADOW", 2, 2)


def shadow_reflected(writer: TraceWriter) -> None:
    """The guest's own table forbids it: the shadow is not asked."""
    begin(writer, "LONG4", "SHADOW", access=3, cause="FAULT")
    refs(writer, beside([4, 3, 2, 1], 4096, []), odd={4: 0x40_0025})
    end(writer, 4, 4, "WRITE", "GUEST", 1, 7)


def shadow_cut(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "SHADOW")
    refs(writer, beside([4, 3, 2, 1], 4096, [4, 3]))


def one(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "ONE", nroot=0)
    refs(writer, [("GUEST", level, 0, 4096 if level == 1 else 0) for level in (4, 3, 2, 1)])
    end(writer, 4, 4)


def segment(writer: TraceWriter) -> None:
    """A paged guest inside one segment: each guest reference is checked and relocated."""
    begin(writer, "LONG4", "SEGMENT", nroot=0)
    steps = []
    for level in (4, 3, 2, 1):
        steps += [("GUEST", level, 0, 4096 if level == 1 else 0)]
    refs(writer, steps)
    end(writer, 4, 4)


def segment_limit(writer: TraceWriter) -> None:
    begin(writer, "OFF", "SEGMENT", gva=0x100_0000, groot=0, nroot=0)
    end(writer, 0, 0, "LIMIT", "SEGMENT")


def write_denied(writer: TraceWriter) -> None:
    """The gL2 entry forbids writing; that is known once gL1 was read."""
    begin(writer, "LONG4", "NESTED", access=3, cause="FAULT")
    steps = two([4, 3, 2, 1])[:20]
    refs(writer, steps, odd={15: 0xF0_0025})
    end(writer, 20, 20, "WRITE", "GUEST", 2, 7)


def final_fault(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "NESTED", access=4, cause="FAULT")
    refs(writer, two([4, 3, 2, 1])[:22], odd={22: 0})
    end(writer, 22, 20, "NOT_PRESENT", "NESTED", 3, 1 << 32 | 0x14)


def non_canonical(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "NESTED", gva=0x8000_0000_0000)
    end(writer, 0, 0, "NON_CANONICAL")


def no_memory(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "NESTED")
    refs(writer, two([4, 3, 2, 1])[:5])
    end(writer, 5, 0, "NO_MEMORY", "GUEST", 3)


def cut_off(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "NESTED")
    refs(writer, two([4, 3, 2, 1])[:12])


def mixed(writer: TraceWriter) -> None:
    """Some tables lie in 2M nested pages, the data in a 4K one; a high address with NX."""
    begin(writer, "LONG4", "NESTED", gva=0xFFFF_8000_0049_3ABC, access=4)
    steps = []
    for level in (4, 3, 2, 1):
        steps += nested(level, 2 if level > 2 else 1)
        steps += [("GUEST", level, 0, 4096 if level == 1 else 0)]
    refs(writer, steps + nested(0), odd={18: 0x8000_0012_3456_7067})
    end(writer, 22, 18)


# Extended page tables: R, W, X; A and D are bits 8 and 9; pages are write-back (6).

def ept_refs(writer: TraceWriter, steps: List[Tuple[str, int, int, int]],
             odd: Dict[int, int] = {}) -> None:
    """As refs(), with entries of EPT in the nested dimension."""
    entries = {n: 0x10_0000 * n | (0x337 if size else 0x107) | (0x80 if size > 4096 else 0)
               for n, (dim, _, _, size) in enumerate(steps, start=1) if dim == "NESTED"}
    refs(writer, steps, odd={**entries, **odd})


def ept(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "NESTED", form="EPT")
    ept_refs(writer, two([4, 3, 2, 1]))
    end(writer, 24, 20)


def ept_large(writer: TraceWriter) -> None:
    """On nested 2M pages; the last of them uncacheable, whatever the guest says."""
    begin(writer, "LONG4", "NESTED", form="EPT")
    ept_refs(writer, two([4, 3, 2, 1], leaf=2), odd={19: 0x120_00C7})
    end(writer, 19, 16)


def ept_pae(writer: TraceWriter) -> None:
    """The directory pointers are in the processor: no row for gL3."""
    begin(writer, "PAE", "NESTED", groot=0x1020, form="EPT")
    ept_refs(writer, two([2, 1]))
    end(writer, 14, 10)


def ept_violation(writer: TraceWriter) -> None:
    """The last entry forbids writing."""
    begin(writer, "LONG4", "NESTED", access=1, cause="FAULT", form="EPT")
    ept_refs(writer, two([4, 3, 2, 1]), odd={24: 0x180_0135})
    end(writer, 24, 20, "WRITE", "NESTED", 1, 0x1AA)


def ept_violation_in_walk(writer: TraceWriter) -> None:
    """The guest's gL3 table is not mapped."""
    begin(writer, "LONG4", "NESTED", cause="FAULT", form="EPT")
    ept_refs(writer, two([4, 3, 2, 1])[:9], odd={9: 0})
    end(writer, 9, 0, "NOT_PRESENT", "NESTED", 1, 0x83)


def ept_misconfigured(writer: TraceWriter) -> None:
    """An entry that may be written but not read."""
    begin(writer, "LONG4", "NESTED", cause="FAULT", form="EPT")
    ept_refs(writer, two([4, 3, 2, 1])[:23], odd={23: 0x170_0002})
    end(writer, 23, 20, "RESERVED", "NESTED", 2, 0)


def ept_bad_type(writer: TraceWriter) -> None:
    begin(writer, "LONG4", "NESTED", form="EPT")
    ept_refs(writer, two([4, 3, 2, 1]), odd={24: 0x180_0017})
    end(writer, 24, 20, "RESERVED", "NESTED", 1, 0)


KINDS = (unpaged, pae, legacy, legacy_4m, shadow, shadow_pair, shadow_split, shadow_legacy,
         shadow_hidden, shadow_reflected, shadow_cut, one, segment, segment_limit, write_denied,
         final_fault, non_canonical, no_memory, cut_off, mixed, ept, ept_large, ept_pae,
         ept_violation,
         ept_violation_in_walk, ept_misconfigured, ept_bad_type)
