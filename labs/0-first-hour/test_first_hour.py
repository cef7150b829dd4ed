"""Lab 0: does the set-up work?  One run, and everything that the handout shows of it.

The same two guests as in `make run LAB=0`, for half a second: exits, a schedule and a
walk, each judged by what the sources of a run agree on.
"""
from grader.grading import expect, points
from grader.oracle import share
from viz.walk_data import Walks


@points(1, hint="0.3")
def test_the_set_up_works(lab):
    """Two guests share the CPU: both run to the end, half of it each, and one has its walk recorded."""
    run = lab.run("ticker -- hz=100", "greedy", option="sched=rr slice=10ms", time="500ms")
    lab.picture(run, "timeline")
    lab.picture(run, "walk", vm=1)
    for vm in run.vms:
        expect(vm["how"] == "TIME_UP" and vm["checks_passed"] and not vm["checks_failed"],
               f"VM {vm['vm']} ({vm['name']}) should run until the time is up with all checks "
               f"passed: it ended with {vm['how']}, {vm['checks_failed']} checks failed")
    greedy = share.shares(run.trace)[2]
    lab.measure("greedy", round(100 * greedy, 1))
    expect(abs(greedy - 0.5) < 0.02,
           f"the greedy guest should have half of the CPU, it had {100 * greedy:.1f} %")
    walks = Walks(run.trace)
    longest = max((len(walk.refs) for walk in walks if walk.vm == 1), default=0)
    lab.measure("references", longest)
    expect(longest == 24, "the ticker's walk should have 24 references: four levels of the guest, "
           f"each behind four of the host, and four for the data; it has {longest}")
