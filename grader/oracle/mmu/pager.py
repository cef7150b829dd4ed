"""Runs of the guest pager and its like (guests/README.md): what they are told, what they found.

The guest holds each access against a model of its own; here its checks are put in words, and
joined with what can be seen from outside: the emulator's log (cost.py) and the tables in the
RAM file (judge.py). Source of the operations' order: guests/pager/main.c.
"""
from __future__ import annotations

import random
import re
from typing import Any, List, Tuple

from grader.oracle.mmu import cost, judge

SAME, FEW = 100, 4      # so many page faults in a row are so few different ones: it never ends

OPERATIONS = ("access", "map", "unmap", "remap", "protect", "age", "switch", "fork", "cow", "large",
              "split", "self", "share", "raw", "mode", "flush", "stale", "fresh", "data", "pair")
DIVERGED = re.compile(r"(?:pager|vtlb): (operation \d+ (?:\(\w+\))?.*?)(?:;|$)", re.MULTILINE)


def guest(at: random.Random, *operations: str, name: str = "pager", args: str = "mmu=shadow",
          ops: Tuple[int, int] = (400, 600), spaces: int = 100) -> str:
    """A guest that does these kinds of operations (none: all), besides mapping and accesses, and
    a seeded number of them, in so many spaces; then it stays as it is."""
    chosen = ("access", "map", *operations) if operations else OPERATIONS
    mix = sum(1 << OPERATIONS.index(each) for each in chosen)
    number = at.randrange(*ops)
    return f"{name} mem=16M {args} -- mix={mix:#x} ops={number} stops={number} "\
        f"spaces={spaces} hold=1"


def failed_checks(run: Any, vm: int = 1) -> List[str]:
    """What a guest found wrong, or that it did not come to its end."""
    told = run.vms[vm - 1]
    name, checks = told["name"], run.checks(vm)
    found = [f"{name}: its check '{check}' has {value:#x}, not {wanted:#x}"
             for check, made in checks.items() for value, wanted, passed in made if not passed]
    if found:
        words = DIVERGED.search(run.console)
        return [f"{name}: {words[1]}"] if words else found
    if told["how"] not in ("EXITED", "TIME_UP"):
        return [f"{name} ended as {told['how']}: {told['why']}"]
    return [] if checks else [f"{name} made no check until its time was up{again(run, vm)}"]


def unfinished(run: Any, vm: int = 1) -> List[str]:
    """It has not done all operations that it was told to do."""
    if "stop" in dict(run.checkpoints(vm)):
        return []
    return [f"{run.vms[vm - 1]['name']} has not done its operations when the time is up: how many "
            f"exits did it cost? ({len(run.exits)}){again(run, vm)}"]


def again(run: Any, vm: int = 1) -> str:
    """If the VM's last page faults are a few hidden ones that never end: which, and what was filled."""
    faults, fills = (run.trace.select(name) for name in ("shadow_fault", "shadow_fill"))
    faults, fills = faults.where(faults.vm == vm), fills.where(fills.vm == vm)
    last = list(zip(*(faults[name][-SAME:].tolist() for name in ("gva", "error", "hidden"))))
    few = sorted(set(last))
    if len(last) < SAME or len(few) > FEW or not all(hidden for _, _, hidden in few):
        return ""
    told = []
    for address, error, _ in few:
        made = fills["after"][(fills["gva"] == address) & (fills["level"] == 1)]
        filled = f", filled with {int(made[-1]):#x}" if len(made) else ""
        told.append(f"gVA {address:#x}, error {error:#x}{filled}")
    return (f"; its last {SAME} page faults are all hidden, and {len(few)} in turn: {'; '.join(told)}. An entry "
            "does not allow the access, or filling one takes away another's (handout, How to debug it: "
            "The same fault for ever)")


def problems(run: Any, least: int = 100, always: bool = True) -> List[str]:
    """All that is wrong with a run of one such guest, in words. always: it never turns paging
    off; least: so many page faults must have exited."""
    return failed_checks(run) or unfinished(run) or cost.unproven(run, least, always) or \
        cost.block_problems(run) + judge.check(run.trace, run.memory)
