"""The tables of a graded class: results.csv and index.html.

One row a submission: score, points of each test, whether the score is trusted, what
contradicted what, seeds, commit, and whose files are the same program text.  Everything
that comes from a submission is escaped; a spreadsheet computes nothing from it.
"""
from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from grader.kit import classlist
from grader.kit.classlist import Entry
from grader.labtoml import Lab

CSV, PAGE = "results.csv", "index.html"
TEMPLATE = "class.html.j2"
FORMULA = ("=", "+", "-", "@", "\t", "\r")
DIFFERENT = 1


@dataclass
class Row:
    """What the tables say of a submission."""

    name: str
    folder: str
    error: str = ""
    score: float = 0.0
    most: float = 0.0
    built: bool = False
    trusted: bool = False
    contradictions: int = 0
    seconds: float = 0.0
    seeds: Dict[str, str] = field(default_factory=dict)
    commit: str = ""
    hashes: Dict[str, str] = field(default_factory=dict)
    same_as: Dict[str, List[str]] = field(default_factory=dict)
    tests: Dict[str, float] = field(default_factory=dict)
    worth: Dict[str, float] = field(default_factory=dict)
    before: Optional[float] = None

    @property
    def lost(self) -> List[str]:
        """The tests that did not give all their points."""
        return [name for name, points in self.tests.items() if points < self.worth[name]]

    @property
    def untouched(self) -> bool:
        """Whether every file is still as it was given."""
        return bool(self.hashes) and set(self.hashes.values()) == {classlist.AS_GIVEN}

    @property
    def differs(self) -> bool:
        """Whether a regrade gave another score."""
        return self.before is not None and self.before != self.score


def rows(entries: List[Entry], out: Path, errors: Dict[str, str],
         records: Optional[Path] = None) -> List[Row]:
    """A row for each submission."""
    same = classlist.twins(entries)
    return [_row(entry, out, errors.get(entry.name, entry.problem), same[entry.name], records)
            for entry in entries]


def _row(entry: Entry, out: Path, error: str, same: Dict[str, List[str]],
         records: Optional[Path]) -> Row:
    row = Row(entry.name, entry.folder, error, commit=entry.commit, hashes=entry.fingerprints,
              same_as=same)
    if error:
        return row
    results = _read(out / entry.folder / "results.json")
    record = _read(out / entry.folder / "record.json")
    row.score, row.seconds = results["score"], results["execution_time"]
    row.tests = {test["name"]: test["score"] for test in results["tests"]}
    row.worth = {test["name"]: test["max_score"] for test in results["tests"]}
    row.most = sum(row.worth.values())
    row.trusted = results["extra_data"]["trusted"]
    row.built = "nestling.elf" in (record.get("machine") or {})
    row.contradictions = sum(bool(each["contradictions"]) for each in record["results"])
    row.seeds = record["seeds"]
    if records is not None:
        row.before = _read(records / entry.folder / "record.json").get("score")
    return row


def _read(path: Path) -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(path.read_text())
    return found


def write(rows: List[Row], lab: Lab, out: Path) -> None:
    """Write both tables."""
    tests = list(dict.fromkeys(name for row in rows for name in row.tests))
    _write_csv(rows, lab, tests, out / CSV)
    _write_page(rows, lab, tests, out / PAGE)


def _write_csv(rows: List[Row], lab: Lab, tests: List[str], path: Path) -> None:
    files = [file for file in lab.files if any(file in row.hashes for row in rows)]
    made = path.with_name(path.name + ".new")
    with open(made, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "score", "max_score", *tests, "built", "trusted",
                         "contradictions", "error", "seed_public", "seed_hidden", "nonce",
                         "seconds", "commit", "before", "same_as",
                         *(f"hash {name}" for name in files)])
        for row in rows:
            writer.writerow([_cell(value) for value in (
                row.name, row.score, row.most, *(row.tests.get(name, "") for name in tests),
                _yes(row.built), _yes(row.trusted), row.contradictions, row.error,
                *(row.seeds.get(key, "") for key in ("public", "hidden", "nonce")), row.seconds,
                row.commit, "" if row.before is None else row.before, same_text(row),
                *(row.hashes.get(name, "") for name in files))])
    os.replace(made, path)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return value


def same_text(row: Row) -> str:
    """With whom which files are shared, in words."""
    shared: Dict[str, List[str]] = {}
    for file, names in row.same_as.items():
        shared.setdefault(", ".join(names), []).append(file)
    return "; ".join(f"{names}: {', '.join(files)}" for names, files in shared.items())


def _write_page(rows: List[Row], lab: Lab, tests: List[str], path: Path) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    environment = Environment(loader=FileSystemLoader(os.path.dirname(__file__)), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    graded = [row for row in rows if not row.error]
    passed = {name: sum(row.tests.get(name, 0) == row.worth.get(name, 0) for row in graded)
              for name in tests}
    path.write_text(environment.get_template(TEMPLATE).render(
        lab=lab, rows=rows, tests=tests, graded=graded, passed=passed, same_text=same_text),
        encoding="utf-8")


def tell(rows: List[Row], out: Path) -> int:
    """Say how it went; 1 if a regrade gave another score, 2 if something was not graded."""
    graded = [row for row in rows if not row.error]
    mean = sum(row.score for row in graded) / len(graded) if graded else 0
    print(f"{len(graded)} of {len(rows)} graded, on average {mean:.1f} points: {out / CSV}, "
          f"{out / PAGE}")
    for row in rows:
        if row.differs:
            print(f"{row.name}: {row.score:g} points, {row.before:g} before")
        if row.error:
            print(f"{row.name}: not graded: {row.error}")
    if len(graded) < len(rows):
        return 2
    return DIFFERENT if any(row.differs for row in rows) else 0
