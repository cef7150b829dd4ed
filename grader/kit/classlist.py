"""A folder of submissions, and what is known of each: hashes, and which are the same.

One submission is a subfolder or an archive; its name is the folder's, or the archive's
without its ending.  A fingerprint ignores layout and comments, so equal ones mean the
same program text, or nearly; a file left as it was given counts for nobody.  Whether
anybody copied is for humans to judge.
"""
from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Set

from grader.grading import intake
from grader.kit import regions, source, tree
from grader.labtoml import Lab
from grader.plan import RunError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
KIT = ("Makefile", "grader/", "guests/", "kernel/", "labs/", "viz/", "vmm/")
AS_GIVEN = "as given"
DIGITS = 12


@dataclass
class Entry:
    """One submission."""

    name: str
    path: Path
    problem: str = ""                                             # why nothing can be taken
    commit: str = ""
    digest: str = ""                                              # of all that was taken
    fingerprints: Dict[str, str] = field(default_factory=dict)    # file -> hash or AS_GIVEN

    @property
    def folder(self) -> str:
        """Its folder among the results: the name, in characters that every system takes."""
        plain = re.sub(r"[^\w@+.,-]", "_", self.name)
        if plain == self.name and not plain.startswith("."):
            return plain
        return f"{plain.lstrip('.')}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


def find(folder: Path) -> List[Entry]:
    """The submissions in a folder, by name; RunError if two have the same name or none is there."""
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}")
    entries: Dict[str, Entry] = {}
    for path in sorted(folder.iterdir()):
        ending = next((each for each in ENDINGS if path.name.lower().endswith(each)), "")
        if path.name.startswith(".") or not (path.is_dir() or ending):
            continue
        name = path.name if path.is_dir() else path.name[:-len(ending)]
        if name in entries:
            raise RunError(f"two submissions are named {name}: {entries[name].path.name} and "
                           f"{path.name}")
        entries[name] = Entry(name, path)
    if not entries:
        raise RunError(f"{folder} holds no submission: a subfolder or an archive "
                       f"({', '.join(ENDINGS[:4])}) for each")
    return list(entries.values())


def examine(entries: List[Entry], root: Path, lab: Lab) -> None:
    """Fill in what each submission holds."""
    given = {file: _fingerprints_of_given(root, file, lab) for file in lab.files}
    for entry in entries:
        try:
            taken = intake.take(entry.path, lab.files)
        except RunError as error:
            entry.problem = str(error)
            continue
        entry.commit = taken.commit
        entry.digest = _digest([taken.hashes, taken.problems])
        for file, data in taken.files.items():
            if file.endswith(tree.SOURCES):
                mark = source.fingerprint(data.decode())
                entry.fingerprints[file] = AS_GIVEN if mark in given[file] else mark[:DIGITS]


def _fingerprints_of_given(root: Path, file: str, lab: Lab) -> Set[str]:
    """A file as students get it."""
    if not file.endswith(tree.SOURCES):
        return set()
    return {source.fingerprint(regions.strip((root / file).read_text(), file, lab.number))}


def twins(entries: List[Entry]) -> Dict[str, Dict[str, List[str]]]:
    """name -> file -> the others whose file is the same program text."""
    groups: Dict[str, Dict[str, List[str]]] = {}
    for entry in entries:
        for file, mark in entry.fingerprints.items():
            if mark != AS_GIVEN:
                groups.setdefault(f"{file} {mark}", {}).setdefault(file, []).append(entry.name)
    found: Dict[str, Dict[str, List[str]]] = {entry.name: {} for entry in entries}
    for group in groups.values():
        for file, names in group.items():
            for name in names if len(names) > 1 else []:
                found[name][file] = [other for other in names if other != name]
    return found


def kit_digest(root: Path) -> str:
    """A hash of all that has a say in a score but the submission."""
    whole = hashlib.sha256()
    for path in tree.project_files(root):
        if path.startswith(KIT):
            whole.update(f"{path} {hashlib.sha256((root / path).read_bytes()).hexdigest()}\n"
                         .encode())
    return whole.hexdigest()


def key(entry: Entry, *conditions: object) -> str:
    """Names a grading: same submission and same conditions, same key."""
    return _digest([entry.digest, *map(str, conditions)])


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
