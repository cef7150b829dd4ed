"""Lab 2, handout 2.5: what becomes of ticks that a guest could not take, one test a policy.

`masker` takes no tick for some seeded periods and knows by its own TSC how many fell
due; then it counts what comes and when.  The table of the handout, line by line.
"""
from grader.grading import expect, points
from grader.oracle import timer
from grader.oracle import timekeeping as time

MOST = 9


def masked(lab, policy, meanings):
    """Run masker under this policy; fail with the first thing that was not as the table says."""
    hz = lab.random().randrange(700, 1300)
    run = lab.run(f"masker ticks={policy} -- policy={policy} rounds=5 most={MOST} ways=1 hz={hz}", time="200ms")
    lab.picture(run, "timeline")
    found, records = time.broken(run.trace, 1, meanings), timer.check(run.trace)
    records = [time.dated(run.trace, each) for each in records[:1]]
    expect(not found, f"policy {policy}: " + "; ".join(found[:2] + records))
    expect(not records, "; ".join(records))
    told = time.totals(run.trace, 1)
    counted, due = time.last(run.trace, 1, "ticks"), time.last(run.trace, 1, "due")
    expect(counted == told["delivered"], f"policy {policy}: the guest counted {counted} ticks, but "
           f"{told['delivered']} were booked as delivered")
    expect(told["due"] in (due, due + 1), f"policy {policy}: by the guest's TSC {due} ticks fell due, "
           f"but {told['due']} were booked")
    return told, told["due"] - told["delivered"] - told["dropped"]


def no_backlog(policy, told, left):
    """Fail unless late ticks were given up and none is owed."""
    expect(told["dropped"] > 0 and left <= 1,
           f"policy {policy} keeps no backlog: {told['dropped']} discarded, {left} left")


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_discard(lab):
    """discard: late ticks are given up, all of them; the next comes at its regular time."""
    told, left = masked(lab, "discard", {
        "atonce": "no tick at once: the late ones are gone",
        "ticks": "as many ticks as fell due after that", "phase": "all in phase with the timer"})
    no_backlog("discard", told, left)


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_merge(lab):
    """merge: of k late ticks one comes at once and k - 1 are given up."""
    told, left = masked(lab, "merge", {
        "atonce": "one tick at once", "ticks": "one tick for all that were late",
        "phase": "but for that one, all in phase with the timer"})
    no_backlog("merge", told, left)


@points(3, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_delay(lab):
    """delay: one comes at once, the others stay owed: none is given up, none comes faster."""
    told, left = masked(lab, "delay", {
        "atonce": "one tick at once", "ticks": "one tick for all that were late",
        "phase": "but for that one, all in phase with the timer"})
    expect(not told["dropped"] and left > 0,
           f"policy delay gives up no tick, and owes what it did not deliver: {told['dropped']} "
           f"discarded, {left} left")


@points(4, hint="2.5", needs="test_a_tick_reaches_its_handler")
def test_slew(lab):
    """slew: the late ticks are delivered faster than the timer's rate until none is owed."""
    told, left = masked(lab, "slew", {
        "ticks": "every tick, the late ones as well",
        "slew": "caught up after the sum of period / (min(backlog, 7) + 1)"})
    expect(not told["dropped"] and left <= 1,
           f"policy slew gives up no tick and owes none in the end: {told['dropped']} discarded, "
           f"{left} left")
    run = lab.run(f"masker ticks=slew -- policy=slew rounds=1 least={MOST} most={MOST} ways=1 hz=1000",
                  time="60ms")
    found = [periods for owed, periods in time.caught_up(run.trace, 1, 1000) if owed == MOST]
    expect(len(found), f"of {MOST} late ticks the guest was to catch up with all: it never did")
    lab.measure("catch_up", round(found[0], 2))
