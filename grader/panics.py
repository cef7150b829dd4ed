"""A panic of the host in one sentence: its words, where it was, and what to try.

A host register that a world switch lost makes the host fault anywhere, so after a guest that is
worth a hint; not where the fault lies in what a student of a later lab than the first writes:
there it is the likelier mistake. What it does not do: find out which of the two it was.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator

from grader import labtoml, symbols

WORLD_SWITCH = 1            # the lab that writes it
HINT = ("; a guest had just run, and it may have cost the host a register: --option "
        "verify=registers names it")


def sentence(panic: str, cr2: int, lost: bool, image: Path, root: Path) -> str:
    """`panic` as the kernel said it, and its CR2. lost: a register may be, a guest had just run;
    `root` is the tree whose labs tell what students write."""
    said = symbols.named(panic, image)
    if panic.startswith("exception 14"):
        said += f", an access to {cr2:#x}"
    lost = lost and panic.startswith("exception")
    return said + (HINT if lost and not _is_students(symbols.function(panic, image), root) else "")


def _is_students(place: symbols.Place, root: Path) -> bool:
    """Whether students of a lab behind the world switch's write that function, or its file."""
    for file in _files(root):
        if place.file == file.name or place.name and not place.file and _defines(file, place.name):
            return True
    return False


def _files(root: Path) -> Iterator[Path]:
    for path in sorted((root / "labs").glob("*/lab.toml")):
        try:
            lab = labtoml.load(path, root)
        except labtoml.LabError:
            continue        # somebody else says so
        if lab.number > WORLD_SWITCH:
            yield from (root / name for name in lab.files if name.endswith(".c"))


def _defines(file: Path, name: str) -> bool:
    """A line that begins with a type and goes on with that function's name."""
    return re.search(rf"^[a-z][\w *]*\b{re.escape(name)}\(", file.read_text(), re.MULTILINE) is not None
