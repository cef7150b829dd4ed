"""make bench: what is promised about cost, measured and held to its budget.

Instruction counts come from the guests' own checkpoints under icount: they are
exact, so two runs must agree to the last one.  Where the budget does not say "trace
on", none of the trace's groups is recorded (as with the anchors, which trace
nothing); what the same costs with all of them stands beside it.  Host times depend on the machine
and on what else it does: the best of three counts.  Leaves a list of
{name, value, unit, budget, anchor} and fails, naming the rows, when a budget is
broken.  It judges nothing else: what the runs do is for other tests.
"""
from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from grader import bench_host, plan, run
from viz import trace as viz_trace

OK, BROKEN = 0, 1
FLOOR_SOURCE = "given: the least for such an exit, by a small hand-written kernel, same emulator"
KVM_SOURCE = "given: KVM of Linux 6.1 as measured under the same emulator"
# Enough for 16 x 64 yields of bench and its slices; bench must end first (see _checkpoints).
GUESTS = ("bench", "yielder -- rounds=1200")
TRACED = "bench=record trace=all"
UNTRACED = "bench=record trace=none"  # none of the groups, but what bench reports
NOTE = "bench: ticks for 1000 trace records"


@dataclass(frozen=True)
class Row:
    """A promise: where its value comes from, and what it may be at most."""

    name: str
    source: str  # a key of what was measured
    unit: str
    budget: float
    floor: Optional[int] = None
    kvm: Optional[int] = None
    traced: bool = False  # the budget is for a run with the whole trace on

    def anchor(self) -> Dict[str, Any]:
        """What the value may be compared with: given numbers, not measured here."""
        found: Dict[str, Any] = {}
        if self.floor is not None:
            found["floor"] = {"value": self.floor, "source": FLOOR_SOURCE}
        if self.kvm is not None:
            found["kvm"] = {"value": self.kvm, "source": KVM_SOURCE}
        return found


@dataclass(frozen=True)
class Result:
    """A row and what was measured."""

    row: Row
    value: float
    with_trace: Optional[float] = None  # if the budget is for a run without

    @property
    def kept(self) -> bool:
        return self.value <= self.row.budget

    def as_json(self) -> Dict[str, Any]:
        anchor = self.row.anchor()
        if self.with_trace is not None:
            anchor["traced"] = {"value": self.with_trace,
                                "source": "measured here, with the whole trace on"}
        return {"name": self.row.name, "value": self.value, "unit": self.row.unit,
                "budget": self.row.budget, "anchor": anchor}


EXACT = (
    Row("exit round trip, CPUID handled in the VMM, trace on", "cpuid", "instructions", 200,
        86, 2993, traced=True),
    Row("OUT handled in the VMM", "out", "instructions", 250, 70, 1380),
    Row("one trace record", "record", "instructions", 20, traced=True),
    Row("nested fault, map one 4K page", "npf", "instructions", 450, 86, 2795),
    Row("A to B to A between two VMs through the scheduler", "yield", "instructions", 1500,
        kvm=9645),
)
# The other schedulers do more at a decision than round robin, for the same budget: heaps of
# virtual times, of deadlines and of scores. SEDF's VMs take turns in extra time, since
# yielding does not give one's slice to another.
SCHEDULERS = (
    ("bvt", "", 1500), ("sedf", "slice=5us period=10s", 1500), ("credit", "", 1500))
# What shadow paging costs: counted by another guest, alone on its machine.
MMU_GUESTS = ("benchmmu mmu=shadow",)
SHADOW = (
    Row("shadow: guest #PF reflected", "fault", "instructions", 400, kvm=1977),
    Row("shadow: trapped PTE write", "upper", "instructions", 800, kvm=4761),
    Row("shadow: 64 PTEs mapped, used, unmapped, CR3 reloaded", "map64", "instructions", 40000,
        kvm=152411),
    Row("shadow: hidden fault, a page used for the first time", "hidden", "instructions", 500),
    Row("shadow: MOV CR3", "cr3", "instructions", 700, kvm=3451),
)
VMX = "bochs-vmx"
VMX_MOST = 1.5  # times what the first row counts on qemu-svm
VMX_ROW = Row(f"the first row, CPUID, on {VMX}", "cpuid", "instructions", 0, traced=True)
HOST = (
    Row("make from clean, 2 jobs", "clean", "s", 15),
    Row("make after a change of one file", "incremental", "s", 2),
    Row("make run to the first guest exit", "first_exit", "s", 0.5),
    Row(f"hello on {VMX}, from the command to its result", "hello_vmx", "s", 1),
    Row("1,000,000 events drawn, time", "draw_s", "s", 5),
    Row("1,000,000 events drawn, memory", "draw_mb", "MB", 300),
)


def bench(out: Path, build: Path, host: bool = True) -> int:
    """Measure, write `out`, say how it went; the exit code."""
    with tempfile.TemporaryDirectory(prefix="nestling-bench-") as folder:
        results = exact(Path(folder), build)
        results.insert(1, second_vendor(Path(folder), build, results[0].value))
        results += schedulers(Path(folder), build)
        results += shadow(Path(folder), build)
        if host:
            times = bench_host.measure(Path(folder), say)
            results += [Result(row, times[row.source]) for row in HOST if row.source in times]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([each.as_json() for each in results], indent=1) + "\n")
    print("\n".join(table(results)))
    print(f"written to {plan.short(out)}")
    broken = [each.row.name for each in results if not each.kept]
    if broken:
        print(f"grader: over budget: {'; '.join(broken)}", file=sys.stderr)
    return BROKEN if broken else OK


# --- Instruction counts ---------------------------------------------------------------

def exact(folder: Path, build: Path) -> List[Result]:
    """The exact rows; RunError if two runs of the same are not the same."""
    found = []
    for name, option in (("with", TRACED), ("without", UNTRACED)):
        runs = []
        for number in (1, 2):
            say(f"instruction counts {name} trace, run {number} of 2")
            request = plan.Request(GUESTS, folder / f"{name}{number}", option=option, build=build)
            runs.append(counts(request))
        found.append(same(runs))
    return judge(*found)


def second_vendor(folder: Path, build: Path, cpuid: float) -> Result:
    """VMX beside SVM: the same exit, by the same guests, on the other emulator."""
    say(f"instruction counts on {VMX}")
    request = plan.Request(GUESTS, folder / VMX, platform=VMX, option=TRACED, build=build)
    value = counts(request)[VMX_ROW.source]
    return Result(replace(VMX_ROW, budget=VMX_MOST * cpuid), value)


def schedulers(folder: Path, build: Path) -> List[Result]:
    """A to B to A through each of the other schedulers."""
    results = []
    for name, words, budget in SCHEDULERS:
        say(f"instruction counts with sched={name}")
        guests = [" ".join((guest.strip(), words, separator, rest)).strip() for guest, separator, rest in
                  (each.partition("--") for each in GUESTS)]
        request = plan.Request(guests, folder / name, option=f"{UNTRACED} sched={name}",
                               build=build)
        row = Row(f"A to B to A through {name}", "yield", "instructions", budget)
        results.append(Result(row, counts(request)[row.source]))
    return results


def shadow(folder: Path, build: Path) -> List[Result]:
    """What a guest's work on its tables costs on a shadow."""
    found = []
    for name, option in (("with", TRACED), ("without", UNTRACED)):
        runs = []
        for number in (1, 2):
            say(f"instruction counts of shadow paging {name} trace, run {number} of 2")
            request = plan.Request(MMU_GUESTS, folder / f"shadow-{name}{number}", option=option,
                                   build=build)
            runs.append(checkpoints(request, SHADOW))
        found.append(same(runs))
    return judge(*found, rows=SHADOW)


def judge(traced: Dict[str, float], untraced: Dict[str, float],
          rows: Sequence[Row] = EXACT) -> List[Result]:
    """Each row with the value that its budget is for."""
    return [Result(row, traced[row.source]) if row.traced else
            Result(row, untraced[row.source], traced[row.source]) for row in rows]


def same(runs: List[Dict[str, float]]) -> Dict[str, float]:
    """The counts that all runs agree on; RunError otherwise."""
    for other in runs[1:]:
        if other != runs[0]:
            raise plan.RunError(f"two runs of the same counted differently: {runs[0]}, {other}")
    return runs[0]


def counts(request: plan.Request) -> Dict[str, float]:
    """What one run counted, by the names of bench's checkpoints, and `record`."""
    return read_counts(traced_run(request))


def checkpoints(request: plan.Request, rows: Sequence[Row]) -> Dict[str, float]:
    """What one run's guest reported for these rows."""
    points = traced_run(request).select("checkpoint")
    found = {points.text(i): float(points["value"][i]) for i in range(len(points))}
    return wanted(found, rows)


def traced_run(request: plan.Request) -> viz_trace.Trace:
    """Make the run; its trace."""
    result = run.make(request)
    if not result.ok or result.trace is None:
        raise plan.RunError(f"the run of {request.guests[0]} failed: {result.sentence}")
    trace = viz_trace.load(str(result.trace))
    (result.dir / "memory.bin").unlink(missing_ok=True)  # large
    return trace


def wanted(found: Dict[str, float], rows: Sequence[Row]) -> Dict[str, float]:
    """Of what was found, what the rows need; RunError if one is missing."""
    missing = [row.source for row in rows if row.source not in found]
    if missing:
        raise plan.RunError(f"the run reported nothing of: {', '.join(missing)}")
    return {row.source: found[row.source] for row in rows}


def read_counts(trace: viz_trace.Trace) -> Dict[str, float]:
    """The counts that a trace holds; RunError if one is missing or worth nothing."""
    _check_partner(trace)
    points, notes = trace.select("checkpoint"), trace.select("note")
    points = points.where(points.vm == 1)
    found = {points.text(i): float(points["value"][i]) for i in range(len(points))}
    found.update({"record": float(notes["value"][i]) / 1000
                  for i in range(len(notes)) if notes.text(i) == NOTE})
    return wanted(found, EXACT)


def _check_partner(trace: viz_trace.Trace) -> None:
    """Without a yielder, a yield comes back at once and its count means nothing."""
    ends = trace.select("vm_end")
    order = [int(vm) for vm in ends.vm]
    if order[:1] != [1]:
        raise plan.RunError("the yielder ended before bench did: its counts are worth nothing")


# --- What is shown -----------------------------------------------------------------------

def say(text: str) -> None:
    """Progress: a line on stderr."""
    print(f"bench: {text} ...", file=sys.stderr, flush=True)


def table(results: List[Result]) -> List[str]:
    """The results as lines of text."""
    head = ("", "measured", "budget", "", "with trace", "floor", "KVM")
    lines = [head] + [_cells(each) for each in results]
    width = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return ["  ".join([line[0].ljust(width[0])]
                      + [line[i].rjust(width[i]) for i in (1, 2)]
                      + [line[3].ljust(width[3])]
                      + [line[i].rjust(width[i]) for i in (4, 5, 6)]).rstrip() for line in lines]


def _cells(each: Result) -> Sequence[str]:
    row = each.row
    verdict = f"{row.unit}" + ("" if each.kept else "  OVER BUDGET")
    return (row.name, _number(each.value), _number(row.budget), verdict,
            _number(each.with_trace), _number(row.floor), _number(row.kvm))


def _number(value: Optional[float]) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
