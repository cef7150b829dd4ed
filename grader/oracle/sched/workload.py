"""Random lists of calls, made while they are played: only who runs can yield or block.

Each has a style of its own: few VMs or many, times on a grid (many ties) or not, calls late or
on time, long sleeps, changed parameters, VMs that come and go.
"""
from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from grader.oracle.sched.common import MS, NEVER, S, US, Params
from grader.oracle.sched.play import Player, Who

YEAR = 366 * 86400 * S


@dataclass(frozen=True)
class Style:
    """What may occur; numbers are per cent."""

    vms: int = 4
    vcpus: int = 1
    cpus: int = 1
    charge: str = "exact"
    blocks: bool = True
    changes: int = 3
    lives: int = 2
    warp: bool = False
    cap: bool = False
    extra: bool = False
    years: bool = False


def play(program: Any, sched: str, rng: random.Random, style: Style = Style(),
         number: int = 40, decisions: int = 150) -> None:
    """So many workloads, one after the other in the same program; their seeds are rng's.  Each
    has so many decisions, and each of these is compared with the oracle's."""
    for _ in range(number):
        _Workload(program, sched, rng.getrandbits(32), style).play(decisions)


class _Workload:
    def __init__(self, program: Any, sched: str, seed: int, style: Style) -> None:
        self.rng, self.style = random.Random(seed), style
        self.player = Player(program, sched, style.cpus, style.charge, about=f"{sched}, workload {seed:#x}")
        self.now = self.last = 0
        self.vms = self.rng.randint(2, style.vms)
        self.grid = self.rng.choice((1, 1, 100 * US, 500 * US, MS))
        self.lateness = self.rng.choice((0, 10, 50))
        self.yields = self.rng.choice((0, 30, 80))
        self.activity = self.rng.choice((1, 2, 3))

    def chance(self, per_cent: int) -> bool:
        return self.rng.randrange(100) < per_cent

    def params(self) -> Params:
        rng, style = self.rng, self.style
        period = rng.choice((MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS)) if self.chance(70) \
            else rng.randrange(10 * US, 30 * MS)
        most = period // rng.choice((2, 3, 5, 10, 20))
        params = Params(
            weight=rng.choice((64, 128, 256, 256, 512)) if self.chance(70) else rng.randint(1, 65535),
            mcu_adv=rng.choice((5, 10, 10, 20)) if self.chance(70) else rng.randint(1, 200),
            period=period, slice=max(5 * US, most if self.chance(60) else rng.randint(0, most)),
            extratime=0)
        if style.cap and self.chance(60):
            params = replace(params, cap=rng.choice((10, 30, 60, rng.randint(1, 100))))
        if style.warp and self.chance(50):
            warp = rng.choice((1, 100, 500, 2000, 10000))
            params = replace(params, warp=min(warp, 1000 * params.mcu_adv),
                             warpl=rng.choice((0, 2 * MS, 10 * MS, 25 * MS)),
                             warpu=rng.choice((0, 5 * MS, 30 * MS, 100 * MS)))
        if style.extra and self.chance(75):
            params = replace(params, extratime=1,
                             extraweight=0 if self.chance(70) else rng.randint(1, 500))
        return params

    # --- Calls ---------------------------------------------------------------------

    def begin(self, vm: int) -> None:
        params = self.params()
        for vcpu in range(self.style.vcpus):
            if not self.player.add((vm, vcpu), params, self.now):
                return

    def end(self, vm: int) -> None:
        for vcpu in reversed(range(self.style.vcpus)):
            if (vm, vcpu) in self.player.units:
                self.player.remove((vm, vcpu), self.now)

    def call(self) -> None:
        who: Who = (self.rng.randint(1, self.vms), self.rng.randrange(self.style.vcpus))
        player = self.player
        if self.chance(self.style.lives):
            (self.end if (who[0], 0) in player.units else self.begin)(who[0])
        elif who not in player.units:
            return
        elif self.chance(self.style.changes):
            player.set((who[0], 0), self.params(), self.now)
        elif not player.units[who].runnable or self.chance(5):
            player.wake(who, self.now)
        elif any(each.unit == who for each in player.on) and self.chance(self.yields):
            player.timer(who, self.now)
        elif self.style.blocks:
            player.block(who, self.now)

    # --- Time ----------------------------------------------------------------------

    def pass_time(self) -> None:
        until, now = min(each.until for each in self.player.on), self.now
        if until <= now:
            span = 0
        elif until == NEVER:
            span = self.rng.randrange(50 * MS)
            if self.style.years and not self.player.on[0].unit and self.chance(20):
                span += self.rng.randint(1, 5) * YEAR
        elif self.chance(self.lateness):
            span = until - now + 1 + self.rng.randrange(5 * US if self.chance(90) else 20 * MS)
        elif self.chance(50):
            span = until - now
        else:
            span = self.rng.randrange(min(until - now, 100 * MS) + 1) // self.grid * self.grid
        self.now += 0 if self.chance(15) else span

    def play(self, decisions: int) -> None:
        for vm in range(1, self.vms + 1):
            self.begin(vm)
        for _ in range(20 * decisions):
            self.player.charge_all(self.now - self.last, self.now)
            self.last = self.now
            for _ in range(self.rng.randint(0, self.activity)):
                self.call()
            for cpu in range(self.style.cpus):
                self.player.pick(cpu, self.now)
            if self.player.decisions >= decisions:
                break
            self.pass_time()
