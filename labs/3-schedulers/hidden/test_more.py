"""Lab 3, hidden: years of sleep, several CPUs, the historical charging, and nobody idles."""
from grader.grading import expect, points
from grader.oracle.sched import workload, world
from grader.oracle.sched.common import MS, S
from grader.oracle.sched.play import Player

SIM = "sim/schedsim"
CENTURIES = 540 * 365 * 86400 * S


@points(4, hint="3.1", needs="test_bvt_takes_turns")
def test_bvt_sleeps_for_years(lab):
    """After years of idling, and after runs of hours, a decision is as it was on the first day."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "bvt", at, workload.Style(vms=3, years=True, warp=True), number=30)
    player = Player(program, "bvt", about="bvt, after a run of centuries")
    for vm in (1, 2):
        player.add((vm, 0), world.Params(mcu_adv=65536 - vm), 0)
    for step in range(200):
        now = step * (CENTURIES // 200)
        player.charge_all(CENTURIES // 200 if step else 0, now)
        if step % 8 == 1:       # VM 2 mostly sleeps
            player.block((2, 0), now)
        elif step % 8 == 0:
            player.wake((2, 0), now)
        player.pick(0, now)


@points(3, hint="3.5", needs="test_sedf_takes_turns")
def test_sedf_sleeps_for_years(lab):
    """A deadline that has passed for years is mended at once."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "sedf", at, workload.Style(vms=3, years=True, extra=True), number=30)


@points(5, hint="3.8", needs="test_credit_takes_turns")
def test_credit_several_cpus(lab):
    """On three CPUs, with VMs of two vCPUs: who idles looks for work elsewhere."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "credit", at, workload.Style(vms=6, vcpus=2, cpus=3, cap=True), number=30)


@points(4, hint="3.9", needs="test_credit_takes_turns")
def test_credit_by_ticks(lab):
    """charge=tick: whole ticks to whom they meet, and nothing to others."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "credit", at, workload.Style(charge="tick", cap=True), number=30)


@points(4, hint="3.2", needs=("test_bvt_takes_turns", "test_credit_takes_turns"))
def test_nobody_idles(lab):
    """BVT and Credit without caps: the CPU never idles while somebody could run."""
    for sched in ("bvt", "credit"):
        at = lab.random(sched)
        actors = [world.sleeper(at.randint(1, 9) * MS, at.randint(1, 30) * MS) for _ in range(4)]
        played = world.World(Player(lab.program(SIM, "serve"), sched, oracle=False), actors).play(5 * S)
        idle = played.idle_while_wanted
        expect(not idle, f"{sched}: of 5 s the CPU idled for {idle} ns although a VM was runnable")
