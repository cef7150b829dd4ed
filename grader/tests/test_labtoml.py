"""lab.toml: the labs there are load, and each error is named with its table."""
from __future__ import annotations

from pathlib import Path

import pytest

from grader import labtoml
from grader.plan import ROOT

GOOD = """
[lab]
number = 3
name = "x"
title = "X"
hours = 2
handout = "handouts/lab3.md"
[run]
option = "slice=1ms"
time = "2s"
guests = ["hello", "ticker weight=2 -- hz=10"]
[student]
files = ["src/a.c"]
[points]
total = 10
"""


def make(folder: Path, text: str) -> Path:
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "a.c").write_text("int a;\n")
    (folder / "other").mkdir(exist_ok=True)
    lab = folder / "labs" / "3-x"
    lab.mkdir(parents=True, exist_ok=True)
    (lab / "lab.toml").write_text(text)
    return lab / "lab.toml"


def test_a_good_one_loads(tmp_path):
    make(tmp_path, GOOD)
    lab = labtoml.find(tmp_path, 3)
    assert (lab.number, lab.hours, lab.points, lab.time) == (3, 2, 10, "2s")
    assert lab.guests == ("hello", "ticker weight=2 -- hz=10") and lab.files == ("src/a.c",)


def test_every_lab_of_the_tree_loads():
    paths = sorted((ROOT / "labs").glob("*/lab.toml"))
    assert paths
    for path in paths:
        number = int(path.parent.name.split("-")[0])
        assert labtoml.find(ROOT, number).path == path


@pytest.mark.parametrize("old, new, sentence", [
    ("[points]", "[marks]", r"unknown table \[marks\]"),
    ("[points]\ntotal = 10\n", "", r"table \[points\] is missing"),
    ("total = 10", "total = 10\nbonus = 1", r"unknown key bonus in \[points\]"),
    ("total = 10", "", r"key total is missing in \[points\]"),
    ("total = 10", "total = '10'", r"total in \[points\] is not of type int"),
    ("total = 10", "total = true", r"total in \[points\] is not of type int"),
    ("total = 10", "total = -1", "cannot be negative"),
    ("number = 3", "number = 4", "number 4 in .* folder 3-x"),
    ("hours = 2", "hours = 2.5", r"hours in \[lab\]"),
    ("hours = 2", "hours = 2\nmotto = ''", r"unknown key motto in \[lab\]"),
    ('time = "2s"', 'time = "2"', r"\[run\]: 'time=2'"),
    ('time = "2s"', 'time = "2s slice=2ms"', r"\[run\]: 'slice=2ms': slice is given twice"),
    ("slice=1ms", "slice=1h", r"\[run\]: 'slice=1h'"),
    ("weight=2", "weight=0", r"\[run\]: 'weight=0'"),
    ('"hello",', "5,", r"guests in \[run\] is not a list of strings"),
    ("src/a.c", "src/b.c", r"files in \[student\]: src/b.c does not exist"),
    ("src/a.c", "../a.c", r"files in \[student\]: ../a.c does not lie inside"),
    ("src/a.c", "/etc/passwd", r"/etc/passwd does not lie inside"),
    ("src/a.c", "src", r"src does not exist"),
    ("[run]", "[host]\nprograms = 'sim'\n[run]", r"programs in \[host\] is not a list of strings"),
    ("[run]", "[host]\nfiles = []\n[run]", r"unknown key files in \[host\]"),
    ("[run]", "[run", "lab.toml: "),
    ("[lab]", "lab = 1\n[labx]", r"unknown table \[labx\]"),
])
def test_each_error_is_named(tmp_path, old, new, sentence):
    assert old in GOOD
    make(tmp_path, GOOD.replace(old, new))
    with pytest.raises(labtoml.LabError, match=sentence) as caught:
        labtoml.find(tmp_path, 3)
    assert "\n" not in str(caught.value)


def test_an_unknown_lab_lists_those_there_are(tmp_path):
    make(tmp_path, GOOD)
    with pytest.raises(labtoml.LabError, match="no lab 4; there are: 3-x"):
        labtoml.find(tmp_path, 4)
