"""Lab 3, handout 3.11: the same code in the machine, where time does not stand still."""
from grader.grading import expect, points
from grader.oracle import share
from grader.oracle.sched import repeat, replay

SIM = "sim/schedsim"


def judged(lab, sched, first, second):
    """A short run: each decision is the oracle's, the same calls repeat it on the host, and the
    first two VMs get these parts of the CPU."""
    hz = lab.random().randrange(200, 300)
    run = lab.run("ticker weight=512 mcu_adv=5 slice=20ms period=50ms extratime=off -- hz=100",
                  "greedy slice=10ms period=100ms", f"ticker -- hz={hz} halt=1",
                  option=f"sched={sched}", time="200ms")
    lab.picture(run, "timeline")
    [result] = replay.compare(run.trace)
    expect(not result.problems, result.problems[0] if result.problems else "")
    expect(result.picks > 50 and result.kinds.get("WAKE", 0) > 5,
           f"only {result.picks} decisions and {result.kinds.get('WAKE', 0)} wakes in 200 ms")
    same = repeat.repeat(run.trace, lab.program(SIM, "serve"))
    expect(same == result.picks, f"{same} of {result.picks} decisions were repeated on the host")
    parts = share.shares(run.trace)
    for vm, wanted in ((1, first), (2, second)):
        expect(abs(parts.get(vm, 0) - wanted) < 0.06, f"{sched}: VM {vm} should have about "
               f"{100 * wanted:.0f} % of the CPU; it had {100 * parts.get(vm, 0):.1f} %")


@points(3, hint="3.11", needs="test_bvt_takes_turns")
def test_live_bvt(lab):
    """BVT in the machine: the oracle's decisions, and again on the host."""
    judged(lab, "bvt", 2 / 3, 1 / 3)


@points(3, hint="3.11", needs="test_sedf_takes_turns")
def test_live_sedf(lab):
    """SEDF in the machine: the oracle's decisions, and again on the host."""
    judged(lab, "sedf", 0.4, 0.58)


@points(3, hint="3.11", needs="test_credit_takes_turns")
def test_live_credit(lab):
    """Credit in the machine: the oracle's decisions, and again on the host."""
    judged(lab, "credit", 2 / 3, 1 / 3)
