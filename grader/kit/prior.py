"""How the other labs come into a starter: reference, object files, or the student's own.

PRIOR=object is for courses that must not publish answers: the source files of earlier
labs are absent, and prior/ holds what the compiler made of them, without debugging
information.  PRIOR=own takes the student's files out of FROM, by the same rules as from a
submission.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from grader import labtoml
from grader.kit import tree
from grader.plan import RunError

KINDS = ("reference", "object", "own")
FOLDER = "prior"


def replace(files: tree.Files, root: Path, lab: labtoml.Lab, kind: str,
            source: Optional[Path]) -> None:
    """Put the other labs into `files` as `kind` says.

    Where a lab has nothing to write, the later labs come as objects too: it is there to
    show a machine that works.
    """
    marked = tree.marked_sources(root)
    if not sources_of(lab):
        _as_objects(files, root, {number: marked[number] for number in marked
                                  if number > lab.number})
    if kind == "object":
        _as_objects(files, root, {number: marked[number] for number in marked
                                  if number < lab.number})
    elif kind == "own" and source is not None:
        _as_own(files, earlier(root, lab.number), source)


def earlier(root: Path, lab: int) -> List[labtoml.Lab]:
    """The labs before `lab`, by number."""
    labs = [labtoml.load(path, root) for path in root.glob("labs/[0-9]*-*/lab.toml")]
    return sorted((each for each in labs if each.number < lab), key=lambda each: each.number)


def sources_of(lab: labtoml.Lab) -> List[str]:
    """The student's files of a lab that are compiled."""
    return [file for file in lab.files if file.endswith((".c", ".S"))]


def output(command: List[str], folder: Path) -> str:
    """What a command prints, without its last newline; empty if it cannot be run or fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, text=True,
                              capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# --- Objects -------------------------------------------------------------------------

def _as_objects(files: tree.Files, root: Path, marked: Dict[int, List[str]]) -> None:
    """Compile these labs' reference, take the objects, drop the sources and the labs."""
    for number, sources in marked.items():
        files.update(_compile(files, root, sources))
        for path in list(files):
            if path in sources or path.startswith(f"labs/{number}-"):
                del files[path]


def _compile(files: tree.Files, root: Path, sources: List[str]) -> tree.Files:
    with tempfile.TemporaryDirectory(prefix="nestling-prior-") as name:
        folder = Path(name)
        for path in files:
            if path.endswith((*tree.SOURCES, ".def", "Makefile")):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(files[path].data)
        for source in sources:
            (folder / source).write_bytes((root / source).read_bytes())
        made = [f"build/obj/{Path(source).with_suffix('.o')}" for source in sources]
        _run(["make", "-s", *made], folder)
        for path in made:
            _run(["objcopy", "--strip-debug", path], folder)
        return {path.replace("build/obj", FOLDER, 1): tree.File((folder / path).read_bytes())
                for path in made}


def _run(command: List[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise RunError(f"PRIOR=object needs {command[0]}: make doctor says what is missing")
    environment = {key: value for key, value in os.environ.items()
                   if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True,
                          check=False)
    if done.returncode:
        raise RunError(f"{' '.join(command)} failed: {done.stderr.strip()}")


# --- The student's own ---------------------------------------------------------------

def _as_own(files: tree.Files, labs: List[labtoml.Lab], source: Path) -> None:
    """Take the labs' files out of a student's project by the rules of a submission."""
    from grader.grading import intake
    for lab in labs:
        if not lab.files:
            continue
        taken = intake.take(source, lab.files)
        for file, why in taken.problems.items():
            raise RunError(f"lab {lab.number} in {source}: {file} {why}")
        files.update({file: tree.File(data) for file, data in taken.files.items()})
