"""The rules of handouts/style.md that a program can check.

Sizes of files and functions, who may include whom (by the compiler's own list
of dependencies), headers that stand alone, and no path of anybody's machine.
Each rule is first shown to catch an example that breaks it.
"""
from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

from grader.plan import ROOT

CODE_FOLDERS = ("kernel", "vmm", "guests", "viz", "grader", "labs")
NOT_OURS = {"build", ".git", "__pycache__", ".pytest_cache", ".hypothesis"}
CODE = {".c", ".h", ".S", ".inc", ".py", ".sh", ".js", ".css", ".ld", ".def"}
MAX_FILE, MAX_FUNCTION = 500, 60
FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-ffreestanding",
         "-I."]


def files(*endings: str, folders: Tuple[str, ...] = CODE_FOLDERS) -> List[Path]:
    """All files of the tree with these endings, relative to its root."""
    found = []
    for folder in folders:
        for place, below, names in os.walk(ROOT / folder):
            below[:] = [name for name in below if name not in NOT_OURS]
            found += [Path(place, name).relative_to(ROOT) for name in names
                      if not endings or Path(name).suffix in endings]
    return sorted(found)


def read(path: Path) -> str:
    return (ROOT / path).read_text()


# --- Sizes -----------------------------------------------------------------------

def test_files_are_short():
    long = {str(path): len(read(path).splitlines()) for path in files(*CODE)}
    assert len(long) > 50
    assert not {path: lines for path, lines in long.items() if lines > MAX_FILE}


def c_functions(text: str) -> Iterator[Tuple[str, int]]:
    """Name and lines of each function: clang-format puts its braces in the first column."""
    name, start = "", 0
    for number, line in enumerate(text.splitlines()):
        head = re.match(r"(?=[A-Za-z_]).*?(\w+)\(", line)
        if head and not line.rstrip().endswith(";"):
            name, start = head[1], number
        if line.startswith("}"):
            if name and not line.startswith("};"):
                yield name, number - start + 1
            name = ""


def python_functions(text: str) -> Iterator[Tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.end_lineno - node.lineno + 1


def test_function_lengths_are_measured():
    text = "int a;\nstatic int\nf(int x)\n{\n    if (x) {\n    }\n}\n\nint t[] = {\n1,\n};\n"
    assert list(c_functions(text)) == [("f", 5)]
    assert list(python_functions("def f():\n    return (1,\n            2)\n")) == [("f", 3)]


def test_functions_fit_in_a_glance():
    long = []
    for path in files(".c", ".h", ".py"):
        measure = python_functions if path.suffix == ".py" else c_functions
        long += [f"{path}: {name} has {lines} lines"
                 for name, lines in measure(read(path)) if lines > MAX_FUNCTION]
    assert not long


def test_every_file_says_what_it_is_for():
    silent = []
    for path in files(".c", ".h", ".S", ".inc", ".py", ".sh"):
        text = read(path).lstrip()
        starts = {".py": ('"""', "#!"), ".sh": ("#!",)}.get(path.suffix, ("/*", "//"))
        if text and not text.startswith(starts):
            silent.append(str(path))
    assert not silent


# --- Who may see whom --------------------------------------------------------------

BACKENDS = ("vmm/svm/", "vmm/vmx/")
SIDES = (*BACKENDS, "vmm/dev/", "vmm/sched/")


def forbidden(source: str, seen: str) -> bool:
    """Whether `source` may not include `seen` (DESIGN.md, section 3)."""
    if "/tests/" in source:
        return False
    if source.startswith("kernel/"):
        return seen.startswith("vmm/") and source != "kernel/main.c"
    for side in SIDES:
        if source.startswith(side):
            return seen.startswith(SIDES) and not seen.startswith(side)
    return source.startswith("vmm/") and seen.startswith(BACKENDS)


def test_forbidden_pairs_are_known():
    assert forbidden("kernel/frame.c", "vmm/vm.h") and not forbidden("kernel/main.c", "vmm/vmm.h")
    assert forbidden("vmm/vm.c", "vmm/svm/svm.h") and forbidden("vmm/mmu/npt.c", "vmm/vmx/ept.h")
    assert forbidden("vmm/svm/svm.c", "vmm/dev/pic.h") and forbidden("vmm/dev/pic.c",
                                                                    "vmm/sched/sched.h")
    assert not forbidden("vmm/svm/svm.c", "vmm/svm/vmcb.h")
    assert not forbidden("vmm/tests/test_svm.c", "vmm/svm/vmcb.h")


def dependencies(sources: List[Path]) -> Dict[str, Set[str]]:
    """What each source includes, by the compiler; -MG lets headers still to be made pass."""
    result = subprocess.run(["gcc", "-MM", "-MG", "-I.", "-Ibuild/gen", *map(str, sources)],
                            cwd=ROOT, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    found = {}
    for rule in result.stdout.replace("\\\n", " ").splitlines():
        names = rule.split(":", 1)[1].split()
        found[os.path.normpath(names[0])] = {os.path.normpath(name) for name in names[1:]}
    return found


def test_includes_point_in_the_allowed_direction():
    seen_by = dependencies(files(".c", ".S", folders=("kernel", "vmm", "guests")))
    assert len(seen_by) > 20 and any(seen_by.values())
    assert not [f"{source} includes {seen}" for source, all_seen in seen_by.items()
                for seen in sorted(all_seen) if forbidden(source, seen)]


def test_includes_name_the_folder():
    bare = [f"{path}: {line}" for path in files(".c", ".h", ".S", folders=("kernel", "vmm",
                                                                           "guests"))
            for line in read(path).splitlines() if re.match(r'\s*#\s*include "[^/]*"', line)]
    assert not bare


@pytest.mark.parametrize("folder", ["kernel", "vmm", "guests"])
def test_headers_compile_alone(folder):
    errors = []
    for header in files(".h", folders=(folder,)):
        result = subprocess.run(["gcc", *FLAGS, "-fsyntax-only", "-x", "c", "-"], cwd=ROOT,
                                input=f'#include "{header}"\n', text=True, capture_output=True,
                                check=False)
        if result.returncode:
            errors.append(f"{header}: {result.stderr.splitlines()[0]}")
    assert files(".h", folders=(folder,)) and not errors


def imports(path: Path) -> Set[str]:
    """The packages that a Python file imports."""
    found = set()
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            found |= {each.name.split(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found


def test_viz_never_imports_the_grader():
    paths = files(".py", folders=("viz",))
    assert "numpy" in imports(Path("viz/trace.py"))
    assert not [str(path) for path in paths if "grader" in imports(path)]


def test_functions_have_type_hints():
    bare = []
    for path in files(".py", folders=("viz", "grader")):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.FunctionDef) and node.returns is None \
                    and not node.name.startswith("__"):
                bare.append(f"{path}: {node.name}")
    assert not bare


# --- What must not be in the tree -----------------------------------------------------

PLACES = re.compile(r"(?<![\w.-])/(?:work|home|root|Users)/\w|deb\.debian\.org"
                    r"|archive\.ubuntu\.com|registry\.npmjs|files\.pythonhosted")


def test_machine_paths_are_recognized():
    assert PLACES.search("cd /ho" + "me/someone/x") and PLACES.search("http://deb.debian" + ".org/")
    assert not PLACES.search("build/work/x, /proc/self, ../home/x")


def test_no_machine_paths_or_hosts():
    own = [path.relative_to(ROOT) for path in sorted(ROOT.iterdir()) if path.is_file()]
    named = []
    for path in own + files(folders=(*CODE_FOLDERS, "handouts", ".ci")):
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        named += [f"{path}: {match[0]}" for match in PLACES.finditer(text)]
    assert not named
