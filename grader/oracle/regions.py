"""Memory of all kinds: where a test puts it, and whether the machine kept to it.

A `Layout` is one VM's memory, as its VM arguments and as the guest `regions` is told. Its
nested tables are read from the RAM file: each page that they reach must be the one that its
slot puts there, and allow what the slot allows (nested.py). Where slots lie in the host's
memory the trace says; what a ROM must hold is known (handouts/formats.md, section 4), and is
looked for there. What it does not do: judge a VM that has been destroyed.
"""
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from grader.oracle import compare, exitlog, isolation
from grader.oracle.nested import EXECUTE, KB4, NAMES, WRITE, Mapping, mappings, page_problems
from grader.oracle.paging import Mode
from grader.oracle.seal import mix
from grader.oracle.vmcb import N_CR3
from viz.walk_data import Walks

RAM, ROM, NOEXEC = "mem", "rom", "noexec"
ACCESS = {RAM: WRITE | EXECUTE, ROM: EXECUTE, NOEXEC: WRITE}
BASE = 4 << 20                                  # memory from 0 on, where the guest lies
WINDOWS = 220                                   # of 1 GiB each, above the first
# What a fault says of executing, and of finding a table: mask and value of EXITINFO1 (AMD64
# manual, 15.25.6) and of the exit qualification (SDM table 27-7).
FAULT_BITS = {"svm": {"exec": (1 << 4, 1 << 4), "table": (1 << 33, 1 << 33)},
              "vmx": {"exec": (1 << 2, 1 << 2), "table": (3 << 7, 1 << 7)}}
LAST = {"exec-noexec": "KILLED", "exec-hole": "UNSUPPORTED", "table-rom": "UNSUPPORTED",
        "table-hole": "UNSUPPORTED", "stack-rom": "UNSUPPORTED"}
WORDS = {"exec-noexec": "executes memory that is not executable",
         "exec-hole": "executes where no memory is", "table-rom": "has page tables in a ROM",
         "table-hole": "has page tables where no memory is",
         "stack-rom": "has an exception delivered onto a stack in a ROM"}


@dataclass(frozen=True)
class Part:
    """A memory slot."""

    kind: str
    gpa: int
    size: int


@dataclass(frozen=True)
class Layout:
    """The memory of a VM."""

    parts: Tuple[Part, ...]

    @classmethod
    def random(cls, at: random.Random) -> "Layout":
        """Memory at 0 with a ROM right behind it, and slots of each kind far apart; at most 8."""
        sizes = [(RAM, at.randrange(2, 17)), (ROM, at.randrange(33, 49)),
                 (ROM, at.randrange(1, 5)), (NOEXEC, at.randrange(3, 17)), (NOEXEC, 1)]
        windows = at.sample(range(1, WINDOWS), len(sizes))
        parts = [Part(RAM, 0, BASE), Part(ROM, BASE, at.randrange(1, 4) * KB4)]
        parts += [Part(kind, (window << 30) + at.randrange(1, 1 << 17) * KB4, pages * KB4)
                  for (kind, pages), window in zip(sizes, windows)]
        return cls(tuple(parts))

    @property
    def arguments(self) -> str:
        """The VM arguments."""
        return " ".join(f"{kind}=" + ",".join(f"{part.size >> 10}K@{part.gpa:#x}"
                                              for part in self.parts if part.kind == kind)
                        for kind in ACCESS)

    @property
    def told(self) -> str:
        """The same as the guest is told it, in its own words."""
        names = {RAM: "ram", ROM: "rom", NOEXEC: "noexec"}
        return " ".join(f"{names[kind]}=" + ",".join(
            f"{part.gpa:x}+{part.size // KB4:x}" for part in self.parts
            if part.kind == kind and part.gpa) for kind in ACCESS)

    def part(self, gpa: int) -> Optional[Part]:
        """The slot that holds a gPA."""
        return next((part for part in self.parts if part.gpa <= gpa < part.gpa + part.size), None)


def nested_root(run: Any, vm: int) -> int:
    """The root of a VM's nested tables: of the control block that the emulator saw entered, where
    it is known what lies where in one (AMD's); else the trace is believed."""
    if run.extension == "vmx":
        created = run.trace.select("vm_create")
        roots = created["root"][np.asarray(created.vm) == vm].tolist()
        return int(roots[-1]) if roots else 0
    traced = exitlog.traced_exits(run.trace)
    n = min(len(run.exits), len(traced))
    mine = np.unique(run.exits.vmcb[:n][traced.vm[:n] == vm])
    return run.memory.read_u64(int(mine[0]) + N_CR3) if len(mine) == 1 else 0


def problems(run: Any, vm: int, layout: Layout) -> List[str]:
    """What the nested tables of a VM that is alive have wrong."""
    root = nested_root(run, vm)
    if not root:
        return [f"VM {vm} was entered with no nested tables of its own"]
    seed = mix(int(run.json["seed"], 16), vm, 0)
    return judge(run.trace, run.memory, vm, root, run.nested, layout, seed)


def judge(trace: Any, memory: Any, vm: int, root: int, form: Mode, layout: Layout,
          seed: int) -> List[str]:
    """The same, of any format."""
    slots = _slots(trace, vm)
    asked = {part.gpa: part.size for part in layout.parts}
    if {gpa: size for gpa, (size, _) in slots.items()} != asked:
        return [f"the trace tells of memory slots {slots}, asked for were {asked}"]
    found, wrong = mappings(memory, root, form)
    for gpa, page in sorted(found.items()):
        wrong += _page(gpa, page, layout, slots, form)
    wrong += _missing(found, layout) + _contents(memory, layout, slots, seed)
    return wrong + _apart(trace, memory, vm, root, form)


def _slots(trace: Any, vm: int) -> Dict[int, Tuple[int, int]]:
    """gPA -> size, hPA."""
    rows = trace.select("vm_slot")
    return {gpa: (size, hpa) for who, gpa, size, hpa in
            zip(rows.vm.tolist(), rows["gpa"].tolist(), rows["size"].tolist(),
                rows["hpa"].tolist()) if who == vm}


def _page(gpa: int, page: Mapping, layout: Layout, slots: Dict[int, Tuple[int, int]],
          form: Mode) -> List[str]:
    part = layout.part(gpa)
    if part is None:
        return [f"gPA {gpa:#x}, where no memory is, is mapped to hPA {page.hpa:#x}"]
    return page_problems(gpa, page, slots[part.gpa][1] + gpa - part.gpa, ACCESS[part.kind], form)


def _missing(found: Dict[int, Mapping], layout: Layout) -> List[str]:
    """The guest has touched every page but those of its first slot."""
    for part in layout.parts[1:]:
        absent = [gpa for gpa in range(part.gpa, part.gpa + part.size, KB4) if gpa not in found]
        if absent:
            return [f"gPA {absent[0]:#x} was touched, and is not mapped"]
    return [] if any(gpa < BASE for gpa in found) else ["nothing of the guest's memory is mapped"]


def _contents(memory: Any, layout: Layout, slots: Dict[int, Tuple[int, int]],
              seed: int) -> List[str]:
    """Where a ROM is said to lie there is a ROM, as it was when it was made."""
    for part in layout.parts:
        if part.kind != ROM:
            continue
        words = np.frombuffer(memory.read_bytes(slots[part.gpa][1], part.size), "<u8")
        for i in range(0, len(words), 61):
            word = 0x9090C300000000B8 | (mix(seed, part.gpa + 8 * i, 0) & 0xFFFFFFFF) << 8
            if int(words[i]) != word:
                return [f"the ROM holds {int(words[i]):#x} at gPA {part.gpa + 8 * i:#x}, it was made "
                        f"with {word:#x}"]
    return []


def _apart(trace: Any, memory: Any, vm: int, root: int, form: Mode) -> List[str]:
    """No table lies in memory that a living guest reaches."""
    holds = {guest.vm: guest.holds for guest in isolation.guests(trace) if guest.alive}
    return isolation.check_tables({vm: isolation.Reach(memory, root, form).tables}, holds)


def last_fault(run: Any, vm: int, layout: Layout, last: str) -> str:
    """Whether a VM was last left on the fault that it provoked; empty if so."""
    traced = exitlog.traced_exits(run.trace)
    n = min(len(run.exits), len(traced))
    mine = np.flatnonzero(np.asarray(traced.vm)[:n] == vm)
    if not len(mine):
        return f"VM {vm} was never left"
    at = int(mine[-1])
    info, gpa = int(traced["info1"][at]), int(traced["info2"][at])  # held to the log elsewhere
    what, _, kind = last.partition("-")
    part = layout.part(gpa)
    mask, bits = FAULT_BITS[run.extension].get(what, (0, 0))
    if run.left("NESTED")[at] and info & mask == bits and (part.kind if part else "hole") == kind:
        return ""
    return (f"the guest {WORDS[last]}, and that should have been its last exit; it was one with code "
            f"{int(run.exits.code[at]):#x}, gPA {gpa:#x} and {info:#x}")


def walk_problems(run: Any, least: int) -> List[str]:
    """Walks of guests that are alive, against the RAM file."""
    walks = list(Walks(run.trace))
    old = compare.stale(run.trace, walks)
    judged = [walk for walk in walks if walk.number not in old]
    if len(judged) < least:
        return [f"{len(judged)} walks can be judged, {least} at least should have been asked for"]
    roots = {vm: nested_root(run, vm) for vm in {walk.vm for walk in judged}}
    for walk in judged:
        wrong = [] if walk.nroot == roots[walk.vm] else [
            f"it says that its nested root (nroot) is {walk.nroot:#x}, it is {roots[walk.vm]:#x}"]
        wrong = wrong or compare.compare(walk, run.memory)
        if wrong:
            return [f"walk {walk.number}, of gVA {walk.gva:#x}: {wrong[0]}"]
    return []


def faults_of_second_round(run: Any, vm: int) -> int:
    """Nested faults between the second and the third checkpoint `sweep` of a guest."""
    points, faults = run.trace.select("checkpoint"), run.trace.select("nested_fault")
    sweeps = [int(points.index[i]) for i in range(len(points))
              if points.vm[i] == vm and points.text(i) == "sweep"]
    if len(sweeps) != 3:
        return -1
    return int(np.count_nonzero((faults.index > sweeps[1]) & (faults.index < sweeps[2])
                                & (faults.vm == vm)))
