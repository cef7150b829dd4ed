"""Runs the ```sh blocks of a handout in a scratch copy of the tree.

The copy has the sources and what `make` has built, so a command finds what a reader
has.  A block must end well (`sh fails`: must not), and the ```output block below it must
be in what it printed: its lines in this order, `...` for anything.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from grader.kit import tree
from grader.pages.markdown import Fence
from grader.plan import ROOT

BUILT = ("nestling*", "guests", "obj", "pages")
LIMIT_S = 600
SET_BY_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LAB", "SEED", "PLATFORM", "OUT", "SUBMISSION")


@dataclass(frozen=True)
class Block:
    """Commands of a handout, and what they should print."""

    fence: Fence
    output: str = ""

    @property
    def is_long(self) -> bool:
        """Whether it is run at length only."""
        return "long" in self.fence.flags


def blocks(fences: List[Fence]) -> List[Block]:
    """The commands among the fences, each with the ```output that follows it."""
    found: List[Block] = []
    for before, fence in zip([None, *fences], fences):
        if fence.language == "sh":
            found.append(Block(fence))
        elif fence.language == "output" and before is not None and before.language == "sh":
            found[-1] = Block(before, fence.code)
    return found


def copy_tree(target: Path) -> Path:
    """A scratch copy: our own files and what is built, with their times."""
    for name in tree.project_files(ROOT):
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, place)
    (target / "build").mkdir()
    for pattern in BUILT:
        for path in (ROOT / "build").glob(pattern):
            if path.is_dir():
                shutil.copytree(path, target / "build" / path.name, ignore=_passing)
            else:
                shutil.copy2(path, target / "build" / path.name)
    return target


def _passing(folder: str, names: List[str]) -> List[str]:
    """Scratch folders of drawings that another test makes at this moment."""
    return [name for name in names if name.startswith("tmp") and folder.endswith("figures")]


def run(block: Block, folder: Path) -> Tuple[int, str]:
    """Exit code and output of a block."""
    environment = {key: value for key, value in os.environ.items() if key not in SET_BY_MAKE}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", block.fence.code], cwd=folder,
                          env=environment, text=True, stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT_S)
    return done.returncode, done.stdout


def wrong(block: Block, code: int, said: str) -> Optional[str]:
    """What is wrong with what a block did, None if nothing is."""
    if (code != 0) != ("fails" in block.fence.flags):
        return f"it ended with {code}:\n{block.fence.code}\n{said[-2000:]}"
    lines = iter(said.splitlines())
    for expected in block.output.splitlines():
        pattern = ".*".join(re.escape(part.rstrip()) for part in expected.split("...")) + r"\s*"
        if expected.strip() and not any(re.fullmatch(pattern, line) for line in lines):
            return f"it did not print, in this order: {expected}\n{block.fence.code}\n{said[-2000:]}"
    return None
