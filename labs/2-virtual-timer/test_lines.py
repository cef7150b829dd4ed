"""Lab 2, handout 2.2 and 2.3: what the interrupt controller promises, tried by a guest.

`lines` raises the serial port's line (4) and the timer's (0) and checks what comes, in
which order, and what an end of interrupt ends.  The first two tests need no timer.
"""
from grader.grading import expect, points
from grader.oracle import timekeeping as time


def tried(lab, timer, meanings, rounds=3):
    """Run lines; fail with the first promise that was not kept."""
    more = "" if timer else " timer=0"
    run = lab.run(f"lines ticks=merge -- rounds={rounds}{more}", time="30ms")
    found = time.broken(run.trace, 1, meanings)
    if found:
        lab.picture(run, "timeline")
    expect(not found, "; ".join(found[:2]))
    return run


@points(3, hint="2.3", needs="test_a_guest_runs_to_its_end")
def test_a_masked_line_waits(lab):
    """A request on a masked line is not delivered, not forgotten, and comes when the mask goes."""
    tried(lab, False, {"masked": "no interrupt of line 4 while it is masked",
                       "irr": "the request stands in the request register meanwhile",
                       "unmasked": "one interrupt as soon as the mask is gone"})


@points(3, hint="2.2", needs="test_a_guest_runs_to_its_end")
def test_interrupts_off_means_none_comes(lab):
    """With IF=0 no interrupt comes; the first instructions after STI bring it."""
    run = tried(lab, False, {"ifoff": "no interrupt while the guest has interrupts off",
                             "ifon": "one interrupt as soon as they are on"})
    opened = run.trace.select("window")
    expect(len(opened), "while an interrupt waits for IF=1 the interrupt window is to be open: "
           "the trace has no record of one")
    held = time.held_back(run.trace, 1)
    expect(not held, held)


@points(3, hint="2.3", needs=["test_a_masked_line_waits", "test_a_tick_reaches_its_handler"])
def test_the_most_urgent_line_comes_first(lab):
    """Line 0 is more urgent than line 4: it comes first, it interrupts, it is not interrupted."""
    tried(lab, True, {"order": "of two that wait the timer's comes first (1, then 5: line + 1)",
                      "nested": "in service after a tick in the serial handler: both, 0x11",
                      "held": "line 4 waits while line 0 is in service",
                      "freed": "and comes when that has ended"})


@points(3, hint="2.3", needs=["test_a_masked_line_waits", "test_a_tick_reaches_its_handler"])
def test_an_end_of_interrupt_ends_one(lab):
    """Without an end of interrupt no other comes; it ends the most urgent, or the one it names."""
    tried(lab, True, {"noend": "one tick, and none after it as long as it is not ended",
                      "ended": "the second one after the end of interrupt",
                      "end": "an end of interrupt that names no line leaves line 4 in service",
                      "endnamed": "one that names line 4 leaves line 0 in service"})


@points(2, hint="2.3", needs="test_a_tick_reaches_its_handler")
def test_a_masked_tick_waits(lab):
    """A tick kept out by a mask, or by one in service, is late, not lost: it comes then (merge)."""
    tried(lab, True, {"tickmask": "no tick while the timer's line is masked",
                      "tickopen": "one tick when the mask is gone"})
    run = lab.run("masker ticks=merge -- policy=merge rounds=6 most=5 ways=6", time="150ms")
    found = time.broken(run.trace, 1, {"early": "no tick while the line is masked or one is in service",
                                       "atonce": "one tick at once when that ends"})
    expect(not found, "; ".join(found[:2]))
