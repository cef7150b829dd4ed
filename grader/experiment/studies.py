"""The five studies: what is simulated, and what is measured of it.

Each takes the simulator and a plan (how long, how many points) and returns rows for a
table: plain dictionaries, the same keys in each.  What a study shows is said on the page
(page.html.j2).
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence, Tuple, Union

import numpy as np

from grader.experiment import measure, simulate
from viz.trace import Trace

Value = Union[str, int, float]
Row = Dict[str, Value]
US, MS, S = 10**3, 10**6, 10**9

WEIGHTS = (1, 2, 4)
REQUESTED = {vm: w / sum(WEIGHTS) for vm, w in enumerate(WEIGHTS, start=1)}
PERIODS_MS = (10, 20, 100)
HOG = " -- work=cpu"


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    time: str = "30s"
    short: str = "10s"
    windows_ms: Tuple[int, ...] = (10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000)
    cdf_ms: Tuple[int, ...] = (30, 100, 300, 1000)
    shares: Tuple[int, ...] = tuple(range(5, 100, 5))
    margins_us: Tuple[int, ...] = (50, 100, 200, 500, 1000, 2000, 3000, 5000)


SIZE = Size()
SMALL = Size("6s", "2s", (100, 1000), (100,), (20, 60), (500, 3000))


def weighted(name: str, period_ms: int = 0) -> List[str]:
    """The VM arguments by which three VMs ask for WEIGHTS of the CPU."""
    total = sum(WEIGHTS)
    if name == "credit":
        return [f"weight={256 * w}" for w in WEIGHTS]
    if name == "bvt":
        return [f"mcu_adv={20 // w}" for w in WEIGHTS]
    return [f"slice={period_ms * 1000 * w // total}us period={period_ms}ms extratime=off"
            for w in WEIGHTS]


def variants() -> Iterator[Tuple[str, str, int]]:
    """What is compared: how it is called, the scheduler, sedf's period in ms."""
    yield "BVT", "bvt", 0
    for period in PERIODS_MS:
        yield f"SEDF, {period} ms", "sedf", period
    yield "Credit", "credit", 0


# --- Allocation error ---------------------------------------------------------------------

def error_rows(tool: Path, size: Size) -> List[Row]:
    """The distribution of |error| for each variant and length of window."""
    rows: List[Row] = []
    for label, name, period in variants():
        rows += spread(label, _contended(tool, size, name, period), size.windows_ms)
    return rows


def _contended(tool: Path, size: Size, name: str, period: int) -> Trace:
    """Three VMs that always want the CPU, and ask for WEIGHTS of it."""
    vms = [f"1 {words}{HOG}" for words in weighted(name, period)]
    return simulate.run(tool, f"sched={name} time={size.time}", vms).trace


def spread(label: str, trace: Trace, windows_ms: Sequence[int]) -> List[Row]:
    """Of one trace: percentiles of |error| by the length of the window."""
    rows: List[Row] = []
    for window in windows_ms:
        found = np.abs(measure.errors(trace, REQUESTED, window * MS))
        rows.append({"scheduler": label, "window_ms": window, "windows": len(found),
                     **{f"p{p}": float(np.percentile(found, p)) for p in (50, 90, 95, 99)},
                     "most": float(found.max())})
    return rows


def cdf_rows(tool: Path, size: Size) -> List[Row]:
    """Quantiles of |error|, in hundredths, by variant, for some lengths of window."""
    rows: List[Row] = []
    for label, name, period in variants():
        trace = _contended(tool, size, name, period)
        rows += distribution(label, trace, size.cdf_ms)
    return rows


def distribution(label: str, trace: Trace, windows_ms: Sequence[int]) -> List[Row]:
    """Of one trace: the quantiles of |error|, in hundredths."""
    rows: List[Row] = []
    for window in windows_ms:
        found = np.abs(measure.errors(trace, REQUESTED, window * MS))
        rows += [{"scheduler": label, "window_ms": window, "percent": percent,
                  "error": float(np.percentile(found, percent))} for percent in range(0, 101)]
    return rows


# --- Requested against received -----------------------------------------------------------

BEHAVIOURS = {"always": "work=cpu", "blocks": "work=io run=1ms wait=100us"}


def received_rows(tool: Path, size: Size) -> List[Row]:
    """What a VM gets for what it asks, beside two that always want the CPU."""
    rows: List[Row] = []
    for percent in size.shares:
        for behaviour, work in BEHAVIOURS.items():
            for mode in ("NWC", "WC"):
                asked = [("SEDF", period, *_sedf(percent, period, mode)) for period in PERIODS_MS]
                asked.append(("Credit", 0, *_credit(percent, mode)))  # 0: it has no period
                for label, period, words, others in asked:
                    done = simulate.run(
                        tool, f"sched={label.lower()} time={size.short} trace=sums window=0s",
                        [f"1 {words} -- {work}", f"2 {others}{HOG}"])
                    total = sum(row["ran_ns"] for row in done.rows)
                    whole = int(size.short[:-1]) * S
                    rows.append({"scheduler": label, "period_ms": period, "mode": mode,
                                 "behaviour": behaviour, "requested": percent,
                                 "received": 100 * done.rows[0]["ran_ns"] / whole,
                                 "idle": 100 * (1 - total / whole)})
    return rows


def _sedf(percent: int, period: int, mode: str) -> Tuple[str, str]:
    extra = "on" if mode == "WC" else "off"
    rest = max(5, (100 - percent) * 1000 // 2 - 5)
    return (f"slice={percent * period * 10}us period={period}ms extratime={extra}",
            f"slice={rest}us period=100ms extratime={extra}")


def _credit(percent: int, mode: str) -> Tuple[str, str]:
    weight = f"weight={round(512 * percent / (100 - percent))}"
    if mode == "WC":
        return weight, "weight=256"
    return f"{weight} cap={percent}", f"weight=256 cap={max(1, (100 - percent) // 2)}"


# --- Latency ------------------------------------------------------------------------------

SLEEPER = "work=io run=10us wait=5ms"
# How each scheduler is told of the sleeper, and of the two hogs.
LATENCY = {
    "Round robin, 10 ms": ("rr", "", ""),
    "BVT": ("bvt", "", ""),
    "BVT, warp": ("bvt", "warp=1000", ""),
    "SEDF, 1 ms in 10 ms": ("sedf", "slice=1ms period=10ms", "slice=40ms"),
    "SEDF, 5 ms in 100 ms": ("sedf", "slice=5ms period=100ms", "slice=40ms"),
    "Credit": ("credit", "", ""),
}


def latency_rows(tool: Path, size: Size) -> List[Row]:
    """Quantiles of how long a VM that mostly sleeps waits for the CPU beside two hogs."""
    rows: List[Row] = []
    for label, (name, words, others) in LATENCY.items():
        done = simulate.run(tool, f"sched={name} time={size.time}",
                            [f"2 {others}{HOG}", f"1 {words} -- {SLEEPER}"])
        rows += waits(label, measure.latencies(done.trace, 3))
    return rows


def waits(label: str, found: np.ndarray) -> List[Row]:
    """Quantiles of latencies, in us."""
    return [{"scheduler": label, "percent": percent, "wakes": len(found),
             "wait_us": float(np.percentile(found, percent)) / US} for percent in range(0, 101)]


# --- The attack ----------------------------------------------------------------------------

CHARGED = {"Credit, charged by ticks": "sched=credit charge=tick",
           "Credit, charged exactly": "sched=credit charge=exact", "BVT": "sched=bvt"}


def attack_rows(tool: Path, size: Size) -> List[Row]:
    """The share of a VM that sleeps so long before each 10 ms tick, beside two hogs."""
    rows: List[Row] = []
    for label, options in CHARGED.items():
        for margin in size.margins_us:
            done = simulate.run(tool, f"{options} time={size.time} trace=sums",
                                [f"2{HOG}", f"1 -- work=attack wait={margin}us every=10ms"])
            ran = [row["ran_ns"] for row in done.rows]
            rows.append({"charging": label, "stops_before_us": margin,
                         "received": 100 * ran[2] / sum(ran), "most": 100 - margin / 100})
    return rows


STUDIES: Dict[str, Callable[[Path, Size], List[Row]]] = {
    "cdf": cdf_rows, "error": error_rows, "received": received_rows, "latency": latency_rows,
    "attack": attack_rows}
