"""Mutants: wrong solutions that must lose exactly the points they name, and why.

A mutant is the reference with at most five lines changed, as a student's mistake would
change them; labs/N-name/mutants/NAME.toml, see handouts/formats.md, section 8.  This file
reads and applies them; grading and comparing is in mutant_trial.py.
"""
from __future__ import annotations

import argparse
import ast
import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Set, Tuple, Union

from grader import labtoml, plan
from grader.kit import regions
from grader.labtoml import Lab, tomllib
from grader.plan import RunError

MOST_LINES = 5
KEYS = {"mistake": str, "file": str, "loses": dict, "passes": list, "reason": (str, dict),
        "change": list}
# often: of the tests, those that `make check` runs (without it, all); by_chance: tests that the
# mistake breaks or not as the layout of the code happens to be.
OPTIONAL = {"often": list, "by_chance": list}


class MutantError(RunError):
    """A mutant's file is wrong; the message begins with its path."""


@dataclass(frozen=True)
class Mutant:
    """A wrong solution: the whole text of the one file that differs, and what it must lose."""

    name: str
    path: Path
    mistake: str
    file: str
    loses: Dict[str, float]
    passes: Tuple[str, ...]
    reason: Union[str, Dict[str, str]]
    text: str
    often: Tuple[str, ...] = ()
    by_chance: Tuple[str, ...] = ()

    @property
    def tests(self) -> Tuple[str, ...]:
        """The tests that it names."""
        return (*self.loses, *self.passes)

    def in_short(self) -> "Mutant":
        """The same, naming no tests but those that are run often."""
        if not self.often:
            return self
        reason = self.reason if isinstance(self.reason, str) else {
            name: words for name, words in self.reason.items() if name in self.often}
        return replace(self, reason=reason,
                       loses={name: lost for name, lost in self.loses.items() if name in self.often},
                       passes=tuple(name for name in self.passes if name in self.often))


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """The command line."""
    parser = commands.add_parser("mutants", help="do wrong solutions lose what they should?")
    parser.add_argument("--lab", type=int, required=True, metavar="N")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--all", action="store_true", help="all tests, not only those named")
    parser.add_argument("--jobs", type=int, default=2, metavar="J")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the gradings there")
    parser.set_defaults(work=_work)


def _work(options: argparse.Namespace) -> int:
    from grader.kit import mutant_trial
    lab = labtoml.find(plan.ROOT, options.lab)
    mutants = load_all(plan.ROOT, lab)
    names = [each.name for each in mutants]
    for name in options.only:
        if name not in names:
            raise RunError(f"lab {lab.number} has no mutant {name}; it has: {', '.join(names)}")
    chosen = [each for each in mutants if not options.only or each.name in options.only]
    return mutant_trial.try_all(lab, chosen, options.all, options.jobs, options.keep)


def load_all(root: Path, lab: Lab) -> List[Mutant]:
    """All mutants of a lab, by name."""
    return [load(path, root, lab) for path in sorted(lab.path.parent.glob("mutants/*.toml"))]


def load(path: Path, root: Path, lab: Lab) -> Mutant:
    """Read and check a mutant; MutantError says what is wrong with it."""
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MutantError(f"{path}: {error}") from None
    try:
        _check_keys(found)
        if found["file"] not in lab.files:
            raise ValueError(f"file {found['file']} is none of the student's files")
        _check_tests(found, test_names(lab))
        text = _apply(found, (root / found["file"]).read_text())
    except ValueError as error:
        raise MutantError(f"{path}: {error}") from None
    return Mutant(path.stem, path, found["mistake"], found["file"], dict(found["loses"]),
                  tuple(found["passes"]), found["reason"], text, tuple(found.get("often", ())),
                  tuple(found.get("by_chance", ())))


def _check_keys(found: Dict[str, Any]) -> None:
    for key in found:
        if key not in KEYS and key not in OPTIONAL:
            raise ValueError(f"unknown key {key}")
    for key, kind in KEYS.items():
        if not found.get(key):
            raise ValueError(f"{key} is missing or empty")
        if not isinstance(found[key], kind):
            raise ValueError(f"{key} is of the wrong type")
    for key, kind in OPTIONAL.items():
        if not isinstance(found.get(key, kind()), kind):
            raise ValueError(f"{key} is of the wrong type")
    for change in found["change"]:
        if set(change) != {"old", "new"} or not all(isinstance(each, str)
                                                    for each in change.values()):
            raise ValueError("a [[change]] has old and new, both text")


def _check_tests(found: Dict[str, Any], known: Set[str]) -> None:
    for name, points in found["loses"].items():
        if isinstance(points, bool) or not isinstance(points, (int, float)) or points <= 0:
            raise ValueError(f"loses: {name} = {points} are no points")
    reasons = found["reason"] if isinstance(found["reason"], dict) else {}
    chance = set(found.get("by_chance", ()))
    for name in (*found["loses"], *found["passes"], *reasons, *chance):
        if str(name).partition("[")[0] not in known:
            raise ValueError(f"there is no test {name}")
    both = set(found["loses"]) & set(found["passes"])
    if both:
        raise ValueError(f"{sorted(both)[0]} cannot both pass and lose points")
    if chance & {*found["loses"], *found["passes"]}:
        raise ValueError("by_chance: a test that is also in loses or in passes")
    often = set(found.get("often", ()))
    if not often <= {*found["loses"], *found["passes"]}:
        raise ValueError("often: a test that is neither in loses nor in passes")
    if often and not (often & set(found["loses"]) and often & set(found["passes"])):
        raise ValueError("often: one of loses and one of passes at least")


def test_names(lab: Lab) -> Set[str]:
    """The tests of a lab, public and hidden, by name."""
    folder = lab.path.parent
    found: Set[str] = set()
    for path in (*folder.glob("test_*.py"), *folder.glob("hidden/test_*.py")):
        found |= {node.name for node in ast.walk(ast.parse(path.read_text()))
                  if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    return found


def _apply(found: Dict[str, Any], text: str) -> str:
    """The file with all changes made; ValueError if one does not fit or they are too many."""
    original, lines = text, 0
    for change in found["change"]:
        old, new = change["old"], change["new"]
        count = original.count(old) if old else 0
        if count != 1:
            raise ValueError(f"old occurs {count} times in {found['file']}: {_short(old)}")
        _check_inside(found["file"], original, old)
        if text.count(old) != 1:
            raise ValueError(f"two changes overlap: {_short(old)}")
        text = text.replace(old, new)
    lines = changed_lines(original, text)
    if not 1 <= lines <= MOST_LINES:
        raise ValueError(f"{lines} lines are changed; 1 to {MOST_LINES} make a mutant")
    return text


def _check_inside(file: str, text: str, old: str) -> None:
    """A student's mistake is in what a student writes."""
    start = text.index(old)
    for region in regions.parse(text, file):
        if region.begin.end <= start and start + len(old.rstrip()) <= region.finish.start:
            return
    raise ValueError(f"old lies in no marked region of {file}: {_short(old)}")


def changed_lines(before: str, after: str) -> int:
    """Lines changed, added or removed."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(),
                                      autojunk=False)
    return sum(max(i2 - i1, j2 - j1) for what, i1, i2, j1, j2 in matcher.get_opcodes()
               if what != "equal")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
