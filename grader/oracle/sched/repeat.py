"""Repeats the scheduler's calls of a run's trace in a program that answers calls (play.py).

A scheduler sees nothing but its calls and their times; so the same calls must give the same
decisions, on a machine and on a developer's host.
"""
from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np

from grader.oracle.sched.common import Decision, Params
from grader.oracle.sched.play import Player, Who, ns, told

SIGN, WORD = 1 << 63, 1 << 64


def repeat(trace: Any, program: Any) -> int:
    """How many decisions were the same; play.Differs at the first that is not."""
    schema = trace.schema
    names = {event.number: event.name for event in schema.by_number.values()
             if event.name in CALLS}
    player: Optional[Player] = None
    sched = ""
    for i in np.flatnonzero(np.isin(trace.event, list(names))).tolist():
        name, who = names[int(trace.event[i])], (int(trace.vm[i]), int(trace.vcpu[i]))
        values = {key: word - WORD if kind == "int" and word >= SIGN else word for (key, kind), word
                  in zip(schema.by_name[name].fields, trace.payload(i))}
        if name == "sched_start":
            sched = trace.text(i)
        elif name == "sched_setup":
            charge = schema.word("sched_charging", values["charging"]).lower()
            player = Player(program, sched, values["cpus"], charge, oracle=False,
                            about=f"{sched}, repeated")
        elif player:
            word = schema.word("sched_call", values["call"]) if name == "sched_call" else name
            _one(player, word, who, values)
    return player.picks if player else 0


CALLS = {"sched_start", "sched_setup", "sched_add", "sched_set", "sched_remove", "sched_call",
         "sched_charge", "sched_pick"}


def _one(player: Player, call: str, who: Who, values: Dict[str, int]) -> None:
    now = values["at"]
    if call in ("sched_add", "sched_set"):
        params = Params(**{key: value for key, value in values.items() if key != "at"})
        (player.add if call == "sched_add" else player.set)(who, params, now)
    elif call == "sched_charge":
        player.charge(who, values["ran"], now)
    elif call == "sched_pick":
        _pick(player, who, values)
    else:
        {"sched_remove": player.remove, "WAKE": player.wake, "BLOCK": player.block,
         "TIMER": player.timer}[call](who, now)


def _pick(player: Player, who: Who, values: Dict[str, int]) -> None:
    got = player.pick(values["cpu"], values["at"])
    other = (values["other"], values["other_vcpu"]) if values["other"] else None
    live = Decision(who if who[0] else None, values["until"], values["key"], other,
                    values["other_key"], values["runnable"])
    if got != live:
        player.fail(f"at {ns(values['at'])} the machine's run had {told(live)}; the same calls on "
                    f"the host give {told(got)}: something besides the calls has a say")
