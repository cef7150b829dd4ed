"""Lab 2, hidden: the policies when it is the scheduler that keeps a guest from its ticks.

A ticker and a probe share their views of time and a policy; a greedy guest takes most of
the CPU.  One run a cell of the handout's matrix; the expected numbers are worked out
from the scheduler's records and the probe's own TSC.
"""
import random

from grader.grading import expect, points
from grader.oracle import timekeeping as time
from grader.oracle import timer

TICKER, PROBE = 1, 2
HZ, TICKS, PROBE_HZ, PERIODS = 1000, 40, 100, 2
PPM = 10 ** 6
TSC_OF = {"discard": "wall", "merge": "apparent", "delay": "apparent", "slew": "wall"}


def cell(lab, tsc, pit, policy):
    """The run of one cell; its parameters are the same for all tests of a grading."""
    at = random.Random(f"{lab.seed} {tsc} {pit} {policy}")
    view = f"tsc={tsc} pit={pit} ticks={policy}"
    run = lab.run(f"ticker {view} -- hz={HZ} ticks={TICKS}",
                  f"probe {view} -- hz={PROBE_HZ} windows=2 ticks={PERIODS // 2}",
                  f"greedy -- spin={at.randrange(400_000, 900_000)}",
                  option=f"slice={at.randrange(1200, 1900)}us", time="200ms")
    lab.picture(run, "timeline")
    for vm in (TICKER, PROBE):
        expect(run.vms[vm - 1]["how"] == "EXITED",
               f"VM {vm} (tsc={tsc} pit={pit} ticks={policy}) did not come to its end in 200 ms")
    return run


def away(lab, policy):
    """A cell with a wall timer: (what became of ticks, left, ticks stolen, longest wait in ticks)."""
    run = cell(lab, TSC_OF[policy], "wall", policy)
    found = timer.check(run.trace)
    expect(not found, time.dated(run.trace, found[0]) if found else "")
    told = time.totals(run.trace, TICKER)
    counted = time.last(run.trace, TICKER, "ticks")
    expect(counted == TICKS == told["delivered"],
           f"the ticker counted {counted} ticks, asked for {TICKS}; booked as delivered: "
           f"{told['delivered']}")
    life = time.life_of(run.trace, TICKER)
    stolen = life.stolen_at(life.changes[-1][1]) * HZ // 10 ** 9
    longest = max(time.waits(life)) * HZ // 10 ** 9 + 1
    return told, told["due"] - told["delivered"] - told["dropped"], stolen, longest


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_discard_when_descheduled(lab):
    """discard: the ticks that fall due while the VM waits for the CPU are given up."""
    told, left, stolen, _ = away(lab, "discard")
    expect(abs(told["dropped"] - stolen) <= stolen // 2 and left <= 1,
           f"policy discard: about {stolen} ticks fell due while it waited; {told['dropped']} were "
           f"discarded, {left} left")


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_merge_when_descheduled(lab):
    """merge: after each wait one tick comes for all that fell due meanwhile."""
    told, left, stolen, _ = away(lab, "merge")
    expect(0 < told["dropped"] < stolen and left <= 1,
           f"policy merge: {stolen} ticks fell due while it waited, one of each wait is delivered; "
           f"{told['dropped']} were discarded, {left} left")


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_delay_when_descheduled(lab):
    """delay: nothing is given up; the guest falls behind by what it could not take."""
    told, left, stolen, _ = away(lab, "delay")
    expect(not told["dropped"] and stolen // 4 < left <= stolen,
           f"policy delay: of about {stolen} ticks that fell due while it waited those after the first "
           f"of each wait stay owed; {told['dropped']} were discarded, {left} left")


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_slew_when_descheduled(lab):
    """slew: nothing is given up, and after each wait the guest catches up."""
    told, left, _, longest = away(lab, "slew")
    expect(not told["dropped"] and left <= longest,
           f"policy slew: at most the {longest} ticks of the last wait may be owed; {told['dropped']} "
           f"were discarded, {left} left")


def ratio(lab, tsc, pit, policy):
    """The probe's TSC against its timer is that of the two clocks in this run."""
    run = cell(lab, tsc, pit, policy)
    spans = time.spans(run.trace, PROBE, tsc == "wall")
    of_pit = spans.wall if pit == "wall" else spans.apparent
    said = {name: value for name, value, _ in time.checkpoints(run.trace, PROBE)}
    expected = PPM * spans.tsc // of_pit
    slack = PPM * time.READING // of_pit + 1
    if tsc != pit:
        slack = expected * (spans.doubt + 40 * time.READING) // of_pit + 1
    expect(abs(said["tsc/pit"] - expected) <= slack,
           f"tsc={tsc} pit={pit}: by TSC the probe's span is {spans.tsc} ns, by the {pit} clock of its "
           f"timer {of_pit} ns: it should measure {expected} ppm of one against the other, and "
           f"measured {said['tsc/pit']}")
    return run, said


@points(4, hint="2.1", needs="test_a_tick_reaches_its_handler")
def test_the_matrix_of_wall_timers(lab):
    """A probe finds its TSC and a wall timer to differ exactly as their views of time do."""
    for tsc, policy in (("wall", "discard"), ("apparent", "merge")):
        run, said = ratio(lab, tsc, "wall", policy)
        lost = time.totals(run.trace, PROBE)["dropped"]
        missed = said["periods"] - said["ticks"]
        right = (lost, lost - 1) if policy == "discard" else (0,)
        expect(missed in right, f"ticks={policy}: of {said['periods']} periods {missed} brought no tick; "
               f"{lost} were booked as discarded")


@points(4, hint="2.1", needs="test_a_tick_reaches_its_handler")
def test_the_matrix_of_apparent_timers(lab):
    """Under an apparent timer no tick is lost by waiting for the CPU, whatever the policy."""
    for tsc in ("wall", "apparent"):
        policy = lab.random(tsc).choice(sorted(TSC_OF))
        run, said = ratio(lab, tsc, "apparent", policy)
        lost = time.totals(run.trace, TICKER)["dropped"] + time.totals(run.trace, PROBE)["dropped"]
        expect(not lost and said["ticks"] == said["periods"],
               f"tsc={tsc} pit=apparent ticks={policy}: time stands still while the VM waits, but "
               f"{lost} ticks were discarded, {said['ticks']} of {said['periods']} came")
