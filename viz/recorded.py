"""Which groups of events a run recorded: the machine's option trace=.

What was not recorded must not be shown as if it had not happened.  The groups are
those of handouts/formats.md, section 4; viz/tests/test_recorded.py holds the table
to the kernel's.  Records that did not fit the buffer are another matter: see
Trace.dropped.
"""

from __future__ import annotations

from typing import Dict, FrozenSet, List, Optional, Tuple

from viz.trace import Trace

GROUPS: Dict[str, Tuple[str, ...]] = {
    "sched": ("sched_pick", "sched_charge", "sched_block", "sched_wake", "sched_start",
              "sched_setup", "sched_add", "sched_set", "sched_remove", "sched_call", "sched_bvt",
              "sched_sedf", "sched_credit", "sched_account", "sched_window"),
    "exits": ("entry", "exit", "inject", "reinject", "host_irq", "host_timer"),
    "time": ("timer_program", "timer_due", "timer_delivered", "timer_dropped", "irq_raise",
             "irq_ack", "irq_eoi", "window"),
    "walks": ("walk_begin", "walk_ref", "walk_end"),
    "memory": ("map", "unmap", "flush", "nested_fault", "shadow_fault", "harvest", "shadow_root",
               "shadow_page", "shadow_fill", "shadow_write", "shadow_unsync", "shadow_sync",
               "shadow_zap"),
    "io": ("io", "mmio", "test_port"),
}
WORDS: Dict[str, str] = {
    "sched": "scheduling", "exits": "exits", "time": "timer ticks",
    "walks": "page walks", "memory": "mapping changes", "io": "device accesses"}
SOME = frozenset(GROUPS) - {"exits", "io"}


def option(trace: Trace) -> str:
    """What the machine's command line says after trace=; "all" is the default."""
    given = [word[6:] for word in trace.header.cmdline.split() if word.startswith("trace=")]
    return given[-1] if given else "all"


def asked(trace: Trace) -> FrozenSet[str]:
    """The groups that the run was to record; all where the option makes no sense."""
    word = option(trace)
    if word in ("off", "none", "some"):
        return SOME if word == "some" else frozenset()
    named = frozenset(word.split(","))
    return named if named <= frozenset(GROUPS) else frozenset(GROUPS)


def left_out(trace: Trace) -> List[str]:
    """The groups that the option left out and that indeed have no record."""
    wanted = asked(trace)
    return [group for group, events in GROUPS.items()
            if group not in wanted and not any(len(trace.select(name)) for name in events)]


def has(trace: Trace, group: str) -> bool:
    """Whether no record of this group means that nothing of the kind happened."""
    return group not in left_out(trace)


def remark(trace: Trace) -> Optional[str]:
    """What is left out, in a sentence; None when everything is there."""
    groups = left_out(trace)
    if not groups:
        return None
    if option(trace) == "off":
        return "this run was told to record nothing (its option trace=off)"
    *most, last = [WORDS[group] for group in groups]
    listed = f"{', '.join(most)} and {last}" if most else last
    return (f"not recorded, by the run's option trace={option(trace)}: {listed}; "
            "nothing is said about them here")
