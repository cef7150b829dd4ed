"""VMs that do something, on one CPU, under a scheduler's own decisions: what comes of them.

hog() always wants the CPU; sleeper() runs and blocks in turns; cheat() stops short of each
tick.  A world keeps who ran when; nothing here knows how a scheduler decides.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional, Tuple

from grader.oracle.sched.common import NEVER, Params
from grader.oracle.sched.play import Player, ns

STUCK = 1000        # decisions in one instant


@dataclass
class Actor:
    """One VM; times in ns."""

    params: Params
    run: int = NEVER            # so long it wants the CPU,
    wait: int = 0               # then it blocks so long
    every: int = 0              # cheat: it blocks from `wait` before each multiple to `wait` after
    vm: int = 0
    left: int = NEVER
    wakes: int = NEVER          # when it does
    ready: int = 0              # since when it waits for the CPU
    ran: int = 0
    waits: List[int] = field(default_factory=list)      # from waking to running


def hog(**params: int) -> Actor:
    """It always wants the CPU."""
    return Actor(Params(**params))


def sleeper(run: int, wait: int, **params: int) -> Actor:
    """It runs `run`, blocks for `wait`, and so on."""
    return Actor(Params(**params), run, wait)


def cheat(every: int, short: int, **params: int) -> Actor:
    """It computes, but for the time around each multiple of `every`."""
    return Actor(Params(**params), wait=short, every=every)


class World:
    """actors become VMs 1, 2, ...; spans: (VM or 0 for idle, from, to)."""

    def __init__(self, player: Player, actors: List[Actor]) -> None:
        self.player, self.actors, self.now = player, actors, 0
        self.spans: List[Tuple[int, int, int]] = []
        self.idle_while_wanted = 0
        for vm, actor in enumerate(actors, 1):
            actor.vm, actor.left = vm, actor.run
            if not player.add((vm, 0), actor.params, 0):
                player.fail(f"VM {vm} was refused")

    def ran(self, vm: int, start: int, end: int) -> int:
        """How long the VM ran between two times."""
        return sum(max(0, min(to, end) - max(since, start))
                   for each, since, to in self.spans if each == vm)

    def shares(self) -> List[float]:
        """Of all VMs, in order."""
        return [actor.ran / self.now for actor in self.actors]

    def play(self, until: int) -> "World":
        """Go on until that time."""
        stuck = 0
        while self.now < until:
            decision = self.player.pick(0, self.now)
            actor = self.actors[decision.unit[0] - 1] if decision.unit else None
            then = min(until, max(self.now, decision.until), self.next_event(actor))
            stuck = stuck + 1 if then == self.now else 0
            if stuck > STUCK:
                self.player.fail(f"at {ns(self.now)} it wants to decide again at once, without end")
            self.pass_to(then, actor)
        return self

    def next_event(self, running: Optional[Actor]) -> int:
        events = [actor.wakes for actor in self.actors]
        if running and running.every:
            events.append(self.stop_of(running))
        elif running and running.left != NEVER:
            events.append(self.now + running.left)
        return min(events, default=NEVER)

    def stop_of(self, actor: Actor) -> int:
        """When a cheat stops next."""
        stop = (self.now // actor.every + 1) * actor.every - actor.wait
        return stop if stop > self.now else stop + actor.every

    def pass_to(self, then: int, running: Optional[Actor]) -> None:
        """Time passes; who runs is charged, then what happens at that time is called."""
        stops = running and running.every and then == self.stop_of(running)
        self.note(then, running)
        self.now = then
        if running and running.left != NEVER and not running.left:
            running.left = running.run
            self.sleep(running, then + running.wait)
        elif running and stops:
            self.sleep(running, then + 2 * running.wait)
        for actor in self.actors:
            if actor.wakes == then:
                actor.wakes, actor.ready = NEVER, then
                self.player.wake((actor.vm, 0), then)

    def sleep(self, actor: Actor, wakes: int) -> None:
        actor.wakes = wakes
        self.player.block((actor.vm, 0), self.now)

    def note(self, then: int, running: Optional[Actor]) -> None:
        span = then - self.now
        if running is None:
            if span and any(unit.runnable for unit in self.player.units.values()):
                self.idle_while_wanted += span
            self.spans.append((0, self.now, then))
            return
        if running.ready != NEVER:
            running.waits.append(self.now - running.ready)
            running.ready = NEVER
        running.ran += span
        if running.left != NEVER:
            running.left -= span
        self.spans.append((running.vm, self.now, then))
        self.player.charge((running.vm, 0), span, then)
