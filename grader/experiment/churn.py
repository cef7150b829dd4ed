"""Shadow or nested paging: what each costs as a guest changes its tables more often.

Two parts make a cost.  *Measured*: instructions between two checkpoints of the guest `churn`,
counted by the emulator, the VMM's for its exits among them.  *Modelled*: TLB misses on the
same accesses (vmm/mmu/tlb.c, by build/sim/tlbsim) times the references of a walk, which the
VMM's walker counts in the machine's tables, times c, the price of one: an emulator charges
nothing for a walk, so c is swept.  What the model leaves out: the guest's code, stack and
tables, the VMM's own misses, and caches of walks.
"""
from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from grader import plan
from grader.experiment import live
from grader.experiment.studies import Row
from viz.trace import Trace
from viz.walk_data import Walks

TOOL = Path("sim") / "tlbsim"
MODES = ("nested", "shadow")
MASK = (1 << 64) - 1
FIRST, PAGE = 64 << 30, 4096        # guests/churn.c


@dataclass(frozen=True)
class Size:
    """How much is run; `tlb` is sets and ways for 4K pages."""

    changes: Tuple[int, ...] = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
    pages: Tuple[int, ...] = (512, 2048)
    accesses: int = 20000
    tlb: Tuple[int, int] = (128, 8)
    prices: Tuple[int, ...] = (0, 1, 5, 20)

    @property
    def entries(self) -> int:
        return self.tlb[0] * self.tlb[1]


SIZE = Size()
SMALL = Size(changes=(0, 200), pages=(128,), accesses=2000, tlb=(8, 8))


# --- The accesses, as guests/churn.c makes them --------------------------------------------

def numbers(state: int) -> Iterator[int]:
    """The upper 32 bits of splitmix64, as guests/lib/rng.h has it."""
    while True:
        state = state + 0x9E3779B97F4A7C15 & MASK
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield (z ^ z >> 31) >> 32


def stream(size: Size, pages: int, changes: int) -> Iterator[Tuple[str, int]]:
    """("p", page) for each change, which ends in INVLPG, and ("a", page) for each access."""
    draw = numbers(1)
    for _ in range(size.accesses):
        if next(draw) * 1000 >> 32 < changes:
            yield "p", next(draw) * pages >> 32
        yield "a", next(draw) * pages >> 32


def misses(tool: Path, size: Size, pages: int, changes: int) -> int:
    """Of the accesses, after one to each page, by the model."""
    warm = [("a", page) for page in range(pages)]
    return _misses(tool, size, [*warm, *stream(size, pages, changes)]) - _misses(tool, size, warm)


def _misses(tool: Path, size: Size, calls: Sequence[Tuple[str, int]]) -> int:
    tails = {"a": " 0\n", "p": "\n"}
    lines = "".join(f"{kind} 1 {FIRST + page * PAGE:#x}{tails[kind]}" for kind, page in calls)
    done = subprocess.run([str(tool), "4k=%dx%d" % size.tlb], input=lines, text=True,
                          capture_output=True, check=False)
    if done.returncode:
        raise plan.RunError(f"{TOOL}: {done.stderr.strip()}")
    return int(dict(word.split("=") for word in done.stdout.split())["misses"])


# --- The machine's part --------------------------------------------------------------------

def runs(size: Size, mode: str) -> Dict[Tuple[int, int], live.Live]:
    """By working set and changes."""
    return {(pages, changes): _run(f"churn-{mode}-{pages}-{changes}", "trace=none", mode, pages,
                                   size.accesses, changes)
            for pages in size.pages for changes in size.changes}


def walk_run(mode: str) -> live.Live:
    """One that tells how long a walk is."""
    return _run(f"walk-{mode}", "trace=walks", mode, 16, 1, 0)


def _run(name: str, option: str, mode: str, pages: int, accesses: int, changes: int) -> live.Live:
    return live.Live(name, option, (f"churn mem=40M mmu={mode} -- pages={pages} "
                                    f"accesses={accesses} changes={changes}",), "20s")


def instructions(trace: Trace) -> int:
    """Between the checkpoints `begin` and `end`."""
    points = trace.select("checkpoint")
    at = {points.text(i): int(points.ns[i]) for i in range(len(points))}
    return at["end"] - at["begin"]


def references(trace: Trace) -> int:
    """Of one of the processor's walks: in both dimensions, or through the shadow alone."""
    walk = next(walk for walk in Walks(trace) if walk.gva == FIRST and not walk.faulted)
    shadow = [ref for ref in walk.refs if ref.dim == "SHADOW"]
    return len(shadow) if walk.kind == "SHADOW" else len(walk.refs)


def rows(size: Size, out: Path, tool: Path, say: Callable[[str], None],
         build: Path = plan.BUILD) -> List[Row]:
    """All runs, with what the model says of each; the costs are per access."""
    wanted = {(mode, *key): run for mode in MODES for key, run in runs(size, mode).items()}
    walks = {mode: walk_run(mode) for mode in MODES}
    traces = live.make([*walks.values(), *wanted.values()], out, say, build)
    missed = {(pages, changes): misses(tool, size, pages, changes)
              for pages in size.pages for changes in size.changes}
    return [row(size, key, traces[run.name], missed[key[1:]], references(traces[walks[key[0]].name]))
            for key, run in wanted.items()]


def row(size: Size, key: Tuple[str, int, int], trace: Trace, missed: int, refs: int) -> Row:
    """Of one run: mode, pages and changes, then what it cost and would cost, per access."""
    mode, pages, changes = key
    measured, miss = instructions(trace) / size.accesses, missed / size.accesses
    return {"mode": mode, "pages": pages, "changes_per_1000": changes, "accesses": size.accesses,
            "instructions": measured, "misses": miss, "references": refs,
            **{f"total_c{c}": measured + c * miss * refs for c in size.prices}}


def crossings(size: Size, table: Sequence[Row]) -> List[Row]:
    """Where shadow paging becomes the dearer one, by working set and price."""
    return [{"pages": pages, "c": c, "changes_per_1000": "" if where is None else where}
            for pages in size.pages for c in size.prices
            for where in [crossing(size, table, pages, c)]]


def crossing(size: Size, table: Sequence[Row], pages: int, c: int) -> Optional[float]:
    """The first rate from which shadow costs more, by straight lines between those measured;
    None if it never does."""
    cost = {(row["mode"], row["changes_per_1000"]): float(row[f"total_c{c}"])
            for row in table if row["pages"] == pages}
    gaps = [(rate, cost["shadow", rate] - cost["nested", rate]) for rate in size.changes]
    for (left, low), (right, high) in zip(gaps, gaps[1:]):
        if low <= 0 < high:
            return left + (right - left) * -low / (high - low)
    return float(gaps[0][0]) if gaps[0][1] > 0 else None
