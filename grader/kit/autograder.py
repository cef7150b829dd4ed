"""make autograder: what grades a lab, packed for a machine that is not this one.

OUT=x.zip is an upload for Gradescope: setup.sh and run_autograder at the top, the project
below nestling/.  OUT=x.tar.gz is the same project to unpack anywhere.  Both hold the
hidden tests, but no solution of this lab and later ones: a submission that gets out of
its sandbox finds none to read.  Equal projects give equal archives, byte for byte.

The layout: Gradescope's "Autograder Specifications" (files at the root of the archive;
/autograder/source, submission and results).
"""
from __future__ import annotations

import argparse
import io
import gzip
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from grader import labtoml, plan
from grader.kit import prior, starter, tree
from grader.plan import RunError

TEMPLATES = Path(__file__).with_name("upload")
PROJECT = "nestling"
OLDEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip file knows
OLDEST_S = 315532800
GRADING = ("grader/kit/gradeall.py", "grader/kit/gradeall_table.py", "grader/kit/classlist.py",
           "grader/kit/regions.py", "grader/kit/source.py", "grader/kit/tree.py",
           "grader/kit/makefile.py", "grader/kit/starter.mk", "grader/kit/class.html.j2")


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("autograder", help="pack what grades a lab")
    parser.add_argument("--lab", type=int, required=True, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE",
                        help="x.zip: for Gradescope; x.tar.gz: for any machine")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    files = pack(plan.ROOT, options.lab, options.out)
    print(f"{len(files)} files in {options.out}: not for students, it holds the hidden tests")
    return 0


def pack(root: Path, lab: int, out: Path) -> tree.Files:
    """Write the archive; which kind, its name's ending says."""
    name = out.name
    if name.endswith(".zip"):
        files, raw = gradescope(root, lab), zipped
    elif name.endswith((".tar.gz", ".tgz")):
        files, raw = project(root, lab, name.split(".")[0] + "/"), tarred
    else:
        raise RunError(f"{out}: an archive ends in .zip (for Gradescope) or .tar.gz")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(raw(files))
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror}") from None
    return files


def project(root: Path, lab: int, prefix: str) -> tree.Files:
    """The project with stubs from this lab on, its hidden tests and what grades a class."""
    described = labtoml.find(root, lab)
    files = tree.collect(root, lab, hidden=True)
    prior.replace(files, root, described, "reference", None)
    files.update({path: tree.File((root / path).read_bytes()) for path in GRADING
                  if (root / path).is_file()})
    files[starter.README] = _filled(root, lab, "README.md.in", tree.PLAIN)
    return {prefix + path: file for path, file in files.items()}


def gradescope(root: Path, lab: int) -> tree.Files:
    """As Gradescope unpacks it in /autograder/source."""
    return {"setup.sh": _filled(root, lab, "setup.sh.in", tree.EXECUTABLE),
            "run_autograder": _filled(root, lab, "run_autograder.in", tree.EXECUTABLE),
            **project(root, lab, PROJECT + "/")}


def _filled(root: Path, lab: int, template: str, mode: int) -> tree.File:
    text = (TEMPLATES / template).read_text()
    for key, value in (("@LAB@", str(lab)), ("@VERSION@", starter.version(root))):
        text = text.replace(key, value)
    return tree.File(text.encode(), mode)


def zipped(files: tree.Files) -> bytes:
    """A zip archive."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, OLDEST)
            entry.create_system = 3  # Unix: the mode counts
            entry.external_attr = (0o100000 | files[path].mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[path].data)
    return made.getvalue()


def tarred(files: tree.Files) -> bytes:
    """A compressed tar archive."""
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.mode, entry.mtime, entry.size = files[path].mode, OLDEST_S, len(files[path].data)
            archive.addfile(entry, io.BytesIO(files[path].data))
    return made.getvalue()
