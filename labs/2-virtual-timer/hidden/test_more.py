"""Lab 2, hidden: other seeds, more VMs, and what only shows with neighbours."""
from grader.grading import expect, points
from grader.oracle import timekeeping as time
from grader.oracle import timer


@points(5, hint="2.4", needs="test_a_tick_reaches_its_handler")
def test_three_vms_three_rates(lab):
    """Three VMs with timers of different rates each get theirs, and no other's."""
    at = lab.random()
    rates = [at.randrange(300, 500), at.randrange(600, 900), at.randrange(1000, 1600)]
    run = lab.run(*(f"ticker ticks=slew tsc=apparent pit=apparent -- hz={hz} ticks={hz // 20}"
                    for hz in rates), option="slice=900us", time="400ms")
    lab.picture(run, "timeline")
    for vm, hz in enumerate(rates, 1):
        counted = time.last(run.trace, vm, "ticks")
        expect(counted == hz // 20, f"VM {vm} asked for {hz // 20} ticks at {hz} Hz; it counted {counted}")
        wrong = time.disagreement(run, vm)
        expect(not wrong, wrong)
    found = timer.check(run.trace)
    expect(not found, time.dated(run.trace, found[0]) if found else "")


@points(4, hint="2.6", needs="test_the_counter_counts_down")
def test_the_counter_is_virtual(lab):
    """A guest that is descheduled finds its counter where its own clock is, not the host's."""
    run = lab.run("counter tsc=apparent pit=apparent -- rounds=1", "greedy -- spin=1000000",
                  option=f"slice={lab.random().randrange(400, 900)}us", time="400ms")
    lab.picture(run, "timeline")
    expect(len(time.waits(time.life_of(run.trace, 1))) > 5, "the counter guest hardly ever waited")
    found = time.broken(run.trace, 1, {"value": "no reading outside of what the apparent TSC allows",
                                       "order": "no reading out of order"})
    expect(not found, "; ".join(found[:2]))


@points(2, hint="2.4", needs="test_a_tick_reaches_its_handler")
def test_half_a_count(lab):
    """A channel of which only one half is written and read counts in that half."""
    run = lab.run("counter -- rounds=2", time="700ms")
    found = time.broken(run.trace, 1, {"low": "the low half alone", "high": "the high half alone"})
    expect(not found, "; ".join(found[:2]))


@points(3, hint="2.3", needs="test_an_end_of_interrupt_ends_one")
def test_lines_again(lab):
    """What the interrupt controller promises holds for other pauses, and under slew."""
    run = lab.run("lines ticks=slew -- rounds=8", time="100ms")
    found = time.broken(run.trace, 1, {
        "masked": "nothing while masked", "unmasked": "one when the mask goes",
        "ifoff": "nothing while IF=0", "order": "the urgent one first", "nested": "both in service",
        "end": "the most urgent ends", "endnamed": "the named one ends", "held": "the less urgent waits"})
    expect(not found, "; ".join(found[:2]))


@points(4, hint="2.4", needs="test_a_tick_reaches_its_handler")
def test_no_tick_comes_twice(lab):
    """However a slice ends, each tick is handled once: guest, timer and emulator agree."""
    at = lab.random()
    run = lab.run(*(f"ticker tsc=apparent pit=apparent -- hz={at.randrange(20000, 33000)} ticks=400"
                    for _ in range(3)), option=f"slice={at.randrange(100, 300)}us", time="200ms")
    lab.picture(run, "timeline")
    for vm in (1, 2, 3):
        wrong = time.disagreement(run, vm)
        expect(not wrong, wrong)
