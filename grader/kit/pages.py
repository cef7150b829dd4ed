"""The handouts of a starter: texts that name only what is there, and the pages, drawn.

A starter has no runs of a finished hypervisor, so its figures are drawn here, from those
of the project, and go along as HTML: handouts/html/index.html.  The pages are made of the
starter's own files, so they hold nothing that these do not; but what a text cites may
have come as an object there, and is looked for in the project.
"""
from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Dict

from grader import plan
from grader.kit import tree
from grader.plan import RunError

FOLDER, HTML = "handouts/", "handouts/html/"
INDEX = FOLDER + "index.md"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
FIGURE = re.compile(r"^(!\[[^\]]*\]\()(figures/[^)\s]+\))", re.MULTILINE)


def fit(files: tree.Files) -> None:
    """Let the handouts lead to what is in the starter, and to nothing else."""
    for path, file in list(files.items()):
        if path.startswith(FOLDER) and path.endswith(".md"):
            lines = [line for line in file.data.decode().splitlines(keepends=True)
                     if path != INDEX or not _item_of_nothing(files, line)]
            text = "".join(lines)
            text = LINK.sub(lambda link: link[0] if _leads(files, path, link[2]) else link[1], text)
            if path == INDEX:
                text = re.sub(r"^## [^\n]*\n+(?=## |\Z)", "", text, flags=re.M).rstrip() + "\n"
            files[path] = tree.File(text.encode(), file.mode)


def draw(files: tree.Files) -> None:
    """Add the handouts as HTML with their figures; the project must be built."""
    with tempfile.TemporaryDirectory(prefix="nestling-starter-") as folder:
        root, out = Path(folder) / "starter", Path(folder) / "html"
        for path, file in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(file.data)
        _pages(root, out)
        drawn = {HTML + path.relative_to(out).as_posix(): path.read_bytes()
                 for path in sorted(out.rglob("*")) if path.is_file()}
    _show(files)
    files.update({path: tree.File(data) for path, data in drawn.items()})


def _pages(root: Path, out: Path) -> None:
    from grader.pages import figures, site
    try:
        studio = figures.Studio(plan.BUILD / "pages" / "figures")
        whole = site.read(root, figures.load(), source=plan.ROOT)
        wrong = whole.problems + site.write(whole, out, studio.draw)
    except (ImportError, RunError) as error:
        wrong = [str(error)]
    if wrong:
        raise RunError("the handouts cannot be drawn for the starter; put it right (make, then "
                       f"make handouts) or leave the pages out (HANDOUTS=0): {'; '.join(wrong)}")


def _show(files: tree.Files) -> None:
    """The texts' own links to figures lead to those of the pages."""
    for path in [path for path in files if path.startswith(FOLDER) and path.endswith(".md")]:
        text = FIGURE.sub(r"\1html/\2", files[path].data.decode())
        files[path] = tree.File(text.encode(), files[path].mode)


def _item_of_nothing(files: tree.Files, line: str) -> bool:
    """Whether this is an item of a list that is about a page that is not there."""
    item = re.match(r"- (\[.*)", line)
    link = LINK.match(item[1]) if item else None
    return link is not None and not _leads(files, INDEX, link[2])


def _leads(files: Dict[str, tree.File], path: str, target: str) -> bool:
    """Whether a link in the file `path` leads somewhere."""
    place = os.path.normpath(os.path.join(os.path.dirname(path), target.partition("#")[0]))
    return ("://" in target or target.startswith("#") or place in files
            or any(each.startswith(place + "/") for each in files))
