"""What is left to a VM, whatever the others ask for: nobody starves (lab 3's handout, "What one VM
cannot do to another").

All parameters here are the ends of what is accepted, and some between; what is beyond them is
refused (test_sched_sim.py, vmm/tests/test_scheds.c).  A VM that always wants the CPU has, in
simulated time,
- bvt: its turn of C = 5 ms after at most so long as the sum of virtual times allows (`longest`);
- sedf: its slice in each period but the first; it never waits for two periods;
- credit: a turn of 30 ms in each 10 s, beside 14 others, which is all that a machine holds;
- rr: a slice after one of each other VM.
"""
from __future__ import annotations

import csv
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.tests.hostbuild import ROOT, make

SCHEDSIM = ROOT / "build/sim/schedsim"
US, MS, S = 10**3, 10**6, 10**9
MCU, C = 100 * US, 5 * MS
MOST_VMS = 15
HOG = "work=cpu"
OTHERS = (HOG, HOG, "work=yield run=300us", "work=io run=1ms wait=3ms", "work=io run=1s wait=1s",
          "work=bursty run=3ms wait=3ms", "work=attack wait=500us every=10ms")


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    make(str(SCHEDSIM.relative_to(ROOT)))


class Had(NamedTuple):
    """What a VM had, in ns."""

    ran: int
    longest_wait: int


def simulate(options: str, time: int, vms: Sequence[str]) -> List[Had]:
    """One VM a line."""
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "sim.txt"
        text.write_text(f"{options} time={time}ns trace=sums\n"
                        + "".join(f"1 {line}\n" for line in vms))
        done = subprocess.run([str(SCHEDSIM), "run", str(text), folder + "/t"], text=True,
                              capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Had(int(row["ran_ns"]), int(row["longest_wait_ns"]))
            for row in csv.DictReader(done.stdout.splitlines())]


# --- BVT ---------------------------------------------------------------------------------

class Borrower(NamedTuple):
    """What a VM asks of bvt, and what it does."""

    mcu_adv: int
    warp: int
    warpl: int
    warpu: int
    work: str

    def line(self) -> str:
        """As the simulator has it."""
        return f"mcu_adv={self.mcu_adv} warp={self.warp} warpl={self.warpl}ns " \
            f"warpu={self.warpu}ns -- {self.work}"


@st.composite
def borrowers(draw) -> Borrower:
    """Ends of ranges, and the defaults."""
    adv = draw(st.sampled_from([1, 10, 65535]))
    return Borrower(adv, draw(st.sampled_from([0, 1, 1000 * adv])),
                    draw(st.sampled_from([0, 100 * US, 2 * S, 1000 * S])),
                    draw(st.sampled_from([0, 100 * US, S, 1000 * S])),
                    draw(st.sampled_from(OTHERS)))


def longest(vms: Sequence[Borrower], me: int) -> int:
    """ns for which one may wait: until all others have come C past it.  Before, it was ahead of
    them: by its own C; of those that slept, by its whole turn, which is 10 C if it was alone, and
    else ends C past another one, that may have been ahead by C, too.  And each may borrow."""
    my, others = vms[me], [vm for n, vm in enumerate(vms) if n != me]
    step = C // MCU + 1
    own = step * my.mcu_adv + my.warp
    if any(vm.work != HOG for vm in others):
        turn = own + max(step * vm.mcu_adv + vm.warp for vm in others)
        own = max(10 * step * my.mcu_adv, turn) + my.warp
    return sum(((own + vm.warp) * MCU // vm.mcu_adv + C + MCU)
               for vm in others)


def check_bvt(vms: Sequence[Borrower]) -> None:
    limits = [longest(vms, me) for me in range(len(vms))]
    time = 3 * (max(limits) + 2 * C)
    if any(vm.work != HOG for vm in vms):
        time = min(time, 20 * S)                # each of their runs is an event
    for had, vm, limit in zip(simulate("sched=bvt", time, [vm.line() for vm in vms]), vms, limits):
        if vm.work == HOG:
            assert had.longest_wait <= limit, (vms, vm, had, limit)
            assert had.ran >= C * (time // (limit + 2 * C)), (vms, vm, had, limit)


@settings(max_examples=40)
@given(st.lists(borrowers(), min_size=1, max_size=3))
def test_nobody_starves_under_bvt(others):
    check_bvt([Borrower(10, 0, 2 * S, S, HOG), *others])


@pytest.mark.parametrize("me, most, other", [
    ("mcu_adv=10", 55 * MS, "mcu_adv=1"),
    ("mcu_adv=65535", 65536 * C, "mcu_adv=1"),
    ("mcu_adv=10", 105 * MS, "warp=10000 warpl=0s"),
    ("mcu_adv=10", 105 * MS, "mcu_adv=65535 warp=65535000 warpl=0s")])
def test_the_longest_wait_under_bvt_is_what_the_handout_says(me, most, other):
    """One beside one: the numbers are exact."""
    mine, _ = simulate("sched=bvt", 3 * most, [f"{me} -- {HOG}", f"{other} -- {HOG}"])
    assert mine.longest_wait == most, mine


# --- SEDF --------------------------------------------------------------------------------

PERIODS = (10 * US, MS, 100 * MS, 10 * S)


@st.composite
def claims(draw) -> List[Tuple[int, int, str]]:
    """(slice, period, line) of VMs that together are admitted: at most all of the CPU."""
    found, free = [], 10**6
    for _ in range(draw(st.integers(2, 5))):
        period = draw(st.sampled_from(PERIODS))
        ppm = draw(st.sampled_from([1, 1000, 250_000, 500_000, 999_999, free]))
        claim = max(5 * US, period * min(ppm, free) // 10**6)
        need = -(-claim * 10**6 // period)
        if need > free:
            continue
        free -= need
        found.append((claim, period, f"slice={claim}ns period={period}ns extratime="
                      f"{draw(st.sampled_from(['on', 'off']))} extraweight="
                      f"{draw(st.sampled_from([0, 1, 65535]))} -- {draw(st.sampled_from(OTHERS))}"))
    return found


@settings(max_examples=25)
@given(claims())
def test_nobody_starves_under_sedf(asked):
    """There is no VM without a claim: a slice is 5 us at least."""
    mine = (5 * US, 10 * S, f"slice=5us period=10s extratime=off -- {HOG}")
    if sum(-(-s * 10**6 // p) for s, p, _ in asked) < 10**6:
        asked = [mine, *asked]
    time = 21 * S if max(p for _, p, _ in asked) > 100 * MS else S
    for had, (claim, period, line) in zip(
            simulate("sched=sedf", time, [line for _, _, line in asked]), asked):
        if line.endswith(HOG):
            assert had.longest_wait < 2 * period, (asked, line, had)
            assert had.ran >= claim * (time // period - 1), (asked, line, had)


# --- Credit and round robin ----------------------------------------------------------------

@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([1, 256, 65535]), st.sampled_from([0, 1, 100]),
                          st.sampled_from(OTHERS)), min_size=1, max_size=MOST_VMS - 1),
       st.sampled_from([0, 1, 100]))
def test_nobody_starves_under_credit(others, cap):
    """A weight of 1 beside those: an accounting gives at least one credit, so 300 in 9 s."""
    vms = [(1, cap, HOG), *others]
    had = simulate("sched=credit", 40 * S, [f"weight={weight} cap={its_cap} -- {work}"
                                            for weight, its_cap, work in vms])
    for each, (_, __, work) in zip(had, vms):
        if work == HOG:
            assert each.longest_wait <= 10 * S and each.ran >= 4 * 30 * MS, (vms, each)


def test_the_longest_wait_under_credit_is_what_the_handout_says():
    vms = ["weight=1 cap=1 -- " + HOG] + [f"weight=65535 -- {HOG}"] * (MOST_VMS - 1)
    assert 9 * S < simulate("sched=credit", 40 * S, vms)[0].longest_wait < 10 * S


@pytest.mark.parametrize("slice_ns", [100 * US, S])
def test_nobody_starves_under_round_robin(slice_ns):
    had = simulate(f"sched=rr slice={slice_ns}ns", 30 * S, [f"-- {HOG}"] * MOST_VMS)
    assert all(each.longest_wait == (MOST_VMS - 1) * slice_ns and each.ran == 2 * S for each in had)
