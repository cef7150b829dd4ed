"""Lab 3, handout 3.4 to 3.7: simple earliest deadline first."""
from grader.grading import expect, points
from grader.oracle.sched import workload, world
from grader.oracle.sched.common import MS, S, US, Params
from grader.oracle.sched.play import Player

SIM = "sim/schedsim"


@points(4, hint="3.6")
def test_sedf_takes_turns(lab):
    """Two that always want the CPU, with slices and periods: who runs, until when and why."""
    player = Player(lab.program(SIM, "serve"), "sedf")
    world.World(player, [world.hog(slice=3 * MS, period=10 * MS, extratime=0),
                         world.hog(slice=8 * MS, period=25 * MS, extratime=0)]).play(200 * MS)


@points(4, hint="3.4", needs="test_sedf_takes_turns")
def test_sedf_admits(lab):
    """Claims up to exactly one CPU are admitted, a millionth more is not, at run time neither."""
    program, at = lab.program(SIM, "serve"), lab.random()
    player = Player(program, "sedf", about="sedf, claims")
    for vm, (slice_ns, period) in enumerate(((5 * MS, 10 * MS), (5 * MS, 20 * MS), (25 * MS, 100 * MS),
                                             (5 * US, 10 * S)), 1):
        player.add((vm, 0), Params(slice=slice_ns, period=period), 0)
    player.set((1, 0), Params(slice=4 * MS, period=10 * MS), 0)
    player.set((2, 0), Params(slice=7 * MS, period=20 * MS), 0)
    player.set((2, 0), Params(slice=7 * MS + 10, period=20 * MS), 0)
    for n in range(300):
        vm, period = at.randint(1, 8), at.randrange(10 * US, 30 * MS)
        params = Params(slice=max(5 * US, period * at.randrange(500) // 1000), period=period)
        call = player.set if (vm, 0) in player.units else player.add
        if call == player.set and at.random() < 0.3:
            player.remove((vm, 0), 0)
        else:
            call((vm, 0), params, 0)


@points(6, hint="3.6", needs="test_sedf_takes_turns")
def test_sedf_meets_deadlines(lab):
    """Three claims that make one whole CPU: each has its slice in each period, and not more."""
    claims = [(2 * MS, 10 * MS), (7 * MS, 20 * MS), (45 * MS, 100 * MS)]
    player = Player(lab.program(SIM, "serve"), "sedf", oracle=False)
    played = world.World(player, [world.hog(slice=s, period=p, extratime=0) for s, p in claims]
                         ).play(4 * S)
    for vm, (slice_ns, period) in enumerate(claims, 1):
        # A period ends when the first slice does: deadline = now + slice at the beginning.
        for start in range(slice_ns, 4 * S - period, period):
            got = played.ran(vm, start, start + period)
            expect(got == slice_ns, f"VM {vm} asked for {slice_ns} ns in each {period} ns; in the "
                   f"period from {start} to {start + period} ns it had {got} ns")


@points(6, hint="3.5", needs="test_sedf_takes_turns")
def test_sedf_decides(lab):
    """Forty random workloads with short and long blocks, without extra time."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "sedf", at)
    alone = world.World(Player(program, "sedf"), [
        world.sleeper(2 * MS, 1 * MS, slice=5 * MS, period=10 * MS, extratime=0)]).play(S)
    lab.measure("block", round(100 * alone.shares()[0], 1))


@points(5, hint="3.7", needs="test_sedf_takes_turns")
def test_sedf_gives_extra_time(lab):
    """Time that nobody claims goes to L0, then to L1 by its scores: forty random workloads."""
    program, at = lab.program(SIM, "serve"), lab.random()
    style = workload.Style(extra=True)
    workload.play(program, "sedf", at, style)
