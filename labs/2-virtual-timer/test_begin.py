"""Lab 2: what all other tests rest on: a guest runs, and a tick reaches it.

Three sources must agree on a tick: the timer's records, the guest's own count, and the
emulator, which saw each handler end its interrupt.
"""
from grader.grading import expect, points
from grader.oracle import timekeeping as time

RATE = 1193182


@points(2, hint="2.2")
def test_a_guest_runs_to_its_end(lab):
    """A guest that uses no timer runs to its end, and is given no interrupt."""
    run = lab.run("hello", time="100ms")
    expect(run.vms[0]["how"] == "EXITED" and not run.vms[0]["checks_failed"],
           f"hello should exit with all checks passed; it ended with {run.vms[0]['how']}, "
           f"{run.vms[0]['checks_failed']} checks failed")
    given = len(run.trace.select("irq_ack"))
    expect(not given, f"hello asked for no interrupt, but {given} were accepted")


@points(4, hint="2.4", needs="test_a_guest_runs_to_its_end")
def test_a_tick_reaches_its_handler(lab):
    """A guest alone gets each tick of its timer once, when it is due."""
    hz, ticks = lab.random().randrange(400, 900), 40
    run = lab.run(f"ticker -- hz={hz} ticks={ticks}", time="150ms")
    lab.picture(run, "timeline")
    took = time.last(run.trace, 1, "tsc")
    expect(took is not None, f"the ticker waits for {ticks} ticks at {hz} Hz; after 150 ms it has not "
           f"seen them: {time.totals(run.trace, 1)['due']} fell due, "
           f"{time.totals(run.trace, 1)['delivered']} were delivered")
    wrong = time.disagreement(run, 1)
    expect(not wrong, wrong)
    reload = (RATE + hz // 2) // hz
    right = ticks * reload * 10 ** 9 // RATE
    expect(abs(took - right) < right // ticks // 4,
           f"{ticks} ticks at {hz} Hz take {right} ns; by its TSC the guest had them after {took} ns: "
           "the real timer must be armed for the next virtual tick, and for no other time")
    fired = int(run.left("INTR").sum())
    expect(fired <= 2 * ticks, f"for {ticks} ticks the real timer made the guest exit {fired} times: it is "
           "armed for a time that is past. vcpu_timer_next gives the host's clock, next_own the VM's")
