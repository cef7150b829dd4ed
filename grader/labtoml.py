"""lab.toml: what a lab runs, which files are the student's, what it is worth.

Checked as handouts/formats.md, section 3 says: four tables, every key, no
other key, and every guest and option must parse.  Errors are one sentence that
names the file and the table.  Scoring is not done here.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Tuple

from grader import args
from grader.plan import RunError

try:
    import tomllib
except ImportError:  # Python before 3.11
    import tomli as tomllib

KEYS: Dict[str, Dict[str, type]] = {
    "lab": {"number": int, "name": str, "title": str, "hours": int, "handout": str},
    "run": {"option": str, "time": str, "guests": list},
    "student": {"files": list},
    "points": {"total": int},
}
OPTIONAL: Dict[str, Dict[str, Any]] = {  # tables that may be left out, with their defaults
    "predict": {},
    "hidden": {"tell": "hint", "visibility": "visible"},
    "host": {"programs": []},
}
TELL = ("hint", "message", "nothing")  # what students read of a hidden test that failed
VISIBILITY = ("visible", "hidden", "after_due_date", "after_published")  # as Gradescope has it


class LabError(RunError):
    """lab.toml is wrong; the message is one sentence."""


@dataclass(frozen=True)
class Lab:
    """A lab as its lab.toml describes it."""

    path: Path
    number: int
    name: str
    title: str
    hours: int
    handout: str
    option: str
    time: str
    guests: Tuple[str, ...]
    files: Tuple[str, ...]
    points: int
    predict: Dict[str, str] = field(default_factory=dict)  # key -> question
    tell: str = "hint"
    visibility: str = "visible"
    programs: Tuple[str, ...] = ()  # built for the host beside the kernel, below build/

    def tell_hint(self, hidden: bool) -> bool:
        """Whether a lost test's hint is told."""
        return not hidden or self.tell != "nothing"


def find(root: Path, number: int) -> Lab:
    """Lab `number` of the tree at `root`."""
    folders = sorted((root / "labs").glob("[0-9]*-*/lab.toml"))
    for path in folders:
        if path.parent.name.split("-")[0] == str(number):
            return load(path, root)
    known = ", ".join(path.parent.name for path in folders) or "none"
    raise LabError(f"there is no lab {number}; there are: {known}")


def load(path: Path, root: Path) -> Lab:
    """Read and check `path`, a lab of the tree at `root`."""
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: {error}") from None
    _check_keys(path, tables)
    lab, run = tables["lab"], tables["run"]
    _check_number(path, lab["number"])
    _check_strings(path, "run", "guests", run["guests"])
    _check_strings(path, "student", "files", tables["student"]["files"])
    _check_run(path, run)
    for file in tables["student"]["files"]:
        _check_file(path, root, file)
    _check_strings(path, "predict", "each question", list(tables.get("predict", {}).values()))
    if min(lab["hours"], tables["points"]["total"]) < 0:
        raise LabError(f"{path}: hours and total cannot be negative")
    return Lab(path, lab["number"], lab["name"], lab["title"], lab["hours"], lab["handout"],
               run["option"], run["time"], tuple(run["guests"]),
               tuple(tables["student"]["files"]), tables["points"]["total"],
               dict(tables.get("predict", {})), **_hidden(path, tables.get("hidden", {})),
               programs=_programs(path, tables.get("host", {})))


def _check_keys(path: Path, tables: Dict[str, Any]) -> None:
    for table in tables:
        if table not in KEYS and table not in OPTIONAL:
            raise LabError(f"{path}: unknown table [{table}]")
    for table, keys in KEYS.items():
        found = tables.get(table)
        if not isinstance(found, dict):
            raise LabError(f"{path}: table [{table}] is missing")
        for key in found:
            if key not in keys:
                raise LabError(f"{path}: unknown key {key} in [{table}]")
        for key, kind in keys.items():
            if key not in found:
                raise LabError(f"{path}: key {key} is missing in [{table}]")
            if type(found[key]) is not kind:
                raise LabError(f"{path}: {key} in [{table}] is not of type {kind.__name__}")


def _hidden(path: Path, table: Dict[str, Any]) -> Dict[str, str]:
    """[hidden] with its defaults."""
    for key, value in table.items():
        if key not in OPTIONAL["hidden"]:
            raise LabError(f"{path}: unknown key {key} in [hidden]")
        allowed = TELL if key == "tell" else VISIBILITY
        if value not in allowed:
            raise LabError(f"{path}: {key} in [hidden] is not one of {', '.join(allowed)}")
    return {**OPTIONAL["hidden"], **table}


def _programs(path: Path, table: Dict[str, Any]) -> Tuple[str, ...]:
    """[host]: what tests run on the host, in the sandbox."""
    for key in table:
        if key not in OPTIONAL["host"]:
            raise LabError(f"{path}: unknown key {key} in [host]")
    programs = table.get("programs", [])
    if not isinstance(programs, list):
        raise LabError(f"{path}: programs in [host] is not a list of strings")
    _check_strings(path, "host", "programs", programs)
    return tuple(programs)


def _check_number(path: Path, number: int) -> None:
    folder = path.resolve().parent.name
    if folder.split("-")[0] != str(number):
        raise LabError(f"{path}: number {number} in [lab] is not that of the folder {folder}")


def _check_strings(path: Path, table: str, key: str, values: list) -> None:
    if not all(isinstance(value, str) for value in values):
        raise LabError(f"{path}: {key} in [{table}] is not a list of strings")


def _check_run(path: Path, run: Dict[str, Any]) -> None:
    try:
        args.parse_options(f"{run['option']} time={run['time']}")
        for guest in run["guests"]:
            args.parse_guest(guest)
    except args.ArgError as error:
        raise LabError(f"{path}: [run]: {error}") from None


def _check_file(path: Path, root: Path, file: str) -> None:
    place = (root / file).resolve()
    if Path(file).is_absolute() or root.resolve() not in place.parents:
        raise LabError(f"{path}: files in [student]: {file} does not lie inside the tree")
    if not place.is_file():
        raise LabError(f"{path}: files in [student]: {file} does not exist")
