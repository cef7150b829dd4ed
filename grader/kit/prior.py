"""How the other labs come into a starter: reference, object files, or the student's own.

Later labs always come as object files: without a virtual timer (lab 2) no guest of lab 1
would run, and its source would be lab 2's solution.  Earlier labs do so with PRIOR=object,
for courses that must not publish answers.  prior/ holds what the compiler made, without
debugging information, and the hashes of the headers that it saw: objects fit no others.
PRIOR=own takes the student's files out of FROM, by the rules of a submission.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Set

from grader import labtoml
from grader.kit import objects, tree
from grader.plan import RunError

KINDS = ("reference", "object", "own")
FOLDER = "prior"
HEADERS = FOLDER + "/headers.sha256"


def replace(files: tree.Files, root: Path, lab: labtoml.Lab, kind: str,
            source: Optional[Path]) -> None:
    """Put the labs before and after `lab` into `files`."""
    marked = tree.marked_sources(root)
    absent = [number for number in marked if number > lab.number
              or (kind == "object" and number < lab.number)]
    _as_objects(files, root, {number: marked[number] for number in absent})
    if kind == "own" and source is not None:
        _as_own(files, earlier(root, lab.number), source)


def earlier(root: Path, lab: int) -> List[labtoml.Lab]:
    """The labs before `lab`, by number."""
    labs = [labtoml.load(path, root) for path in root.glob("labs/[0-9]*-*/lab.toml")]
    return sorted((each for each in labs if each.number < lab), key=lambda each: each.number)


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
    sources = [path for number in sorted(marked) for path in marked[number]]
    if not sources:
        return
    made = _compile(files, root, sources)
    absent = tuple(f"labs/{number}-" for number in marked)
    for path in list(files):
        if path in sources or path.startswith(absent):
            del files[path]
    files.update(made)


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
        objects.lend(folder, root, made)
        _run(["make", "-s", "-j2", *made], folder)
        for path in made:
            _run(["objcopy", "--strip-unneeded", path], folder)
        found = {path.replace("build/obj", FOLDER, 1): tree.File((folder / path).read_bytes())
                 for path in made}
        found[HEADERS] = tree.File(_header_sums(folder, files, made).encode())
        return found


def _header_sums(folder: Path, files: tree.Files, made: List[str]) -> str:
    """What sha256sum --check reads: the headers that the objects were made with."""
    seen: Set[str] = set()
    for path in made:
        rules = (folder / path).with_suffix(".d")
        seen |= set(rules.read_text().split()) if rules.is_file() else set()
    return "".join(f"{hashlib.sha256(files[path].data).hexdigest()}  {path}\n"
                   for path in sorted(seen & set(files)) if path.endswith((".h", ".def", ".inc")))


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
