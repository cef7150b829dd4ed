"""`python3 -m grader experiment [--lab 4]`: simulate, run, measure, draw; tables, plots, a page.

Lab 3 compares schedulers, lab 4 shadow and nested paging. Without --no-live it also makes short runs on the emulated machine and draws them
onto the simulations' curves; only with them there is a figure of cost, which the machine
alone can count.  Everything is seeded: two times give the same tables.
"""
from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any, Dict, List

from grader import plan


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("experiment", help="compare schedulers, or shadow and nested "
                                 "paging; plots and tables")
    parser.add_argument("--lab", type=int, choices=(3, 4), default=3, help="3: schedulers (the "
                        "default); 4: shadow and nested paging")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="build/experiment, or build/experiment4")
    parser.add_argument("--no-live", action="store_true",
                        help="simulations only: no run on the machine, and no figure of cost")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    out: Path = options.out or plan.BUILD / f"experiment{'' if options.lab == 3 else options.lab}"
    out.mkdir(parents=True, exist_ok=True)
    return _schedulers(out, options) if options.lab == 3 else _paging(out)


def _paging(out: Path) -> int:
    from grader.experiment import churn, churn_plot, simulate
    _say(f"running churn with {' and '.join(churn.MODES)} paging, about a minute ...")
    table = churn.rows(churn.SIZE, out, simulate.build(tool=churn.TOOL), _say)
    tables = {"churn": table, "crossings": churn.crossings(churn.SIZE, table)}
    for name, rows in tables.items():
        write_csv(out / f"{name}.csv", rows)
    made = churn_plot.save(tables, churn.SIZE, out)
    _tell(out, made)
    return 0


def _tell(out: Path, made: List[str]) -> None:
    print(f"{plan.short(out / 'index.html')}: {len(made)} figures; beside it their tables (CSV) "
          "and plots (PNG, SVG)")


def _schedulers(out: Path, options: argparse.Namespace) -> int:
    from grader.experiment import page, plots, side_by_side, simulate, studies
    tables = simulated(studies.SIZE)
    if not options.no_live:
        tables.update(measured(out))
    for name, rows in tables.items():
        write_csv(out / f"{name}.csv", rows)
    _say("drawing ...")
    made = plots.save_all(tables, out)
    side_by_side.save(simulate.build(), out)
    page.save(out, tables, made)
    _tell(out, made)
    return 0


def simulated(size: "Any") -> Dict[str, List[Any]]:
    """The tables of the simulations."""
    from grader.experiment import simulate, studies
    tool = simulate.build()
    tables: Dict[str, List[Any]] = {}
    for name, study in studies.STUDIES.items():
        _say(f"simulating: {name} ...")
        tables[name] = study(tool, size)
    return tables


def measured(out: Path) -> Dict[str, List[Any]]:
    """The tables of the live runs."""
    from grader.experiment import live
    weights, parts = live.weighted_runs("3500ms"), live.share_runs("2s")
    sleepers, costs = live.latency_runs("1s"), live.cost_runs()
    runs = [*weights.values(), *parts.values(), *sleepers.values(), *costs.values()]
    _say(f"running {len(runs)} times on the machine, about a minute ...")
    traces = live.make(runs, out, _say)
    tables: Dict[str, List[Any]] = {name: [] for name in
                                    ("live_error", "live_cdf", "live_received", "live_latency",
                                     "cost")}
    for label, run in weights.items():
        tables["live_error"] += live.error_rows(label, traces[run.name])
        tables["live_cdf"] += live.cdf_rows(label, traces[run.name])
    for (label, period), run in parts.items():
        tables["live_received"] += live.received_rows(label, period, traces[run.name])
    for label, run in sleepers.items():
        tables["live_latency"] += live.latency_rows(label, traces[run.name])
    for label, run in costs.items():
        tables["cost"] += live.cost_rows(label, traces[run.name])
    return tables


def write_csv(path: Path, rows: List[Dict[str, Any]]) -> None:
    """A table; numbers with at most six digits behind the point."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: round(value, 6) if isinstance(value, float) else value
                             for key, value in row.items()})


def _say(text: str) -> None:
    print(f"experiment: {text}", file=sys.stderr, flush=True)
