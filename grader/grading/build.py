"""Building a submission: pristine sources, the student's files in their place, one make.

The copy holds what the kernel is made of and the pristine objects, so that only
what the student's files touch is compiled; no labs, no tests, no grader.  Guests
are never built from a submission.  The compiler runs in the sandbox, its output is
bounded and shown.  Programs for the host, if a lab has tests that run them, are
built with it, and run in the sandbox only.  Which files are taken is decided in intake.py.
"""
from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Sequence

from grader.grading import limits, processes
from grader.grading.sandbox import INSIDE, Sandbox

FOLDERS = ("kernel", "vmm", "prior", "build/obj/kernel", "build/obj/vmm")
PRODUCTS = ("nestling.elf", "nestling64.elf", "nestling.img", "nestling.bin")
OUTPUT_BYTES = 64 << 10
SECONDS = 180.0
STEP = re.compile(r"  (CC|LD) \S+$")  # what make says of a step that went well
MAKE = ("make", "-s", "--no-print-directory", "-j2", "kernel", "CC=gcc", "LD=ld",
        "OBJCOPY=objcopy", "B=build")


@dataclass
class Built:
    """What came of it: `ok`, the compiler's words, and the hashes of the kernel."""

    ok: bool
    log: str
    sentence: str = ""
    hashes: Dict[str, str] = field(default_factory=dict)


def prepare(root: Path, copy: Path, programs: Sequence[str] = ()) -> None:
    """Copy what the kernel of the tree at `root` and its host programs are made of, time stamps
    included."""
    copy.mkdir(parents=True)
    for name in (*FOLDERS, *_objects(programs)):
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, symlinks=True,
                            ignore=shutil.ignore_patterns("tests", "__pycache__"))
    shutil.copy2(root / "Makefile", copy / "Makefile")


def _objects(programs: Sequence[str]) -> List[str]:
    """Where the objects of host programs are: build/sim/obj for sim/schedsim."""
    return sorted({f"build/{Path(name).parent}/obj" for name in programs})


def put(copy: Path, files: Dict[str, bytes], root: Path,
        programs: Sequence[str] = ()) -> List[str]:
    """Put the student's files in their place; the names of those that differ."""
    changed = []
    for name, data in files.items():
        path = copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() == data and not any(
                _stale(root, name, folder) for folder in ("build/obj", *_objects(programs))):
            continue
        changed.append(name)
        path.write_bytes(data)
        for folder in ("build/obj", *_objects(programs)):
            for ending in (".o", ".d"):
                (copy / folder / name).with_suffix(ending).unlink(missing_ok=True)
    return changed


def _stale(root: Path, name: str, folder: str) -> bool:
    """Whether the object of the tree is older than its source.  What is missing make builds, and
    not all that is the student's is part of each program."""
    source, made = root / name, (root / folder / name).with_suffix(".o")
    return made.is_file() and made.stat().st_mtime < source.stat().st_mtime


def build(copy: Path, sandbox: Sandbox, programs: Sequence[str] = ()) -> Built:
    """Compile and link in the sandbox."""
    sandbox.hand_over(copy)
    command = sandbox.wrap(copy, limits.BUILD) + [
        *MAKE, *(f"build/{name}" for name in programs), *(["HOSTCC=gcc"] if programs else [])]
    made = processes.run(command, copy, OUTPUT_BYTES, SECONDS)
    log = _readable(made, copy)
    if made.code is None:
        return Built(False, log, f"it did not build within {SECONDS:g} s")
    if made.code != 0 or not all(_product(copy, name).is_file()
                                 for name in (PRODUCTS[0], *programs)):
        return Built(False, log, "it does not build: see the compiler's words")
    return Built(True, log)


def _readable(made: processes.Output, copy: Path) -> str:
    """The compiler's words with the paths that a student knows."""
    text = made.text.replace(INSIDE + "/", "").replace(str(copy) + "/", "")
    text = "".join(line for line in text.splitlines(True) if not STEP.match(line))
    return text + ("\n(cut: there was more)\n" if made.cut else "")


def _product(copy: Path, name: str) -> Path:
    """A file that the build made; no link is followed, of the folder neither."""
    made = copy / "build" / name
    return made if made.resolve() == copy.resolve() / "build" / name else copy / "links lead out"


def deliver(copy: Path, root: Path, target: Path, programs: Sequence[str] = ()
            ) -> Dict[str, str]:
    """Take the kernel out of the copy, put the pristine guests beside it; SHA-256 of each."""
    for name in (*PRODUCTS, *programs):
        made = _product(copy, name)
        if made.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, target / name)
    shutil.copytree(root / "build" / "guests", target / "guests", dirs_exist_ok=True)
    return {os.path.relpath(path, target): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(target.rglob("*")) if path.is_file()}
