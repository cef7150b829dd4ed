"""Totals of a run, for each VM: time, exits, ticks, switches, self-checks.

compute(trace) gives them as a Stats; the command prints a table or JSON.  All
figures are observed: they are counted from records, nothing is estimated, and what
was not recorded is None, not 0.  Stretches of time are viz/spans.py's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional

import numpy as np

from viz import recorded
from viz.spans import (Spans, alive_spans, blocked_spans, decided_spans, guest_spans, known_end,
                       run_spans, sum_spans)
from viz.trace import WHERE, Records, Trace, announce, load

TIMER_EVENTS = ("timer_due", "timer_delivered", "timer_dropped")
TOTALS = ("due", "delivered", "backlog", "discarded")


NONE = "-"  # what a table shows where nothing is known

# The fields of `viz stats --json`. They stay: new ones may be added.
JSON_HELP = """\
the fields of --json (times in ns of virtual time; null: not recorded):
  trace, platform, cmdline, seed, nonce, build_id, scheduler   what was run
  t0_ns, t1_ns        time of the first and the last record
  known_to_ns         where the records end: t1_ns, or when the buffer was full
  idle_ns             the CPU had no VM to run
  host_ns             after a VM's end, until the next decision: the host takes it apart
                      and may create it anew
  records, dropped    records in the trace; records that did not fit
  events              {event: number of its records}
  not_recorded        groups that the option trace= left out
  panics              what the host kernel said when it gave up, usually nothing
  warnings            what is missing or damaged, in sentences
  vms                 a list, one object for each VM:
    vm, name, generations, how, code, why     generations: how often it was created;
                      how it ended at last ("": no end in the trace), code and reason
    ends              {how: number of its lives that ended so}
    run_ns, share     chosen and alive, its exits' handling included; share of the time
                      for which a decision holds
    guest_ns          between an entry and its exit
    ready_ns, blocked_ns, alive_ns
    switches          how often it was chosen after another VM, or after idling
    exits             {reason: number}
    ticks             {due, delivered, backlog, discarded}, summed over its generations;
                      {} if it never programmed its timer
    ticks_wrong       records at which these four do not add up
    policy, view      of its timer: what becomes of late ticks; wall or apparent time
    checks_passed, checks_failed              its self-checks"""


@dataclass
class VmStats:
    """One VM's totals; JSON_HELP says what each field is.  None: not recorded."""

    vm: int
    name: str
    run_ns: Optional[int] = None
    share: Optional[float] = None
    guest_ns: Optional[int] = None
    ready_ns: Optional[int] = None
    blocked_ns: Optional[int] = None
    alive_ns: int = 0
    switches: Optional[int] = None
    exits: Optional[Dict[str, int]] = None
    ticks: Optional[Dict[str, int]] = None
    ticks_wrong: int = 0
    policy: str = ""
    view: str = ""
    checks_passed: int = 0
    checks_failed: int = 0
    generations: int = 0
    how: str = ""
    code: int = 0
    why: str = ""
    ends: Dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> str:
        """How its last life ended, in a word or two."""
        return self.how or "no end in trace"


@dataclass
class Stats:
    """A run's totals; JSON_HELP says what each field is.  None: not recorded."""

    trace: str
    platform: str
    cmdline: str
    seed: str
    nonce: str
    build_id: str
    scheduler: str
    t0_ns: int
    t1_ns: int
    known_to_ns: int
    idle_ns: Optional[int]
    host_ns: Optional[int]
    records: int
    dropped: int
    events: Dict[str, int]
    vms: List[VmStats]
    not_recorded: List[str]
    panics: List[str]
    warnings: List[str]


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
    missing, alive = recorded.left_out(trace), alive_spans(trace)
    exits, ticks, inside = count_exits(trace), tick_totals(trace), guest_spans(trace)
    vms = [VmStats(vm, name, alive_ns=sum_spans(alive, vm)) for vm, name in trace.vms().items()]
    for one in vms:
        if "exits" not in missing:
            one.exits, one.guest_ns = exits.get(one.vm, {}), sum_spans(inside, one.vm)
        if "time" not in missing:
            one.ticks = dict(ticks.get(one.vm, {}))
            one.ticks_wrong = one.ticks.pop("wrong", 0)
        _fill_life(trace, one)
    stats = _assemble(trace, vms, missing)
    runs = run_spans(trace)
    if len(runs.start):
        _fill_times(trace, stats, runs)
    elif vms and "sched" not in missing:
        trace.warn("no scheduling decision is recorded: run times and shares are unknown")
    stats.warnings = list(trace.warnings)
    return stats


def _fill_times(trace: Trace, stats: Stats, runs: Spans) -> None:
    """What the scheduler's decisions say: who ran how long, and who waited."""
    decided, blocked = decided_spans(trace), blocked_spans(trace)
    whole = int((decided.end - decided.start).sum())
    picks = trace.select("sched_pick")
    prev = picks["prev"]
    stats.idle_ns = sum_spans(runs, 0)
    stats.host_ns = whole - int((runs.end - runs.start).sum())
    for one in stats.vms:
        one.run_ns, one.blocked_ns = sum_spans(runs, one.vm), sum_spans(blocked, one.vm)
        one.ready_ns = max(0, one.alive_ns - one.run_ns - one.blocked_ns)
        one.share = one.run_ns / whole if whole else None
        one.switches = int(((picks.vm == one.vm) & (prev != one.vm)).sum())


def _fill_life(trace: Trace, one: VmStats) -> None:
    """What single records say about the VM: its lives, timer, checks."""
    def own(name: str) -> Records:
        records = trace.select(name)
        return records.where(records.vm == one.vm)

    one.generations = len(own("vm_create"))
    programs, ends, checks = own("timer_program"), own("vm_end"), own("check")
    if len(programs):
        one.policy, one.view = programs.word("policy")[-1], programs.word("view")[-1]
    if len(ends):
        words = ends.word("how")
        one.how, one.code = words[-1], int(ends["code"][-1])
        one.why = ends.text(len(ends) - 1)
        one.ends = dict(Counter(words).most_common())
    passed = (checks["value"] == checks["expected"]) & (checks["sealed"] != 0)
    one.checks_passed, one.checks_failed = int(passed.sum()), int((~passed).sum())


def _assemble(trace: Trace, vms: List[VmStats], missing: List[str]) -> Stats:
    header, started, panics = trace.header, trace.select("sched_start"), trace.select("panic")
    numbers, counts = np.unique(trace.event, return_counts=True)
    events = {trace.schema.event_name(n): int(c) for n, c in zip(numbers, counts)}
    return Stats(trace.path, header.platform, header.cmdline, hex(header.seed),
                 hex(header.nonce), header.build_id, started.text(0) if len(started) else "",
                 trace.t0, trace.t1, known_end(trace), None, None, len(trace), trace.dropped,
                 events, vms, missing, [panics.text(i) for i in range(len(panics))], [])


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


def show_ns(ns: Optional[int]) -> str:
    """A time, or a dash where none is known."""
    return NONE if ns is None else format_ns(ns)


def show_share(share: Optional[float]) -> str:
    return NONE if share is None else f"{100 * share:.2f} %"


def show(value: Any) -> str:
    """A number or word, or a dash where none is known."""
    return NONE if value is None or value == "" else str(value)


def format_text(stats: Stats, remark: Optional[str] = None) -> str:
    """The tables that `viz stats` prints; `remark` says what was not recorded."""
    parts = [f"{stats.trace}: {stats.records} records, {stats.dropped} dropped, "
             f"{format_ns(stats.t1_ns - stats.t0_ns)} of virtual time on {stats.platform}",
             f"scheduler {stats.scheduler or 'unknown'}; options {stats.cmdline!r}; "
             f"seed {stats.seed}; nonce {stats.nonce}"]
    parts += [f"note: {remark}"] if remark else []
    if stats.dropped:
        parts.append(f"note: the buffer was full at {format_ns(stats.known_to_ns)}; "
                     "times and counts end there")
    parts += [f"PANIC of the host kernel: {text}" for text in stats.panics]
    if stats.vms:
        parts += ["", _time_table(stats), "", _tick_table(stats)]
        parts += ["", _exit_table(stats)] if "exits" not in stats.not_recorded else []
    return "\n".join(parts)


def _time_table(stats: Stats) -> str:
    rows = [["time", "share", "run", "in guest", "ready", "blocked", "switches", "lives",
             "ended"]]
    for vm in stats.vms:
        rows.append([f"VM {vm.vm} {vm.name}", show_share(vm.share), show_ns(vm.run_ns),
                     show_ns(vm.guest_ns), show_ns(vm.ready_ns), show_ns(vm.blocked_ns),
                     show(vm.switches), str(vm.generations), vm.ended])
    rows.append(["idle", "", show_ns(stats.idle_ns), "", "", "", "", "", ""])
    if stats.host_ns:
        rows.append(["host, after ends", "", show_ns(stats.host_ns), "", "", "", "", "", ""])
    return table(rows)


def _tick_table(stats: Stats) -> str:
    rows = [["ticks", *TOTALS, "policy", "clock", "checks passed", "failed"]]
    for vm in stats.vms:
        totals = [show((vm.ticks or {}).get(name)) for name in TOTALS]
        rows.append([f"VM {vm.vm} {vm.name}", *totals, show(vm.policy), show(vm.view),
                     str(vm.checks_passed), str(vm.checks_failed)])
    return table(rows)


def exit_reasons(stats: Stats) -> List[str]:
    """All exit reasons of the run, the most frequent first."""
    totals: Counter = Counter()
    for vm in stats.vms:
        totals.update(vm.exits or {})
    return sorted(totals, key=lambda reason: (-totals[reason], reason))


def _exit_table(stats: Stats) -> str:
    rows = [["exits", *(f"VM {vm.vm}" for vm in stats.vms)]]
    for reason in exit_reasons(stats):
        rows.append([reason, *(str((vm.exits or {}).get(reason, 0)) for vm in stats.vms)])
    rows.append(["all", *(str(sum((vm.exits or {}).values())) for vm in stats.vms)])
    return table(rows)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help=WHERE)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE (default: stdout)")
    parser.epilog = f"{parser.epilog or ''}\n\n{JSON_HELP}"


def run(args: argparse.Namespace) -> int:
    trace = load(args.trace)
    stats = compute(trace)
    announce(trace)
    text = json.dumps(asdict(stats), indent=1) if args.json else format_text(
        stats, recorded.remark(trace))
    write_text(args.output, text + "\n")
    return 0


def write_text(path: Optional[str], text: str) -> None:
    """To the file `path`, or to stdout without one."""
    if not path:
        sys.stdout.write(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
