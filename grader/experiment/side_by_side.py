"""The same three VMs under each scheduler, on one time axis: a picture and a page to zoom in.

Simulated; they always want the CPU and ask for 1 : 2 : 4 of it (studies.py), so that each
lane's margin tells its allocation error. The drawing is viz's.
"""
from __future__ import annotations

from pathlib import Path

from grader.experiment import simulate, studies
from viz import timeline

NAME, TIME = "side_by_side", "700ms"
SCHEDULERS = (("bvt", 0), ("sedf", 100), ("credit", 0))     # and sedf's period, in ms


def save(tool: Path, out: Path, time: str = TIME) -> None:
    """out/side_by_side.{svg,png,html}."""
    traces = []
    for name, period in SCHEDULERS:
        vms = [f"1 {words}{studies.HOG}" for words in studies.weighted(name, period)]
        traces.append(simulate.run(tool, f"sched={name} time={time}", vms).trace)
    for kind in ("svg", "png", "html"):
        timeline.draw_together(traces, str(out / f"{NAME}.{kind}"))
