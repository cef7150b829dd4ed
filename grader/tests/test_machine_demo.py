"""make demo, shortened: what it leaves behind, what it says, and that its pages lead there."""
from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from grader import demo, plan, report

pytestmark = pytest.mark.machine

LEFT = ("index.html", "walk.svg", "timeline.svg", "timeline.html", "report.html", "trace.bin",
        "console.txt", "run.json")


def test_the_demo_leaves_its_pictures_and_pages(tmp_path: Path,
                                                capsys: pytest.CaptureFixture) -> None:
    wanted = replace(demo.request(tmp_path / "out", 1, plan.BUILD), time="60ms")
    assert demo.show(wanted) == report.OK
    said = capsys.readouterr().out
    for name in LEFT:
        assert (wanted.out / name).stat().st_size > 0
        assert name in said
    index = (wanted.out / demo.PAGE).read_text()
    links = set(re.findall(r'href="([^"#]+)"', index)) - {"data:,"}
    assert links >= {"walk.svg", "timeline.svg", "timeline.html", "report.html"}
    assert all((wanted.out / link).exists() for link in links)
    assert "24 references" in index
