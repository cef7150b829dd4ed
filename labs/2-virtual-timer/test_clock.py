"""Lab 2, handout 2.1: each VM's own clock, wall and apparent, as its guest sees it in the TSC.

The probe reads its TSC over and over and notes the gaps.  What the gaps should be is
worked out from the scheduler's records of who waited when.
"""
from grader.grading import expect, points
from grader.oracle import timekeeping as time
from grader.oracle import timer

UNSEEN = 20_000         # ns: an exit or two and a tick; no wait of a slice is as short
PROBE = "probe tsc={0} pit={0} ticks=merge -- hz=100 windows=2 ticks=1"


def gaps(lab, view):
    """(the run, what the probe said, its waits for the CPU in ns) beside a greedy guest."""
    spin = lab.random().randrange(400_000, 900_000)
    run = lab.run(PROBE.format(view), f"greedy -- spin={spin}", option="slice=1ms", time="150ms")
    lab.picture(run, "timeline")
    said = {name: value for name, value, _ in time.checkpoints(run.trace, 1)}
    expect("holes" in said, "the probe (VM 1) did not come to its end: it is still waiting for its "
           "timer after 150 ms")
    found = time.broken(run.trace, 1, {"tscback": "the TSC never runs back"})
    expect(not found, "; ".join(found[:2]))
    return run, said, time.waits(time.life_of(run.trace, 1))[1:]


@points(4, hint="2.1", needs="test_a_tick_reaches_its_handler")
def test_the_apparent_tsc_hides_the_waits(lab):
    """With tsc=apparent a guest cannot see in its TSC that it waited for the CPU."""
    run, said, waits = gaps(lab, "apparent")
    expect(len(waits) > 10, "the probe hardly ever waits for the CPU: the greedy guest is to have "
           "half of it")
    expect(said["gapmax"] < UNSEEN,
           f"between two readings of the apparent TSC there should be some hundred ns, never as much "
           f"as a wait of {min(waits)} ns; the longest gap is {said['gapmax']} ns, and {said['holes']} "
           "gaps are holes: the TSC's offset must leave out the stolen time")
    found = timer.check(run.trace)
    expect(not found, f"vclock_ns, during a wait as well: {time.dated(run.trace, found[0])}" if found else "")


@points(2, hint="2.1", needs="test_a_tick_reaches_its_handler")
def test_the_wall_tsc_shows_the_waits(lab):
    """With tsc=wall the same guest sees a hole in its TSC for each wait."""
    _, said, waits = gaps(lab, "wall")
    longest = max(waits)
    expect(longest <= said["gapmax"] + UNSEEN and said["holes"] >= len(waits) // 2,
           f"the wall TSC goes on while the guest waits: expected holes of up to {longest} ns, saw "
           f"{said['holes']}, the longest of {said['gapmax']} ns")
