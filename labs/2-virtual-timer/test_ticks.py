"""Lab 2, handout 2.2 and 2.4: ticks fall due, are taken, and are all accounted for.

The timer oracle judges every record of a run; what it cannot know (whether the guest had
interrupts on) the guests check themselves.
"""
from grader.grading import expect, points
from grader.oracle import share, timer
from grader.oracle import timekeeping as time


def judged(run):
    """Fail with the first record that breaks a rule, and when that was."""
    found = timer.check(run.trace)
    expect(not found, f"{time.dated(run.trace, found[0]) if found else ''} "
           f"[{len(found)} such records]")


@points(4, hint="2.4", needs="test_a_tick_reaches_its_handler")
def test_every_record_balances(lab):
    """At every record delivered + backlog + discarded = due, and due is what rate and clock demand."""
    at = lab.random()
    run = lab.run(f"masker ticks=delay -- policy=delay rounds=4 most=5 ways=1 hz={at.randrange(500, 1500)}",
                  f"ticker ticks=merge -- hz={at.randrange(200, 600)} halt=1",
                  f"ticker ticks=slew -- hz={at.randrange(1000, 3000)}",
                  option="slice=700us", time="60ms")
    lab.picture(run, "timeline")
    judged(run)


@points(4, hint="2.2", needs="test_a_tick_reaches_its_handler")
def test_a_tick_waits_for_interrupts(lab):
    """While a guest has interrupts off it gets no tick; when they are on, it has one at once (merge)."""
    run = lab.run("masker ticks=merge -- policy=merge rounds=6 most=5 ways=1", time="150ms")
    lab.picture(run, "timeline")
    found = time.broken(run.trace, 1, {
        "early": "no tick while interrupts are off",
        "atonce": "one tick at once when that ends"})
    expect(not found, "; ".join(found[:2]))
    wrong = time.disagreement(run, 1)
    expect(not wrong, wrong)


@points(2, hint="2.4", needs="test_a_tick_reaches_its_handler")
def test_a_halted_guest_wakes(lab):
    """A guest in HLT with interrupts on takes its ticks on time: none is late, so none is lost."""
    run = lab.run("ticker ticks=discard tsc=apparent pit=apparent -- hz=500 ticks=20 halt=1",
                  time="100ms")
    expect(time.last(run.trace, 1, "tsc") is not None,
           "the ticker sleeps until each of its 20 ticks; after 100 ms at 500 Hz it still sleeps: a "
           f"halted guest can take a tick ({time.totals(run.trace, 1)['due']} fell due, "
           f"{time.totals(run.trace, 1)['dropped']} were discarded)")
    wrong = time.disagreement(run, 1)
    expect(not wrong, wrong)
    lost = time.totals(run.trace, 1)["dropped"]
    expect(not lost, f"nothing kept the guest from its ticks, but {lost} of them were discarded as late")


@points(3, hint="2.2", needs="test_a_tick_reaches_its_handler")
def test_windows_and_timers_cost_little(lab):
    """A window closes again, and a guest that takes no ticks costs no real timer interrupts."""
    for way, kept in ((1, "its interrupts off"), (2, "the line masked")):
        run = lab.run(f"masker ticks=delay -- policy=delay rounds=2 most=20 ways={way} hz=2000", time="60ms")
        told = time.totals(run.trace, 1)
        intr, windows = (int(run.left(word).sum()) for word in ("INTR", "INTR_WINDOW"))
        expect(windows <= told["delivered"],
               f"{windows} exits for an interrupt window, but only {told['delivered']} ticks were "
               f"delivered to a guest that has {kept} for a while: the window must close when nothing "
               "waits that the guest could take (waits, 2.2)")
        expect(intr <= told["delivered"] + 10,
               f"the guest took {told['delivered']} of {told['due']} ticks and had {kept} for "
               f"the others, but the real timer made it exit {intr} times: vtimer_next (2.4) says when "
               "there is nothing to wake up for")
        found = time.broken(run.trace, 1, {"early": f"no tick while the guest has {kept}"})
        expect(not found, "; ".join(found[:2]))


@points(4, hint="2.2", needs="test_a_tick_reaches_its_handler")
def test_a_greedy_guest_takes_nothing(lab):
    """A guest that masks interrupts and reprograms its timer without end moves nobody's share."""
    spin = lab.random().randrange(2_000_000, 6_000_000)
    run = lab.run("ticker -- hz=100", "ticker ticks=discard -- hz=100", f"greedy -- spin={spin}",
                  option="slice=5ms", time="225ms")
    lab.picture(run, "timeline")
    parts = share.shares(run.trace)
    lab.measure("greedy_share", round(100 * parts[3], 1))
    told = time.totals(run.trace, 2)
    lab.measure("ticks_discard", round(100 * told["delivered"] / max(told["due"], 1)))
    for vm in (1, 2, 3):
        expect(abs(parts[vm] - 1 / 3) < 0.03,
               f"each of the three should have a third of the CPU; VM {vm} had {100 * parts[vm]:.1f} %: "
               "the real timer must end each slice, whatever the guest does with its own")
