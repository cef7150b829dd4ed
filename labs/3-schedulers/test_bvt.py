"""Lab 3, handout 3.1 to 3.3: borrowed virtual time."""
from grader.grading import expect, points
from grader.oracle.sched import workload, world
from grader.oracle.sched.common import MS, S
from grader.oracle.sched.play import Player

SIM = "sim/schedsim"


@points(5, hint="3.2")
def test_bvt_takes_turns(lab):
    """Three that always want the CPU: who runs, until when and why is exactly as the text has it."""
    player = Player(lab.program(SIM, "serve"), "bvt")
    world.World(player, [world.hog(mcu_adv=a) for a in (10, 20, 10)]).play(400 * MS)


@points(6, hint="3.1", needs="test_bvt_takes_turns")
def test_bvt_decides(lab):
    """Forty random workloads that block, wake, yield, come and go: each decision is the oracle's."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "bvt", at)


@points(5, hint="3.2", needs="test_bvt_takes_turns")
def test_bvt_shares(lab):
    """Shares are as the inverse weights, and at no time does anybody lag far behind."""
    advances = (20, 10, 5)
    player = Player(lab.program(SIM, "serve"), "bvt", oracle=False)
    played = world.World(player, [world.hog(mcu_adv=a) for a in advances]).play(30 * S)
    for vm, (share, part) in enumerate(zip(played.shares(), (1, 2, 4)), 1):
        expect(abs(share - part / 7) <= 0.02, f"with mcu_adv {advances} VM {vm} should have "
               f"{100 * part / 7:.1f} % of the CPU; it had {100 * share:.1f} %")
    virtual, most = [0, 0, 0], 51 * max(advances)
    for vm, start, end in played.spans:
        virtual[vm - 1] += -(-(end - start) // 100_000) * advances[vm - 1]
        lag = max(virtual) - min(virtual)
        expect(lag <= most, f"at {end} ns the virtual times are {virtual}: the lag is {lag}, and "
               f"(C/MCU + 1) x the largest mcu_adv = {most} is the most")


@points(5, hint="3.3", needs="test_bvt_takes_turns")
def test_bvt_warps(lab):
    """With warp, its limit and its pause, on and off at run time: each decision is the oracle's."""
    program, at = lab.program(SIM, "serve"), lab.random()
    style = workload.Style(warp=True)
    workload.play(program, "bvt", at, style)
