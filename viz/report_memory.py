"""What a report shows of virtualized memory: exits by cause, a walk of each kind, the tables.

Exits by cause and tables are there where a VM ran on a shadow: with nested paging an exit's
reason tells its cause.  All is what `viz exits`, `viz walk` and `viz tables` show, cut to what
a page bears; how it looks is in templates/report_memory.html.j2.
"""
from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

from viz import exits, recorded, tables, tables_draw, tables_rows, walk, walk_page, walk_words
from viz.report_facts import Run
from viz.trace import Trace, TraceError
from viz.walk_data import Walks

ROWS = 24           # of a VM's tables at most
MOST_VMS = 2        # whose tables are shown
RECORDS = 20_000    # of changes of tables; more take seconds to replay
COMMAND = "/usr/bin/python3 -m viz"


@dataclass(frozen=True)
class DrawnWalk:
    """A walk of one kind of memory."""

    kind: str           # NESTED, SHADOW, ..., or "" where there is no walk
    words: str
    figure: walk_page.WalkFigure


@dataclass(frozen=True)
class TablesOf:
    """A VM's tables at a stop, in the words of tables_draw; `problem` tells why there are none."""

    vm: int
    made: Optional[tables.Picture] = None
    rows: List[Dict[str, object]] = field(default_factory=list)
    left: int = 0
    problem: str = ""


def shadowed(trace: Trace) -> List[int]:
    """The VMs that ran on shadow tables, as far as that was recorded."""
    roots = trace.select("shadow_root")
    return sorted(set(roots.vm[roots["root"] != 0].tolist()))


def by_cause(run: Run) -> Dict[int, exits.Exits]:
    """Each VM's exits; none where the reasons of exits say as much, or nothing was recorded."""
    if not shadowed(run.trace) or not recorded.has(run.trace, "exits"):
        return {}
    return {vm.vm: exits.of(run.trace, exits.mode_of(run.trace, vm.vm), exits.Part(vm.vm))
            for vm in run.stats.vms}


def command(run: Run, words: str) -> str:
    """How to ask for more of this run: `words` with RUN in it, as a shell takes it."""
    return f"{COMMAND} {words.replace('RUN', shlex.quote(run.path))}"


# --- Walks ----------------------------------------------------------------------------------------

def walks(trace: Trace) -> List[DrawnWalk]:
    """For each kind of memory the walk that `viz walk` would choose if there were no others."""
    try:
        found = Walks(trace)
        if not len(found):
            raise TraceError(walk.none_there(trace))
        kinds = [word.upper() for word in trace.select("walk_begin").word("kind")]
        return [_drawn(found, [i for i, other in enumerate(kinds) if other == kind])
                for kind in dict.fromkeys(kinds)]
    except (TraceError, OSError) as error:
        return [DrawnWalk("", "", walk_page.WalkFigure(problem=str(error)))]


def _drawn(found: Walks, among: List[int]) -> DrawnWalk:
    chosen = found[walk.longest(found, among)]
    figure = walk_page.one_of(found, chosen)
    figure.svg = re.sub(r' id="[^"]*"', "", figure.svg)     # the same in every drawing
    return DrawnWalk(chosen.kind, f"VM {chosen.vm}: {walk_words.kind_words(chosen)}", figure)


# --- Tables ---------------------------------------------------------------------------------------

def side_by_side(run: Run) -> List[TablesOf]:
    """The tables of the first VMs that ran on a shadow of tables of their own."""
    own = [vm for vm in shadowed(run.trace) if exits.mode_of(run.trace, vm) != "vtlb"]
    return [_tables(run, vm) for vm in own[:MOST_VMS]]


def _tables(run: Run, vm: int) -> TablesOf:
    """At the end, or at the stop before it if more had changed there since another stop."""
    records = sum(int((run.trace.select(event).vm == vm).sum())
                  for event in ("map", "shadow_fill", "shadow_write", "shadow_zap"))
    if records > RECORDS:
        return TablesOf(vm, problem=f"{records:,} changes of tables were recorded, too many for "
                                    "this page")
    memory = run.file("memory.bin")
    last = len(tables.stops(run.trace, vm))
    try:
        made = max((tables.picture(run.trace, Path(memory) if memory else None, vm, str(number))
                    for number in ([last, last - 1] if last > 2 else [last])),
                   key=lambda each: sum(row.status != "" for row in each.rows))
    except TraceError as error:
        return TablesOf(vm, problem=str(error))
    if not made.rows:
        return TablesOf(vm, problem="it has no table then that the trace knows of")
    tables_draw.shorten(made, ROWS)
    shown, left = tables_draw.choose(tables_rows.join(made.rows), ROWS)
    return TablesOf(vm, made, tables_draw.rows_of_cells(made, shown), left)
