"""`python3 -m viz tables`: a VM's guest, shadow and host tables side by side, at a stop.

A stop is a checkpoint of the guest, or the end.  What changed since the stop before is marked.
The facts are the trace's records (observed); at the end, where the run left memory.bin and the
VM still lives, they are read from the tables themselves (computed).
"""
from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Tuple

from viz import recorded, tables_draw, tables_nested, tables_rows
from viz.exits import mode_of
from viz.stats import write_text
from viz.style import PROVENANCE
from viz.tables_ram import MOST, Memory
from viz.tables_replay import State, replay, walked
from viz.tables_rows import Row
from viz.trace import WHERE, Trace, TraceError, announce, load
from viz.walk_data import Walks

FORMATS = ("svg", "png", "pdf", "html")


@dataclass(frozen=True)
class Stop:
    """A moment, by the name of the checkpoint."""

    name: str
    ns: int


@dataclass
class Picture:
    """All that is drawn: the rows, the tables behind them, and what is said about them."""

    title: str
    since: str
    rows: List[Row]
    pages: List[Tuple[int, int, int, int, str, str]] = field(default_factory=list)
    shadow: bool = False
    provenance: str = ""
    notes: List[str] = field(default_factory=list)


def stops(trace: Trace, vm: int) -> List[Stop]:
    """The VM's checkpoints, and the end of its last life, or of the run, or of the records."""
    points = trace.select("checkpoint")
    found = [Stop(points.text(i), int(points.ns[i])) for i in range(len(points))
             if points.vm[i] == vm]
    ended = _last(trace, "vm_end", vm)
    if ended > _last(trace, "vm_create", vm):
        return found + [Stop("the end", int(trace.ns[ended]))]
    return found + [Stop("the end" if trace.whole else "the end of what was recorded", trace.t1)]


def lives(trace: Trace, vm: int) -> bool:
    """Whether the VM's frames were its own when the run ended: time up, and not taken apart; and
    the trace tells all of it."""
    return trace.whole and _last(trace, "vm_create", vm) > _last(trace, "vm_destroy", vm)


def _last(trace: Trace, event: str, vm: int) -> int:
    """The place of the VM's last record of that event; -1: there is none."""
    mine = trace.select(event)
    return max([-1, *mine.index[mine.vm == vm].tolist()])


def picture(trace: Trace, memory: Optional[Path], vm: int, which: Optional[str]) -> Picture:
    """The tables of `vm` at a stop, compared with the stop before."""
    if not recorded.has(trace, "memory"):
        raise TraceError(f"{trace.path}: its run had the option trace={recorded.option(trace)}, "
                         "which leaves changes of tables out; run it again with trace=memory")
    if mode_of(trace, vm) == "vtlb":
        raise TraceError(f"VM {vm} fills its TLB itself (mmu=vtlb): it has no tables that could be "
                         "set beside each other; viz walk shows what it had filled")
    all_stops = stops(trace, vm)
    at = _find(all_stops, which)
    before = all_stops[at - 1] if at else Stop("the beginning", -1)
    states = replay(trace, vm, [before.ns, all_stops[at].ns])
    shadow = bool(states[1].root)
    read = Memory(memory) if memory and at == len(all_stops) - 1 and lives(trace, vm) else None
    rows = [_rows(trace, vm, state, stop, shadow) for state, stop in
            zip(states, (before, all_stops[at]))]
    name = trace.vms().get(vm, "")
    made = Picture(f"Tables of VM {vm} ({name}), mmu={mode_of(trace, vm)}, at "
                   f"{_said(all_stops[at])}", f"since {_said(before)}", [], shadow=shadow, notes=trace.caveats())
    if states[1].created != states[0].created and at:
        made.notes.append("the VM was created anew since the stop before")
    if read:
        now = _rows_of_memory(trace, vm, states[1], read, shadow)
        _as_left(made, states[0], rows[0], now, read)
    else:
        made.provenance = f"observed: {PROVENANCE['observed']}"
        made.rows = tables_rows.compare(*rows)
        made.notes += _caveats(shadow)
    if read and read.cut or len(made.rows) > MOST:
        made.notes.append("not all: these tables lead to too many others, or to too many pages")
    if shadow and states[0].groot not in (0, states[1].groot):
        made.notes.append("the guest runs in another address space than at the stop before, whose "
                          "pages are gone from here")
    if shadow:
        made.pages, elsewhere = _pages(states[0], states[1])
        made.notes += [f"{elsewhere} more shadow tables do not hang on the active root: they are kept "
                       "for an address space that may come back"] if elsewhere else []
    return made


def _as_left(made: Picture, before: State, known: List[Row], now: List[Row], read: Memory) -> None:
    """What memory.bin holds, compared with what was recorded until the stop before."""
    made.provenance = (f"computed: {PROVENANCE['computed']}, from memory.bin; what changed: "
                       f"observed: {PROVENANCE['observed']}")
    made.rows = tables_rows.compare(known, now, loose=True) if made.shadow else \
        tables_rows.compare_hosts(before, known, now)
    if not made.shadow:
        made.notes.append("guest entries: what they were before is known only where a walk met them")
    if read.cut:
        made.rows = [row for row in made.rows if row.status != "gone"]


def _caveats(shadow: bool) -> List[str]:
    if shadow:
        return ["only what was recorded: accessed and dirty bits that the processor set, and what "
                "the VMM protected, are not in the records"]
    return ["guest entries: as walks met them; with nested paging the VMM does not read the "
            "guest's tables"]


def _said(stop: Stop) -> str:
    quoted = stop.name if stop.name.startswith("the ") else f"checkpoint '{stop.name}'"
    return quoted + (f" ({stop.ns / 1e9:.9f} s)" if stop.ns >= 0 else "")


def _find(all_stops: List[Stop], which: Optional[str]) -> int:
    if which is None:
        return len(all_stops) - 1
    if which.isdigit() and 1 <= int(which) <= len(all_stops):
        return int(which) - 1
    found = [i for i, stop in enumerate(all_stops) if stop.name == which]
    if not found:
        raise TraceError(f"there is no stop {which!r}: --list shows the {len(all_stops)} there are")
    return found[0]


def _rows(trace: Trace, vm: int, state: State, stop: Stop, shadow: bool) -> List[Row]:
    if shadow:
        return tables_rows.shadow_rows(state)
    return tables_nested.rows_of_records(state, walked(trace, vm, stop.ns))


def _rows_of_memory(trace: Trace, vm: int, state: State, read: Memory, shadow: bool) -> List[Row]:
    if shadow:
        return tables_rows.shadow_rows_of_memory(state, read)
    mine = [walk for walk in Walks(trace) if walk.vm == vm]
    groot = mine[-1].groot if mine and mine[-1].mode != "OFF" else None
    modes = {"LEGACY32": 1, "PAE": 2, "LONG4": 3}
    ept = trace.header.platform.endswith("vmx")
    return tables_nested.rows_of_memory(state, read, groot, modes.get(
        mine[-1].mode if mine else "", 3), ept)


def _pages(before: State, now: State) -> Tuple[List[Tuple[int, int, int, int, str, str]], int]:
    """Guest table, level, shadow table, entries, state and status of each shadow table that hangs
    on the active root, or did before and is gone; and how many others there are."""
    found = []
    active, had = now.reachable(), before.reachable()
    for at in sorted(active, key=lambda at: (-now.pages[at].level, now.pages[at].table)):
        page = now.pages[at]
        kind = "a piece of a large page" if page.direct else (
            "written without exits" if page.table in now.unsynced else "write-protected")
        old = before.pages.get(at)
        status = "new" if old is None or old.table != page.table else (
            "changed" if len(old.entries) != len(page.entries) or
            (page.table in before.unsynced) != (page.table in now.unsynced) else "")
        found.append((page.table, page.level, at, len(page.entries), kind, status))
    for at in sorted(had - set(now.pages)):
        page = before.pages[at]
        found.append((page.table, page.level, at, len(page.entries), "", "gone"))
    return found, len(now.pages) - len(active)


# --- The command ----------------------------------------------------------------------------------

def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=WHERE)
    parser.add_argument("--vm", type=int, default=1, metavar="N", help="the VM (1)")
    parser.add_argument("--stop", metavar="STOP", help="a checkpoint's name, or its number in "
                        "--list (default: the end)")
    parser.add_argument("--list", action="store_true", help="list the stops")
    parser.add_argument("--rows", type=int, default=40, metavar="N",
                        help="rows at most (40); those that changed come first")
    parser.add_argument("-o", "--output", default="tables.svg", metavar="FILE",
                        help="the picture: .svg, .png, .pdf or .html (tables.svg)")


def run(args: argparse.Namespace) -> int:
    """List or draw; 0 when done."""
    trace = load(args.run)
    announce(trace)
    trace.need_vms(args.vm)
    if args.list:
        for number, stop in enumerate(stops(trace, args.vm), start=1):
            print(f"{number:>4} {stop.ns / 1e9:>14.9f}  {stop.name}")
        return 0
    form = Path(args.output).suffix[1:].lower()
    if form not in FORMATS:
        raise TraceError(f"{args.output}: the ending must be one of {', '.join(FORMATS)}")
    memory = Path(trace.path).with_name("memory.bin")
    if args.rows < 1:
        raise TraceError(f"--rows {args.rows}: at least one row can be drawn")
    made = picture(trace, memory if memory.is_file() else None, args.vm, args.stop)
    tables_draw.shorten(made, args.rows)
    shown, left = tables_draw.choose(tables_rows.join(made.rows), args.rows)
    if not made.rows:
        raise TraceError(f"VM {args.vm} has no table then that the trace knows of")
    if form == "html":
        write_text(args.output, tables_draw.page(made, shown, left))
    else:
        tables_draw.draw(made, shown, left, form, args.output)
    print(f"{args.output}: {made.title}: {len(shown)} rows" + (f" of {len(shown) + left}"
                                                               if left else ""))
    return 0
