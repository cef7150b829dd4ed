"""Lab 2, handout 2.6: the counter that a guest reads back is that of its own timer.

`counter` reads it in every way and holds each reading against its TSC: a reading was
made between two moments, so it must lie between two counts.
"""
from grader.grading import expect, points
from grader.oracle import timekeeping as time


def counted(lab, meanings):
    """Run counter; fail with the first reading that cannot be right."""
    run = lab.run("counter -- rounds=2", time="700ms")
    found = time.broken(run.trace, 1, meanings)
    expect(not found, "; ".join(found[:2]))


@points(3, hint="2.6", needs="test_a_guest_runs_to_its_end")
def test_the_counter_counts_down(lab):
    """In modes 0, 2 and 3 the counter shows what the VM's clock says, and never jumps."""
    counted(lab, {"value": "no reading outside of what the TSC allows (modes 0, 2, 3)",
                  "order": "no reading out of order"})


@points(3, hint="2.6", needs="test_a_guest_runs_to_its_end")
def test_a_latched_count_is_held(lab):
    """What was latched stays until it is read; a status comes before the count."""
    counted(lab, {"latch": "the count of the moment of the first latch command",
                  "status": "access and mode in the status byte, read first",
                  "back": "then the count of the same moment"})
