"""Lab 5, handout 5.7: the same code in the machine, with a guest that believes nothing."""
import random

from grader.grading import expect, points
from grader.oracle import regions


def checked(run, vm, *names):
    """The guest's self-checks of these names were made and passed."""
    checks = run.checks(vm)
    for name, about in names:
        expect(name in checks, f"the guest came to its end without the check '{name}' ({about}): "
               f"{run.vms[vm - 1]['why']}")
        wrong = [value for value, _, passed in checks[name] if not passed]
        expect(not wrong, f"{about}: {wrong[0] if wrong else 0} times it was not so (check '{name}')")


def the_run(lab):
    """One run for most tests: it stays, so that its tables can be looked at."""
    memory = regions.Layout.random(random.Random(lab.seed))
    return memory, lab.run(f"regions {memory.arguments} -- {memory.told} rounds=30 hold=1",
                           time="60ms")


@points(6, hint="5.7", needs=("test_faults_are_filled", "test_map"))
def test_memory_is_as_promised(lab):
    """Each page that a guest reaches is the one, and may be used so, as its VM arguments say."""
    memory, run = the_run(lab)
    checked(run, 1, ("ram", "memory keeps what is written"))
    lab.measure("faults", regions.faults_of_second_round(run, 1))
    wrong = regions.problems(run, 1, memory)
    expect(not wrong, "; ".join(wrong[:2]))


@points(5, hint="5.6", needs=("test_faults_are_told_apart", "test_memory_is_as_promised"))
def test_rom_and_holes(lab):
    """A ROM is read, executed and never changed; a hole reads all ones; tables may be anywhere else."""
    _, run = the_run(lab)
    checked(run, 1, ("rom", "a ROM holds what it always held"), ("code", "a ROM can be executed"),
            ("dropped", "what is written to a ROM is dropped"), ("hole", "a hole reads all ones"),
            ("table", "page tables may lie in memory that is not executable"))


@points(3, hint="5.5", needs=("test_harvest", "test_memory_is_as_promised"))
def test_pages_in_use(lab):
    """Which pages the guest has read and written, the processor noted; asked twice, it is told once."""
    _, run = the_run(lab)
    checked(run, 1, ("used", "the pages in use are those that were told"))
    told = run.trace.select("harvest")["used"].tolist()
    expect(len([each for each in told if each]) >= 8, f"of {len(told)} harvests only "
           f"{len([each for each in told if each])} found a page in use")


@points(4, hint="5.6", needs=("test_faults_are_told_apart", "test_memory_is_as_promised"))
def test_what_ends_a_guest(lab):
    """Code where none may be, tables in a ROM or a hole: that VM ends, at that, and no other."""
    at = lab.random()
    for last, how in at.sample(sorted(regions.LAST.items()), 3):
        memory = regions.Layout.random(at)
        run = lab.run(f"regions {memory.arguments} -- {memory.told} rounds=2 end={last}",
                      "keeper mem=4M -- pages=16 hz=500 rounds=12", option="slice=500us",
                      time="80ms")
        checked(run, 1, ("ram", "memory keeps what is written"))
        expect(run.vms[1]["how"] == "EXITED" and not run.vms[1]["checks_failed"],
               f"its neighbour should have gone on to its end: {run.vms[1]['why']}")
        expect(run.vms[0]["how"] == how, f"a guest that {regions.WORDS[last]} should end as {how}; "
               f"it ended as {run.vms[0]['how']}: {run.vms[0]['why']}")
        wrong = regions.last_fault(run, 1, memory, last)
        expect(not wrong, wrong)


@points(3, hint="5.9", needs=("test_a_walk_makes_24_references", "test_memory_is_as_promised"))
def test_walks_of_the_machine(lab):
    """Walks that guests ask for are the processor's, by the machine's own memory."""
    run = lab.run("walker mem=8M -- pages=24 rounds=0", option="trace=walks,memory,exits",
                  time="12ms")
    lab.picture(run, "walk", vm=1)
    wrong = regions.walk_problems(run, least=40)
    expect(not wrong, wrong[0] if wrong else "")
