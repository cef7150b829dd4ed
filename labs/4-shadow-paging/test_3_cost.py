"""Lab 4, handout 4.3 to 4.8: what it costs, in exits, by the emulator's own log."""
from grader.grading import expect, points
from grader.oracle.mmu import cost, judge, pager

SPACES, PAGES, TIMES = 100, 4, 64
FIRST, AGAIN, SINGLY, TOGETHER, TABLES, REFUSED = range(6)
SPARE = 16      # exits by the way: the guest's code, its stack


def phases(lab):
    """One run for all tests: the exits of each kind of work."""
    run = lab.run(f"spaces mem=16M mmu=shadow -- spaces={SPACES} pages={PAGES} times={TIMES} hold=1",
                  option="trace=memory", time="45ms")
    wrong = pager.failed_checks(run) or cost.unproven(run, SPACES)
    expect(not wrong, wrong[0] if wrong else "")
    found = cost.phases(run)
    expect(len(found) == 6, f"the guest was done with {len(found)} of 6 kinds of work when its time was "
           f"up, after {len(run.exits)} exits")
    return run, found


def at_most(what, seen, most, least=0):
    expect(seen <= most, f"{what}: {seen} page faults exited; at most {most} are needed")
    expect(seen >= least, f"{what}: {seen} page faults exited; on a shadow it cannot be less than {least}")


@points(2, hint="4.6", needs="test_a_guest_boots")
def test_first_touches(lab):
    """A page's first use costs at most a fault to read it and one to write it; the end is the composition."""
    run, found = phases(lab)
    most = SPACES * (2 * PAGES + 3) + 2 * TIMES + 4 * SPARE
    at_most(f"{SPACES} spaces with {PAGES} pages each, used first", found[FIRST].faults, most, SPACES)
    wrong = cost.block_problems(run) + judge.check(run.trace, run.memory)
    expect(not wrong, "; ".join(wrong[:2]))


@points(5, hint="4.3", needs="test_a_guest_boots")
def test_coming_back_costs_nothing(lab):
    """Going through a hundred spaces again: one exit for each MOV CR3, and no page fault."""
    _, found = phases(lab)
    lab.measure("again", found[AGAIN].faults)
    expect(found[AGAIN].loads == SPACES, f"{SPACES} times CR3 was loaded, {found[AGAIN].loads} exits for it")
    at_most(f"the same {SPACES} spaces again", found[AGAIN].faults, SPARE)


@points(4, hint="4.8", needs="test_a_guest_boots")
def test_changed_entries(lab):
    """An entry that is changed costs one fault and its INVLPG; neighbours keep what they have."""
    _, found = phases(lab)
    expect(found[SINGLY].flushes == TIMES, f"{TIMES} times INVLPG, {found[SINGLY].flushes} exits for it")
    at_most(f"{TIMES} entries changed and flushed one by one", found[SINGLY].faults, TIMES + SPARE, TIMES // 2)
    at_most(f"{TIMES} entries changed before one MOV CR3", found[TOGETHER].faults, TIMES + SPARE, 1)


@points(4, hint="4.7", needs="test_a_guest_boots")
def test_changed_tables(lab):
    """A table taken out and put back: two writes, one fault, and no neighbour loses anything."""
    _, found = phases(lab)
    at_most(f"{TIMES} times a table out and in", found[TABLES].faults, 3 * TIMES + SPARE, TIMES)


@points(3, hint="4.4", needs="test_a_guest_boots")
def test_faults_of_the_guests(lab):
    """A fault of the guest's costs one exit; of those that are not its own it sees none."""
    run, found = phases(lab)
    lab.measure("seen", round(100 * TIMES / max(1, int(run.left("PF").sum())), 1))
    at_most(f"{TIMES} accesses that the guest's tables forbid", found[REFUSED].faults, TIMES + SPARE, TIMES)
