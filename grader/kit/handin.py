"""make handin: a student's files of a lab in one zip, with their paths, ready to upload.

Nothing else goes in; what is missing is named.  A site that takes single files would lose
their folders, hence the zip.
"""
from __future__ import annotations

import argparse
import zipfile
from pathlib import Path
from typing import Any

from grader import labtoml, plan
from grader.plan import RunError


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("handin", help="pack the student's files of a lab")
    parser.add_argument("--lab", type=int, required=True, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    lab = labtoml.find(plan.ROOT, options.lab)
    pack(plan.ROOT, lab, options.out)
    print(f"hand in {options.out}: {', '.join(lab.files)}")
    return 0


def pack(root: Path, lab: labtoml.Lab, out: Path) -> None:
    """Write the zip."""
    if not lab.files:
        raise RunError(f"in lab {lab.number} there is nothing to hand in")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in lab.files:
                archive.write(root / file, file)
    except OSError as error:
        raise RunError(f"cannot write {error.filename or out}: {error.strerror}") from None
