"""make starter: the project as the students of a lab get it.

A whole project that builds, runs, and says what is missing; tree.py decides what is in
it, prior.py how earlier and later labs come, pages.py draws its handouts.  Everything is
made in memory first and then written, so an error leaves nothing half done in OUT.
"""
from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any, Dict, List, Optional

from grader import labtoml, plan
from grader.kit import pages, prior, regions, tree
from grader.kit import source as source_text
from grader.plan import RunError

README = "README.md"
TEMPLATE = "starter_readme.md.j2"
TODO = r'\btodo(?:_stop|_not)?\(\d+,(?: "\w+",)? "([\d.]+)"'


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("starter", help="make the project that students begin with")
    parser.add_argument("--lab", type=int, required=True, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--prior", choices=prior.KINDS, default="reference",
                        help="how the earlier labs come; own: from --from")
    parser.add_argument("--from", dest="source", type=Path, metavar="DIR",
                        help="the student's own project")
    parser.add_argument("--force", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--no-handouts", dest="drawn", action="store_false",
                        help="leave out the handouts as HTML, with figures drawn from runs")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    files = make(plan.ROOT, options.lab, options.prior, options.source, options.drawn)
    write(files, options.out, options.force)
    print(f"{len(files)} files in {options.out}: begin with {options.out / README}")
    return 0


def make(root: Path, lab: int, kind: str = "reference",
         source: Optional[Path] = None, drawn: bool = False) -> tree.Files:
    """All files of the starter of lab `lab` of the project at `root`; drawn: with the handouts
    as HTML, whose figures come from runs of the project that this module belongs to."""
    described = labtoml.find(root, lab)
    if (kind == "own") != (source is not None):
        raise RunError("PRIOR=own and FROM=dir belong together: the student's own project")
    files = tree.collect(root, lab)
    prior.replace(files, root, described, kind, source)
    files[README] = tree.File(_readme(root, described, files, kind, drawn).encode())
    pages.fit(files)
    if drawn:
        pages.draw(files)
    return files


def write(files: tree.Files, out: Path, force: bool = False) -> None:
    """Write the files below `out`; without `force` it must be empty or not there."""
    full = out.resolve()
    if full == plan.ROOT or full in plan.ROOT.parents:
        raise RunError(f"{out} holds the project itself: choose another folder")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())) and not force:
            raise RunError(f"{out} is not empty: choose another folder, or FORCE=1 to write over "
                           "what has the same names")
        for path, file in files.items():
            place = out / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.data)
            place.chmod(file.mode)
    except OSError as error:
        raise RunError(f"cannot write {error.filename or out}: {error.strerror}") from None


# --- The page that students read first ------------------------------------------------

def _readme(root: Path, lab: labtoml.Lab, files: tree.Files, kind: str,
            drawn: bool) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(loader=FileSystemLoader(os.path.dirname(__file__)),
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              keep_trailing_newline=True)
    text = environment.get_template(TEMPLATE).render(
        lab=lab, tasks=tasks(root, lab), prior=kind, drawn=drawn, version=version(root),
        folder=lab.path.parent.name, objects=sorted(
            path for path in files if re.fullmatch(prior.FOLDER + r"/.*\.o", path)),
        predictions=[file for file in lab.files if file.endswith("predictions.toml")])
    return re.sub(r"\n+(?=## )", "\n\n", text)


def tasks(root: Path, lab: labtoml.Lab) -> List[Dict[str, str]]:
    """What is to be written, by section of the handout: section, function ('': a place for
    helpers of the one that follows), file, sentence."""
    found = []
    for file in lab.files:
        if not file.endswith(tree.SOURCES):
            continue
        text = (root / file).read_text()
        parsed = regions.parse(text, file)
        for number, region in enumerate(parsed):
            user = next((each for each in parsed[number:] if each.stub), None)
            if user is None:
                raise RunError(f"{file}: helpers that no function follows: {region.sentence}")
            found.append({"file": file, "section": _section(root, user),
                          "function": source_text.function(text[:region.begin.start])
                          if region.stub else "", "sentence": region.sentence})
    return sorted(found, key=lambda task: [int(part) for part in task["section"].split(".")])


def _section(root: Path, region: regions.Region) -> str:
    """The section that a stub names; assembly's jumps to a function that names it."""
    told = re.search(TODO, region.stub)
    target = re.match(r"jmp\s+(\w+)", region.stub)
    if told is None and target is not None:
        there = re.compile(rf"\b{target[1]}\([^;{{}}]*\)\s*{{\s*{TODO}")
        texts = [(root / path).read_text() for path in tree.project_files(root)
                 if path.endswith(".c")]
        told = next(filter(None, map(there.search, texts)), None)
    if told is None:
        raise RunError(f"the stub names no section of the handout: {region.stub}")
    return told[1]


def version(root: Path) -> str:
    """The project's commit, or "release" where there is no checkout."""
    if not (root / ".git").exists():
        return "release"
    return prior.output(["git", "describe", "--always", "--dirty"], root) or "release"
