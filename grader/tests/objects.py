"""Objects that a copy of the project shares with this tree, lent to it so that tests build less.

Only where the copy has the same source and the same of all that this one includes, to
the byte; whatever is another there, or is missing, is compiled there.  With --torture nothing is lent.
"""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import List

from grader.plan import ROOT

BUILT = tuple(f"build/{name}obj" for name in ("", "sim/", "nest/", "walk/"))


def lend(folder: Path) -> int:
    """Put our objects into a copy of the project; how many."""
    lent = 0
    for rules in (path for name in BUILT for path in sorted((ROOT / name).rglob("*.d"))):
        made = rules.with_suffix(".o")
        if made.is_file() and all(_same(ROOT / name, folder / name) for name in _sources(rules)):
            for path in (rules, made):
                place = folder / path.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)    # newer than its source
            lent += 1
    return lent


def _sources(rules: Path) -> List[str]:
    """What the compiler read for an object, by the rules that it wrote."""
    words = rules.read_text().replace("\\\n", " ").split()
    return [word for word in words if not word.endswith(":")]


def _same(ours: Path, theirs: Path) -> bool:
    return ours.is_file() and theirs.is_file() and ours.read_bytes() == theirs.read_bytes()
