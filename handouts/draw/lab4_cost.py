"""Lab 4's figure: what an access costs on a shadow and on nested tables, as tables change more.

Called as draw/lab4_cost.py -o OUT.svg RUN_FOLDER...: runs of the guest churn, the same ones
under mmu=nested and mmu=shadow. What is measured and what is modelled, and how it is drawn,
is that of `make experiment LAB=4` (grader/experiment/churn.py), with fewer rates.
"""
from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Dict, List

import matplotlib

matplotlib.use("svg")

from grader import run as running  # noqa: E402
from grader.experiment import churn, churn_plot  # noqa: E402
from grader.experiment.studies import Row  # noqa: E402
from grader.plan import BUILD, ROOT  # noqa: E402
from viz import trace as viz_trace  # noqa: E402


def words_of(folder: Path) -> Dict[str, str]:
    """The guest's arguments, its own and the VM's."""
    args = json.loads((folder / running.RUN_JSON).read_text())["vms"][0]["args"]
    return dict(word.split("=", 1) for word in args.split() if "=" in word)


def row(folder: Path, size: churn.Size, tool: Path, references: Dict[str, int]) -> Row:
    """One run's."""
    words, trace = words_of(folder), viz_trace.load(str(folder / running.TRACE))
    mode, pages, changes = words["mmu"], int(words["pages"]), int(words["changes"])
    if len(trace.select("walk_begin")):
        references[mode] = churn.references(trace)
    return churn.row(size, (mode, pages, changes), trace,
                     churn.misses(tool, size, pages, changes), references[mode])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", type=Path, required=True)
    options = parser.parse_args()
    subprocess.run(["make", "-s", f"build/{churn.TOOL}"], cwd=ROOT, check=True)
    words: List[Dict[str, str]] = [words_of(folder) for folder in options.runs]
    size = churn.Size(changes=tuple(sorted({int(each["changes"]) for each in words})),
                      pages=tuple(sorted({int(each["pages"]) for each in words})),
                      accesses=int(words[0]["accesses"]), prices=(0, 1, 5, 20))
    references: Dict[str, int] = {}
    rows = [row(folder, size, BUILD / churn.TOOL, references) for folder in options.runs]
    tables = {"churn": rows, "crossings": churn.crossings(size, rows)}
    churn_plot.draw(tables, size).savefig(options.o, bbox_inches="tight")


if __name__ == "__main__":
    main()
