"""Totals of a run, for each VM: time, exits, ticks, switches, self-checks.

compute(trace) gives them as a Stats; the command prints a table or JSON.  All
figures are observed: they are counted from records, nothing is estimated.
Which event means what: handouts/formats.md, section 1.4.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from viz.trace import Records, Trace, announce, load

TIMER_EVENTS = ("timer_due", "timer_delivered", "timer_dropped")
TOTALS = ("due", "delivered", "backlog", "discarded")


class Spans(NamedTuple):
    """Stretches of time, one item each: [start, end) in ns, whose and where."""

    start: np.ndarray
    end: np.ndarray
    vm: np.ndarray
    pcpu: np.ndarray


@dataclass
class VmStats:
    """One VM's totals; times in ns of virtual time."""

    vm: int
    name: str
    run_ns: int = 0
    share: float = 0.0  # of the time in which the scheduler was at work
    guest_ns: int = 0  # between an entry and its exit
    ready_ns: int = 0
    blocked_ns: int = 0
    alive_ns: int = 0
    switches: int = 0  # times it was chosen after another
    exits: Dict[str, int] = field(default_factory=dict)
    ticks: Dict[str, int] = field(default_factory=dict)
    ticks_wrong: int = 0  # records at which the four totals do not add up
    policy: str = ""
    view: str = ""
    checks_passed: int = 0
    checks_failed: int = 0
    generations: int = 0
    how: str = ""
    code: int = 0
    why: str = ""


@dataclass
class Stats:
    """A run's totals."""

    trace: str
    platform: str
    cmdline: str
    seed: str
    nonce: str
    build_id: str
    scheduler: str
    t0_ns: int
    t1_ns: int
    idle_ns: int
    records: int
    dropped: int
    events: Dict[str, int]
    vms: List[VmStats]
    warnings: List[str]


def run_spans(trace: Trace) -> Spans:
    """Who ran when: from each sched_pick to the next one on the same CPU."""
    picks = trace.select("sched_pick")
    start, vm, pcpu = picks.ns, picks.vm, picks.pcpu
    end = np.full(len(picks), trace.t1, np.int64)
    for cpu in np.unique(pcpu):
        own = np.flatnonzero(pcpu == cpu)
        end[own[:-1]] = start[own[1:]]
    return Spans(start, end, vm, pcpu)


def guest_spans(trace: Trace) -> Spans:
    """Time inside the guest: from each entry to the exit that follows it."""
    entry, leave = trace.select("entry"), trace.select("exit")
    index = np.concatenate([entry.index, leave.index])
    is_entry = np.arange(len(index)) < len(entry)
    order = np.lexsort((index, trace.pcpu[index]))
    index, is_entry = index[order], is_entry[order]
    pcpu, vm = trace.pcpu[index], trace.vm[index]
    pair = np.flatnonzero(is_entry[:-1] & ~is_entry[1:] & (pcpu[:-1] == pcpu[1:])
                          & (vm[:-1] == vm[1:]))
    return Spans(trace.ns[index[pair]], trace.ns[index[pair + 1]], vm[pair], pcpu[pair])


def blocked_spans(trace: Trace) -> Spans:
    """Time blocked: from sched_block to sched_wake (or the VM's end, or the trace's)."""
    return _between(trace, ("sched_block",), ("sched_wake", "vm_end"))


def alive_spans(trace: Trace) -> Spans:
    """From vm_create to vm_end (or the trace's end), each generation by itself."""
    return _between(trace, ("vm_create",), ("vm_end",))


def _between(trace: Trace, opens: tuple, closes: tuple) -> Spans:
    parts = [trace.select(name) for name in opens + closes]
    index = np.concatenate([part.index for part in parts])
    opening = np.concatenate([np.full(len(part), name in opens)
                              for part, name in zip(parts, opens + closes)])
    order = np.lexsort((index, trace.vcpu[index], trace.vm[index]))
    index, opening = index[order], opening[order].astype(bool)
    owner = trace.vm[index].astype(np.int64) * 256 + trace.vcpu[index]
    end = np.full(len(index), trace.t1, np.int64)
    follows = owner[:-1] == owner[1:]
    end[:-1][follows] = trace.ns[index[1:]][follows]
    keep = np.flatnonzero(opening)
    return Spans(trace.ns[index[keep]], end[keep], trace.vm[index[keep]],
                 trace.pcpu[index[keep]])


def sum_spans(spans: Spans, vm: int) -> int:
    """Total length of a VM's spans in ns."""
    own = spans.vm == vm
    return int((spans.end[own] - spans.start[own]).sum())


def tick_totals(trace: Trace) -> Dict[int, Dict[str, int]]:
    """VM -> due, delivered, backlog, discarded, summed over its generations,
    and `wrong`: the number of records at which they do not add up."""
    parts = [trace.select(name) for name in TIMER_EVENTS]
    index = np.concatenate([part.index for part in parts])
    order = np.argsort(index)
    index = index[order]
    columns = {name: np.concatenate([part[name] for part in parts])[order] for name in TOTALS}
    wrong = columns["delivered"] + columns["backlog"] + columns["discarded"] != columns["due"]
    born = trace.select("vm_create")
    result: Dict[int, Dict[str, int]] = {}
    vms = trace.vm[index]
    for vm in np.unique(vms).tolist():
        own = np.flatnonzero(vms == vm)
        generation = np.searchsorted(born.index[born.vm == vm], index[own])
        last = own[np.append(generation[1:] != generation[:-1], True)]
        result[vm] = {name: sum(columns[name][last].tolist()) for name in TOTALS}
        result[vm]["wrong"] = int(wrong[own].sum())
    return result


def count_exits(trace: Trace) -> Dict[int, Dict[str, int]]:
    """VM -> exit reason -> number of exits, the most frequent first."""
    exits = trace.select("exit")
    keys = np.stack([exits.vm.astype(np.uint64), exits["reason"]], axis=1)
    kinds, counts = np.unique(keys, axis=0, return_counts=True) if len(keys) else (keys, keys)
    kind = dict(exits.event.fields).get("reason", "dec") if exits.event else "dec"
    result: Dict[int, Dict[str, int]] = {}
    for i in np.argsort(-counts, kind="stable").tolist() if len(keys) else []:
        vm, reason = (int(x) for x in kinds[i])
        result.setdefault(vm, {})[trace.schema.show(kind, reason)] = int(counts[i])
    return result


def compute(trace: Trace) -> Stats:
    """All totals of a trace."""
    runs, blocked, alive = run_spans(trace), blocked_spans(trace), alive_spans(trace)
    inside, exits, ticks = guest_spans(trace), count_exits(trace), tick_totals(trace)
    whole = int((runs.end - runs.start).sum())
    vms = []
    for vm, name in trace.vms().items():
        one = VmStats(vm, name, run_ns=sum_spans(runs, vm), guest_ns=sum_spans(inside, vm),
                      blocked_ns=sum_spans(blocked, vm), alive_ns=sum_spans(alive, vm),
                      exits=exits.get(vm, {}), ticks=dict(ticks.get(vm, {})))
        one.share = one.run_ns / whole if whole else 0.0
        one.ready_ns = max(0, one.alive_ns - one.run_ns - one.blocked_ns)
        one.ticks_wrong = one.ticks.pop("wrong", 0)
        _fill_life(trace, one)
        vms.append(one)
    if not len(runs.start) and len(trace):
        trace.warn("no scheduling decision is recorded: run times and shares are unknown")
    return _assemble(trace, vms, sum_spans(runs, 0))


def _fill_life(trace: Trace, one: VmStats) -> None:
    """What single records say about the VM: switches, end, timer, checks."""
    def own(name: str) -> Records:
        records = trace.select(name)
        return records.where(records.vm == one.vm)

    picks = own("sched_pick")
    one.switches = int((picks["prev"] != one.vm).sum())
    one.generations = len(own("vm_create"))
    programs, ends, checks = own("timer_program"), own("vm_end"), own("check")
    if len(programs):
        one.policy, one.view = programs.word("policy")[-1], programs.word("view")[-1]
    if len(ends):
        one.how, one.code = ends.word("how")[-1], int(ends["code"][-1])
        one.why = ends.text(len(ends) - 1)
    passed = (checks["value"] == checks["expected"]) & (checks["sealed"] != 0)
    one.checks_passed, one.checks_failed = int(passed.sum()), int((~passed).sum())


def _assemble(trace: Trace, vms: List[VmStats], idle: int) -> Stats:
    header, started = trace.header, trace.select("sched_start")
    numbers, counts = np.unique(trace.event, return_counts=True)
    events = {trace.schema.event_name(n): int(c) for n, c in zip(numbers, counts)}
    return Stats(trace.path, header.platform, header.cmdline, hex(header.seed),
                 hex(header.nonce), header.build_id, started.text(0) if len(started) else "",
                 trace.t0, trace.t1, idle, len(trace), trace.dropped, events, vms,
                 list(trace.warnings))


def format_ns(ns: float) -> str:
    """A time with three to four digits and a unit."""
    for limit, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
        if abs(ns) >= limit:
            return f"{ns / limit:.4g} {unit}"
    return f"{int(ns)} ns"


def table(rows: List[List[str]]) -> str:
    """Rows as aligned text; the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def format_text(stats: Stats) -> str:
    """The tables that `viz stats` prints."""
    parts = [f"{stats.trace}: {stats.records} records, {stats.dropped} dropped, "
             f"{format_ns(stats.t1_ns - stats.t0_ns)} of virtual time on {stats.platform}",
             f"scheduler {stats.scheduler or 'unknown'}; options {stats.cmdline!r}; "
             f"seed {stats.seed}; nonce {stats.nonce}"]
    if stats.vms:
        parts += ["", _time_table(stats), "", _tick_table(stats), "", _exit_table(stats)]
    return "\n".join(parts)


def _time_table(stats: Stats) -> str:
    rows = [["time", "share", "run", "in guest", "ready", "blocked", "switches", "ended"]]
    for vm in stats.vms:
        rows.append([f"VM {vm.vm} {vm.name}", f"{100 * vm.share:.2f} %", format_ns(vm.run_ns),
                     format_ns(vm.guest_ns), format_ns(vm.ready_ns), format_ns(vm.blocked_ns),
                     str(vm.switches), vm.how or "still running"])
    rows.append(["idle", "", format_ns(stats.idle_ns), "", "", "", "", ""])
    return table(rows)


def _tick_table(stats: Stats) -> str:
    rows = [["ticks", *TOTALS, "policy", "clock", "checks passed", "failed"]]
    for vm in stats.vms:
        totals = [str(vm.ticks[name]) if vm.ticks else "-" for name in TOTALS]
        rows.append([f"VM {vm.vm} {vm.name}", *totals, vm.policy or "-", vm.view or "-",
                     str(vm.checks_passed), str(vm.checks_failed)])
    return table(rows)


def _exit_table(stats: Stats) -> str:
    reasons = list(dict.fromkeys(reason for vm in stats.vms for reason in vm.exits))
    rows = [["exits", *(f"VM {vm.vm}" for vm in stats.vms)]]
    for reason in reasons:
        rows.append([reason, *(str(vm.exits.get(reason, 0)) for vm in stats.vms)])
    rows.append(["all", *(str(sum(vm.exits.values())) for vm in stats.vms)])
    return table(rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="trace.bin of a run")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE (default: stdout)")


def run(args: argparse.Namespace) -> int:
    trace = load(args.trace)
    stats = compute(trace)
    announce(trace)
    text = json.dumps(asdict(stats), indent=1) if args.json else format_text(stats)
    write_text(args.output, text + "\n")
    return 0


def write_text(path: Optional[str], text: str) -> None:
    """To the file `path`, or to stdout without one."""
    if not path:
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
