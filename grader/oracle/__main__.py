"""`python3 -m grader.oracle walk|timer|isolation|mmu|exits RUN_DIR`: verdicts on a run, in words.

RUN_DIR holds trace.bin and, for walk, isolation and mmu, memory.bin; for exits, exits.log (of a
run with --exit-log). Exit status: 0 all
is as it should be, 1 something is not, 2 it could not be judged.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from grader.oracle import compare, exitlog, isolation, timer
from grader.oracle.memory import Memory
from grader.oracle.mmu import judge as mmu, software
from grader.oracle.share import shares
from grader.oracle.verdict import first, tell
from viz.trace import Trace, TraceError, load
from viz.walk_data import Walk, Walks

Verdict = Tuple[List[str], List[str]]       # what is wrong, what else is to be said


class CannotJudge(Exception):
    """One line on why there is no verdict."""


def judge_walks(trace: Trace, run: Path) -> Verdict:
    """Every walk of the trace against the run's memory file."""
    walks = list(Walks(trace))
    if not walks:
        raise CannotJudge("the trace holds no page walk")
    old, places = compare.stale(trace, walks), memory_places(trace)
    wrong: List[str] = []
    notes: List[str] = []
    judged = 0
    with Memory(run / "memory.bin") as memory:
        for walk in walks:
            name = f"walk {walk.number} (VM {walk.vm}, gVA {walk.gva:#x})"
            found, remark = judge_walk(walk, memory, places.get(walk.vm, ()))
            if found and walk.number in old:        # stale tables accuse nobody, but may agree
                found, remark = [], f"not judged: {old[walk.number]}"
            judged += not remark.startswith("not judged")
            wrong += [f"{name}: {text}" for text in found]
            notes += [f"{name}: {remark}"] if remark else []
    if not judged:
        raise CannotJudge(f"none of the {len(walks)} walks can be judged by the memory at the end: "
                          f"{notes[0]}")
    return wrong, first(notes) + [f"{judged} walks of {len(walks)} were held against memory"]


def memory_places(trace: Trace) -> Dict[int, compare.Places]:
    """The memory of each VM that may have tables of its own."""
    return {guest.vm: [(slot.gpa, slot.size, slot.hpa) for slot in guest.slots]
            for guest in isolation.guests(trace) if not software.is_software(trace, guest.vm)}


def judge_walk(walk: Walk, memory: Memory, places: compare.Places = ()) -> Tuple[List[str], str]:
    """Differences from the oracle's walk, and a remark."""
    try:
        return compare.compare(walk, memory, places), ""
    except compare.NotCovered as reason:
        return [], f"not judged: {reason}"


def judge_timer(trace: Trace, run: Path) -> Verdict:
    """All timers; the shares are told because the verdict depends on the schedule."""
    notes = [f"VM {vm} had {100 * part:.2f} % of the CPU" if vm else
             f"the CPU was idle for {100 * part:.2f} %"
             for vm, part in sorted(shares(trace).items())]
    return timer.check(trace), notes


def judge_isolation(trace: Trace, run: Path) -> Verdict:
    """Every living VM's nested tables, and all mappings traced."""
    with Memory(run / "memory.bin") as memory:
        wrong = isolation.check(trace, memory)
    living = [str(guest.vm) for guest in isolation.guests(trace) if guest.alive]
    alive = "VMs alive at the end: " + (", ".join(living) or "none")
    return wrong, [alive, f"{len(trace.select('map').index)} traced mappings were looked at"]


def judge_mmu(trace: Trace, run: Path) -> Verdict:
    """What living VMs' nested and shadow tables say, against the guests' own."""
    with Memory(run / "memory.bin") as memory:
        wrong = mmu.check(trace, memory)
        notes = [f"VM {each.vm.number}: {each.pages} pages of its {each.kind} table were looked at"
                 for each in mmu.judge(trace, memory)]
    return wrong, notes


def judge_exits(trace: Trace, run: Path) -> Verdict:
    """Every exit, held against the emulator's own log."""
    log = exitlog.read(run / "exits.log")
    return exitlog.disagreements(log, trace), [
        f"the emulator logged {len(log)} exits, {exitlog.refusals(log)} of them refused entries"]


JUDGES: Dict[str, Callable[[Trace, Path], Verdict]] = {
    "walk": judge_walks, "timer": judge_timer, "isolation": judge_isolation,
    "mmu": judge_mmu, "exits": judge_exits}


def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="grader.oracle", description=__doc__.split("\n")[0])
    parser.add_argument("oracle", choices=sorted(JUDGES))
    parser.add_argument("run", metavar="RUN_DIR", type=Path)
    args = parser.parse_args(argv)
    try:
        trace = load(str(args.run / "trace.bin"))
        wrong, notes = JUDGES[args.oracle](trace, args.run)
    except (CannotJudge, TraceError, OSError, ValueError) as error:
        print(f"{args.oracle}: cannot be judged: {error}", file=sys.stderr)
        return 2
    return tell(args.oracle, trace, wrong, notes)


if __name__ == "__main__":
    sys.exit(main())
