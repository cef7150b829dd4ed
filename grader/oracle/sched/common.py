"""What the three oracles share: a vCPU, its parameters, the decision, the rule for ties."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

US, MS, S = 10**3, 10**6, 10**9
NEVER = 2**64 - 1


@dataclass(frozen=True)
class Params:
    """What a VM asks for; times in ns. Names and defaults: handouts/formats.md, section 4."""

    weight: int = 256
    cap: int = 0
    slice: int = 5 * MS
    period: int = 100 * MS
    extratime: int = 1
    extraweight: int = 0
    mcu_adv: int = 10
    warp: int = 0
    warpl: int = 2 * S
    warpu: int = 1 * S


@dataclass(eq=False)
class Unit:
    """One vCPU. `state` belongs to the scheduler that has it."""

    vm: int
    vcpu: int
    params: Params
    runnable: bool = False
    since: int = 0              # when it was queued last
    state: Dict[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> Tuple[int, int]:
        """What decides between two that were queued in the same instant."""
        return self.vm, self.vcpu


class Decision(NamedTuple):
    """What pick answers: (vm, vcpu) or None for idle, and why."""

    unit: Optional[Tuple[int, int]]
    until: int
    key: int
    other: Optional[Tuple[int, int]]
    other_key: int
    runnable: int


def ceil_div(a: int, b: int) -> int:
    """a / b, rounded up."""
    return -(-a // b)


class Scheduler:
    """The calls that all have; changed parameters wait here for the next decision."""

    def __init__(self) -> None:
        self.units: List[Unit] = []
        self.changes: List[Tuple[Unit, Params]] = []

    def set(self, unit: Unit, params: Params, now: int) -> None:
        """New parameters, from the next decision on; of several, the last."""
        self.advance(now)
        self.changes = [each for each in self.changes if each[0] is not unit] + [(unit, params)]

    def take_changes(self, now: int) -> None:
        """A decision is made: what was set takes effect."""
        for unit, params in self.changes:
            if unit in self.units:
                self.change(unit, params, now)
        self.changes = []

    def change(self, unit: Unit, params: Params, now: int) -> None:
        """Give a unit its new parameters."""
        unit.params = replace(params)

    def advance(self, now: int) -> None:
        """What falls due by `now` happens, at its own time."""
