"""Lab 4, handout 4.3 to 4.8: guests on a shadow. What they see is checked by themselves, and
what the processor used is read from its memory."""
from grader.grading import expect, points
from grader.oracle.mmu import cost, pager, pieces
from viz.walk_data import Walks


def tortured(lab, *operations, **more):
    """A run of pager with these kinds of operations: nothing is wrong with it."""
    run = lab.run(pager.guest(lab.random(), *operations, **more), option="trace=memory", time="80ms")
    wrong = pager.problems(run)
    expect(not wrong, "; ".join(wrong[:2]))
    return run


@points(2, hint="4.6")
def test_a_guest_boots(lab):
    """A guest comes to its end on a shadow."""
    run = lab.run("hello mem=4M mmu=shadow", option="trace=memory", time="40ms")
    wrong = pager.failed_checks(run) or cost.unproven(run, 8)
    expect(not wrong, wrong[0] if wrong else "")


@points(2, hint="4.6", needs="test_a_guest_boots")
def test_the_processors_walk_is_short(lab):
    """What the processor walks has one dimension: four references, to the page that the guest meant."""
    run = lab.run("walker mem=8M mmu=shadow -- pages=8", option="trace=walks,memory", time="40ms")
    lab.picture(run, "walk", vm=1)
    wrong = pager.failed_checks(run) or cost.unproven(run, 40)
    expect(not wrong, wrong[0] if wrong else "")
    walks = [walk for walk in Walks(run.trace) if walk.kind == "SHADOW" and not walk.faulted]
    expect(walks, "the guest asked for walks, and none was made through a shadow")
    counts = {sum(ref.dim == "SHADOW" for ref in walk.refs) for walk in walks}
    lab.measure("refs", max(counts))
    expect(counts == {4}, f"walks of the shadow should make 4 references; these made {sorted(counts)}")


@points(4, hint="4.4", needs="test_a_guest_boots")
def test_faults_are_exact(lab):
    """What the guest's tables forbid faults with the code and the CR2 of a processor, and nothing else does."""
    tortured(lab, "unmap", "protect")


@points(4, hint="4.6", needs="test_a_guest_boots")
def test_accessed_and_dirty(lab):
    """A and D are set in the guest's entries when a processor would set them, and not before."""
    tortured(lab, "age")


@points(4, hint="4.6", needs="test_a_guest_boots")
def test_modes(lab):
    """CR0.WP, EFER.NXE and CR4.PGE, changed at any time: each access by the rules of the moment."""
    tortured(lab, "mode", "protect", ops=(1500, 2000))


@points(4, hint="4.5", needs="test_a_guest_boots")
def test_large_pages(lab):
    """Pages of 2 MiB and 1 GiB, made, split and given up."""
    wrong = pieces.problems(tortured(lab, "large", "split", "protect").trace)
    expect(not wrong, "; ".join(wrong))


@points(4, hint="4.7", needs="test_a_guest_boots")
def test_tables_are_memory(lab):
    """A page that is a table at two levels, in its own space, or data at once; written in any size."""
    tortured(lab, "self", "share", "raw", "data", "pair")


@points(4, hint="4.8", needs="test_a_guest_boots")
def test_old_or_new(lab):
    """Between a change and its flush an access sees the old or the new tables; after it, the new ones."""
    tortured(lab, "remap", "unmap", "stale", "flush")


@points(4, hint="4.3", needs="test_a_guest_boots")
def test_hundred_spaces(lab):
    """A hundred address spaces, copied, shared and written to on copy."""
    tortured(lab, "switch", "fork", "cow", "fresh")
