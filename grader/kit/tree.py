"""Which files of the project a starter or an upload for a grader holds, and as what.

collect() gives every path with its bytes, regions of labs >= n stripped.  The list comes
from git where the project is a checkout, else from a walk, since a release's archive makes
starters too.  Left out is what would give solutions away or what students have no use
for: LEFT_OUT says which.  Nothing is written here.
"""
from __future__ import annotations

import ast
import fnmatch
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Set

from grader.kit import makefile, regions
from grader.plan import RunError

SOURCES = (".c", ".h", ".S", ".inc")
LEFT_OUT = (
    ".ci/*", "build/*", "conftest.py", "pytest.ini", "README.md",
    "*/tests/*", "vmm/fake/*",
    "labs/*/mutants/*", "labs/*/hidden/*", "handouts/instructor.md",
    "handouts/draw/*", "handouts/pictures/*", "handouts/figures.toml",
    "grader/kit/*", "grader/pages/*", "grader/experiment/*", "grader/oracle/__main__.py",
)
KEPT = ("grader/kit/__init__.py", "grader/kit/handin.py", "grader/kit/score.py")
NOT_OURS = {"build", ".git", "__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache"}
EXECUTABLE, PLAIN = 0o755, 0o644


@dataclass(frozen=True)
class File:
    """What a file of the copy holds."""

    data: bytes
    mode: int = PLAIN


Files = Dict[str, File]


def project_files(root: Path) -> List[str]:
    """The project's own files, relative to `root`, sorted."""
    listed = _from_git(root) if (root / ".git").exists() else None
    paths = _by_walking(root) if listed is None else listed
    return sorted(path for path in paths
                  if (root / path).is_file() and not (root / path).is_symlink())


def _from_git(root: Path) -> "List[str] | None":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, env=environment,
                              capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def _by_walking(root: Path) -> List[str]:
    found = []
    for place, below, names in os.walk(root):
        below[:] = [name for name in below if name not in NOT_OURS]
        found += [os.path.relpath(os.path.join(place, name), root) for name in names
                  if not name.endswith(".pyc")]
    return found


def collect(root: Path, lab: int, hidden: bool = False) -> Files:
    """The project for lab `lab` without solutions from it on; `hidden`: with its hidden tests."""
    paths = [path for path in project_files(root) if _belongs(path, lab, hidden)]
    needed = oracles_needed(root, paths)
    files: Files = {}
    for path in paths:
        if path.startswith("grader/oracle/") and path not in needed:
            continue
        files[path] = File(_contents(root, path, lab), _mode(root / path))
    return files


def marked_sources(root: Path) -> Dict[int, List[str]]:
    """lab -> the files that hold its regions, as compilers take them."""
    found: Dict[int, List[str]] = {}
    for path in project_files(root):
        if path.endswith((".c", ".S")):
            for number in {each.lab for each in regions.parse((root / path).read_text(), path)}:
                found.setdefault(number, []).append(path)
    return found


def _belongs(path: str, lab: int, hidden: bool) -> bool:
    of_lab = re.match(r"(?:labs/|handouts/lab)(\d+)(?:-[^/]*/(hidden/)?|\.md$)", path)
    if of_lab and int(of_lab[1]) > lab:
        return False
    if of_lab and of_lab[2] and hidden and int(of_lab[1]) == lab:
        return True
    return path in KEPT or not any(fnmatch.fnmatch(path, pattern) for pattern in LEFT_OUT)


def _contents(root: Path, path: str, lab: int) -> bytes:
    data = (root / path).read_bytes()
    try:
        if path == "Makefile":
            return makefile.trim(data.decode(), lab).encode()
        if path == "grader/packages.txt":
            return makefile.trim_packages(data.decode()).encode()
        if path.endswith(SOURCES):
            return regions.strip(data.decode(), path, lab).encode()
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8: {error.reason}") from None
    return data


def _mode(path: Path) -> int:
    return EXECUTABLE if os.access(path, os.X_OK) else PLAIN


# --- Oracles: those that what is kept imports, and no later lab's ---------------------

def oracles_needed(root: Path, paths: Iterable[str]) -> Set[str]:
    """The files of grader/oracle/ that the other Python files among `paths` need."""
    there = {path for path in paths if path.startswith("grader/oracle/")}
    needed = {"grader/oracle/__init__.py"} & there
    queue = [path for path in paths if path.endswith(".py") and path not in there]
    while queue:
        for module in _imports((root / queue.pop()).read_text()):
            path = module.replace(".", "/") + ".py"
            if path in there and path not in needed:
                needed.add(path)
                queue.append(path)
    return needed


def _imports(text: str) -> Set[str]:
    """Every module that a Python file imports, wherever in it; `from a import b` gives both."""
    found: Set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return found
