"""Lab 4, handout 4.9: a guest that fills its own TLB."""
import numpy as np

from grader.grading import expect, points
from grader.oracle.mmu import cost, judge, pager


@points(4, hint="4.9", needs="test_a_guest_boots")
def test_its_own_tlb(lab):
    """A guest without page tables: what it fills is there as it asked for it, and nothing else."""
    ops = lab.random().randrange(500, 700)
    run = lab.run(f"vtlb mem=15M mmu=vtlb -- ops={ops} hold=1", option="trace=memory", time="60ms")
    wrong = pager.failed_checks(run)
    expect(not wrong, wrong[0] if wrong else "")
    said = dict(run.checkpoints(1))
    expect("vanished" in said, f"the guest has not done its operations when the time is up, after "
           f"{len(run.exits)} exits")
    calls = int(np.count_nonzero(run.left("HYPERCALL")))
    expect(calls >= said["misses"], f"the guest filled {said['misses']} times, and by the emulator's log "
           f"it called {calls} times")
    wrong = cost.unproven(run, said["misses"]) or judge.check(run.trace, run.memory)
    expect(not wrong, "; ".join(wrong[:2]))
