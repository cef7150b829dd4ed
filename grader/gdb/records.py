"""What the trace in the machine's memory says: its last records, its exits, in lines.

Decoded by the trace's own schema through viz.trace, which reads a RAM file as well as a
trace.bin.  What was not recorded, or dropped, is said.  What it does not do: know GDB.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from grader.gdb import exit_words
from viz import recorded
from viz.trace import Trace, TraceError, load
from viz.walk_words import UNKNOWN

HEAD = f"{'virtual s':>14} {'VM':>3}  "


def caveats(trace: Trace) -> List[str]:
    """What is missing from the trace, one sentence each."""
    said = [f"note: {sentence}" for sentence in trace.warnings]
    remark = recorded.remark(trace)
    return said + ([f"note: {remark}"] if remark else [])


def last_ns(memory_file: Path) -> int:
    """The time of the last record in the machine's memory; UNKNOWN if there is none."""
    try:
        trace = load(str(memory_file))
    except TraceError:
        return UNKNOWN
    return trace.t1 if len(trace) else UNKNOWN


def show(trace: Trace, i: int) -> str:
    """Record `i` in a line: time, VM, event and its fields as the schema shows them."""
    event = trace.schema.by_number.get(int(trace.event[i]))
    head = f"{int(trace.ns[i]) / 1e9:>14.9f} {int(trace.vm[i]) or '':>3}  "
    if event is None:
        return head + trace.schema.event_name(int(trace.event[i]))
    words = trace.payload(i)
    fields = [f"{name}={trace.schema.show(kind, words[k] if k < len(words) else 0)}"
              for k, (name, kind) in enumerate(event.fields)]
    text = [repr(trace.text(i))] if event.text is not None else []
    return head + " ".join([event.name, *fields, *text])


def tail(trace: Trace, vm: Optional[int], count: int, containing: str = "") -> List[str]:
    """The last `count` records (of a VM, with a text in their line), oldest first."""
    wanted = np.arange(len(trace)) if vm is None else np.flatnonzero(trace.vm == vm)
    lines: List[str] = []
    for i in reversed(wanted.tolist()):
        if len(lines) == count:
            break
        line = show(trace, i)
        if containing in line:
            lines.append(line)
    return lines[::-1]


def _exit_line(trace: Trace, exits: Any, i: int) -> str:
    reason = exits.word("reason")[0]
    code, info1, info2 = (int(exits[name][0]) for name in ("code", "info1", "info2"))
    said = exit_words.describe(reason, code, info1, info2)
    return (f"{int(trace.ns[i]) / 1e9:>14.9f} {int(trace.vm[i]):>3}  "
            f"{int(exits['rip'][0]):#018x}  {reason:<12} {said}")


def exits(trace: Trace, vm: Optional[int], count: int) -> List[str]:
    """The last `count` exits, oldest first, then how many there were for each reason."""
    found = trace.select("exit")
    if vm is not None:
        found = found.where(found.vm == vm)
    last = found.index[max(0, len(found) - count):]
    lines = [_exit_line(trace, found.where(found.index == i), int(i)) for i in last]
    whose = "" if vm is None else f" of VM {vm}"
    counts = by_reason(found)
    total = ", ".join(f"{word} {number}" for word, number in counts.items()) or "none"
    return ([f"{HEAD}{'rip':<18}  {'reason':<12} what"] if lines else []) \
        + lines + [f"{len(found)} exits{whose} in the trace: {total}"]


def by_reason(found: Any) -> Dict[str, int]:
    """How many records of each reason, the most frequent first."""
    words, counts = np.unique(found.word("reason"), return_counts=True)
    pairs = sorted(zip(words.tolist(), counts.tolist()), key=lambda pair: (-pair[1], pair[0]))
    return dict(pairs)
