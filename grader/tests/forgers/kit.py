"""What a forger is, how it becomes a submission, and how it and its honest twin are graded.

    tries    one sentence: what it hopes for
    base     starter (stubs), silent (stubs that return instead of ending the run), reference
    packing  folder, zip or tar: the twin's too; or a function of packing.py with its own
    only     the tests to grade; they must be worth something to the twin
    says     a regular expression: why it got nothing, in results.json, record.json or build.log
    lab      usual; open: the lab takes the Makefile too, so that a forger gets a shell in
             the sandbox, as if it had broken out of the compiler; pure: lab 3, whose code is
             asked on the host, without a machine; shadow: lab 4, which a VMM that has nested
             paging on would pass with less; nested: lab 5, whose tables and walks are asked on
             the host, too
    loses    the tests that are counted, where it needs others that it passes honestly
    refused  the submission as a whole is refused
    often    false: with --torture only, as another one shows the same
    change   in a file: text at its begin or end, or in the place of a pattern
    put      a file more

Those in undetected/ get their points today; handouts/instructor.md says what they show.

In texts, @ROOT@ is the kit, @VICTIM@ a folder that anybody may write to, @PORT@ a TCP
port that listens, @KEPT@ the address of hello's kept checks.
"""
from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Tuple

from grader import labtoml
from grader.grading import grade
from grader.kit import mutant_trial, regions
from grader.labtoml import tomllib
from grader.oracle import guestimage
from grader.plan import ROOT, RunError

HERE = Path(__file__).parent
# A root's folder is named so:
USUAL, OPEN, PURE, SHADOW, NESTED = "usual", "open", "pure", "shadow", "nested"
LABS = {USUAL: 1, OPEN: 1, PURE: 3, SHADOW: 4, NESTED: 5}
FOLDER = "folder"
FIRST = ("test_a_guest_boots",)
CPU_S = 2               # of a run: hello needs a quarter of one, a loop is not waited for long
COPIED = ("kernel", "vmm", "guests", "labs")
BUILT = ("obj/kernel", "obj/vmm", "obj/guests", "guests", "sim", "walk", "nest")
PROGRAMS = ("build/sim/schedsim", "build/walk/walksim", "build/nest/nestsim")
LINKED = ("viz", "grader", "handouts")
# Stubs that return: what a forger of the trace needs of functions that it does not care for.
SILENT = """#include "kernel/todo.h"
#undef todo
#define todo(...) ((void)0)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wreturn-type"
"""


@dataclass(frozen=True)
class Forger:
    """One file of this folder."""

    name: str
    tries: str
    base: str
    says: str
    packing: str = FOLDER
    only: Tuple[str, ...] = FIRST
    loses: Tuple[str, ...] = ()
    lab: str = USUAL
    refused: bool = False
    often: bool = True
    change: List[Dict[str, str]] = field(default_factory=list)
    put: List[Dict[str, str]] = field(default_factory=list)


def load(path: Path) -> Forger:
    """The forger in a file."""
    table = tomllib.loads(path.read_text())
    table.update(only=tuple(table.get("only", FIRST)), loses=tuple(table.get("loses", ())))
    return Forger(path.stem, **table)


FORGERS = [load(path) for path in sorted(HERE.glob("*.toml"))]
UNDETECTED = [load(path) for path in sorted(HERE.glob("undetected/*.toml"))]


# --- A tree to grade on -------------------------------------------------------------------

def make_root(root: Path, open_lab: bool) -> Path:
    """A copy of the project, to see whether anything changes it, with all that is built.
    open_lab: its lab 1 takes the Makefile from a submission."""
    root.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__", "mutants", "tests")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=skip)
    for name in filter(lambda name: (ROOT / "build" / name).is_dir(), BUILT):
        shutil.copytree(ROOT / "build" / name, root / "build" / name)
    for name in ("Makefile", *(f"build/nestling{end}" for end in (".elf", "64.elf", ".bin", ".img"))):
        shutil.copy2(ROOT / name, root / name)
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    if open_lab:
        toml = lab_of(root).path
        toml.write_text(toml.read_text().replace('files = [', 'files = ["Makefile", ', 1))
        make = root / "Makefile"    # another one is to cost no build of everything
        make.write_text(re.sub(r"(%\.[cS]) Makefile$", r"\1", make.read_text(), flags=re.M))
    subprocess.run(["make", "-s", "-j2", "guests", "kernel", *PROGRAMS], cwd=root, check=True)
    (root / "build/.lock").touch()      # a grading makes it
    return root


def lab_of(root: Path) -> labtoml.Lab:
    """The lab that is forged."""
    return labtoml.find(root, LABS.get(root.name, LABS[USUAL]))


# --- Submissions ---------------------------------------------------------------------------

def honest(root: Path, folder: Path) -> Path:
    """The reference's files in a folder: what the twins hand in."""
    return mutant_trial.submission(root, lab_of(root), folder)


def stubs(root: Path, folder: Path, silent: bool) -> Path:
    """What the starter has in these files."""
    lab = lab_of(root)
    texts = {name: regions.strip((root / name).read_text(), name, lab.number)
             for name in lab.files if name.endswith((".c", ".S"))}
    for name in texts:
        if silent and name.endswith(".c"):
            texts[name] = SILENT + texts[name]
    return mutant_trial.submission(root, lab, folder, texts)


def forged(forger: Forger, root: Path, folder: Path, words: Dict[str, str]) -> Path:
    """The forger's submission as a folder."""
    if forger.base == "reference":
        honest(root, folder)
    else:
        stubs(root, folder, forger.base == "silent")
    for change in forger.change:
        path = folder / change["file"]
        path.write_text(_changed(path.read_text(), change, words))
    for put in forger.put:
        path = folder / put["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(put["text"], words))
    return folder


def _changed(text: str, change: Dict[str, str], words: Dict[str, str]) -> str:
    new = (HERE / change["paste"]).read_text() if "paste" in change else change["new"]
    new = _fill(new, words)
    if change.get("at") == "begin":
        return new + "\n" + text
    if change.get("at") == "end":
        return text + "\n" + new
    made, count = re.subn(change["pattern"], lambda _: new, text, flags=re.S)
    if count != 1:
        raise ValueError(f"{change['pattern']!r} is {count} times in {change['file']}")
    return made


def _fill(text: str, words: Dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def kept_of_hello(root: Path) -> str:
    """Where hello keeps its checks: anybody can look it up in the guest's file."""
    return hex(guestimage.read(root / "build/guests/hello.elf").symbols["testport_kept"])


# --- Grading -------------------------------------------------------------------------------

@dataclass(frozen=True)
class Outcome:
    """How a submission was graded; `said` is all that was said of it."""

    score: float
    most: float
    said: str
    label: str
    trusted: bool


def graded(root: Path, submission: Path, out: Path, only: Tuple[str, ...], torture: bool,
           sandbox: str = "", loses: Tuple[str, ...] = ()) -> Outcome:
    """Grade it; a submission that is refused as a whole has no points.  loses: the tests that
    are counted; none: all."""
    try:
        results = grade.grade(grade.Job(
            lab_of(root).number, submission, out, seed=1, tests="all" if torture else "public", quiet=True,
            only=() if torture else only, root=root, sandbox=sandbox or None,
            cpu_s=None if torture else CPU_S))
    except RunError as error:
        return Outcome(0, 0, f"refused: {error}", "", False)
    said = [str(results), (out / "build.log").read_text(errors="replace"),
            (out / "record.json").read_text()]
    more = results["extra_data"]
    score, most = results["score"], more["max_score"]
    if loses:
        counted = [test for test in results["tests"] if test["name"] in loses]
        score, most = (sum(test[key] for test in counted) for key in ("score", "max_score"))
    return Outcome(score, most, "\n".join(said), more["label"], more["trusted"])


def outcome_from(table: Dict[str, Any]) -> Outcome:
    """An outcome that another process wrote down."""
    return Outcome(**table)
