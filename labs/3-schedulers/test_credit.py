"""Lab 3, handout 3.8 to 3.10: the Credit scheduler, on one CPU."""
from grader.grading import expect, points
from grader.oracle.sched import workload, world
from grader.oracle.sched.common import MS, S, US
from grader.oracle.sched.play import Player

SIM = "sim/schedsim"


@points(4, hint="3.8")
def test_credit_takes_turns(lab):
    """Three that always want the CPU: who runs, until when and why."""
    player = Player(lab.program(SIM, "serve"), "credit")
    world.World(player, [world.hog() for _ in range(3)]).play(400 * MS)


@points(6, hint="3.8", needs="test_credit_takes_turns")
def test_credit_decides(lab):
    """Forty random workloads that block, wake, yield, come and go: each decision is the oracle's."""
    program, at = lab.program(SIM, "serve"), lab.random()
    workload.play(program, "credit", at)


@points(5, hint="3.10", needs="test_credit_takes_turns")
def test_credit_shares(lab):
    """Shares are as the weights, and a VM that mostly sleeps hardly waits, whatever its weight."""
    program, weights = lab.program(SIM, "serve"), (256, 512, 1024)
    played = world.World(Player(program, "credit", oracle=False),
                         [world.hog(weight=w) for w in weights]).play(30 * S)
    for vm, (share, weight) in enumerate(zip(played.shares(), weights), 1):
        wanted = weight / sum(weights)
        expect(abs(share - wanted) <= 0.02, f"with the weights {weights} VM {vm} should have "
               f"{100 * wanted:.1f} % of the CPU; it had {100 * share:.1f} %")
    played = world.World(Player(program, "credit", oracle=False), [
        world.hog(), world.hog(), world.sleeper(100 * US, 23 * MS, weight=64)]).play(10 * S)
    waits = played.actors[2].waits
    mean = sum(waits) / max(len(waits), 1) / MS
    lab.measure("wait", round(mean, 3))
    expect(len(waits) > 100 and mean < 1, "a VM that wakes with credits left is boosted: it should "
           f"run at once; it waited for {mean:.3f} ms on average, {len(waits)} times")


@points(5, hint="3.10", needs="test_credit_takes_turns")
def test_credit_caps(lab):
    """Who has a cap never has more, even if the CPU idles; forty random workloads with caps."""
    program, at, caps = lab.program(SIM, "serve"), lab.random(), (10, 30, 40)
    played = world.World(Player(program, "credit", oracle=False),
                         [world.hog(cap=cap) for cap in caps]).play(30 * S)
    for vm, (share, cap) in enumerate(zip(played.shares(), caps), 1):
        expect(abs(100 * share - cap) <= 2,
               f"VM {vm} with cap={cap} had {100 * share:.1f} % of the CPU")
    style = workload.Style(cap=True)
    workload.play(program, "credit", at, style)


@points(5, hint="3.9", needs="test_credit_takes_turns")
def test_credit_is_not_cheated(lab):
    """A VM that blocks before each tick gains nothing if run time is charged exactly."""
    program, share = lab.program(SIM, "serve"), {}
    for charge in ("tick", "exact"):
        played = world.World(Player(program, "credit", charge=charge, oracle=False), [
            world.hog(), world.hog(), world.cheat(10 * MS, 500 * US)]).play(20 * S)
        share[charge] = played.shares()[2]
    lab.measure("cheat", round(100 * share["tick"], 1))
    expect(share["exact"] < 0.36, "beside two others a third of the CPU is its due; by blocking 0.5 ms "
           f"before each tick it had {100 * share['exact']:.1f} % under charge=exact")
    expect(share["tick"] > 0.85, "under charge=tick the same VM is never met by a tick: it should "
           f"have nearly all of the CPU; it had {100 * share['tick']:.1f} %")
