"""What a text cites of the source: `vmm/vcpu.c:vcpu_run` must be there.

A name is there if the file defines it at file scope: in C and headers a function, variable,
macro, tag, typedef or member of an enum; in assembly a label; in Python anything bound at
the top, or Class.method.  A header may also declare it.  A file may be named without its
folder if there is only one of that name.  Line numbers are refused: they are wrong after
the next change.
"""
from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Iterator, List, Optional, Set

FOLDERS = ("kernel", "vmm", "guests", "viz", "grader", "labs")
CITE = re.compile(r"([\w./-]+\.(?:c|h|S|def|py|js|sh)):([A-Za-z_][\w.]*|\d+)(?:\(\))?")


def wrong_cites(codes: List[str], root: Path) -> Iterator[str]:
    """What is wrong with the citations among `codes`, one sentence each."""
    for code in codes:
        found = CITE.fullmatch(code)
        if not found:
            continue
        path, name = _find(root, found[1]), found[2]
        if path is None:
            yield f"`{code}`: there is no such file, or more than one"
        elif name.isdigit():
            yield f"`{code}`: cite a function, not a line"
        elif name not in names(path):
            yield f"`{code}`: {found[1]} does not define {name}"


def _find(root: Path, name: str) -> Optional[Path]:
    """The file as cited: by its path, or by its name if only one has it."""
    if "/" in name:
        return root / name if (root / name).is_file() else None
    found = [path for folder in FOLDERS for path in (root / folder).rglob(name)]
    return found[0] if len(found) == 1 else None


def names(path: Path) -> Set[str]:
    """All that a source file defines."""
    text = path.read_text()
    if path.suffix == ".py":
        return set(_python_names(ast.parse(text).body))
    if path.suffix == ".S":
        return set(re.findall(r"^(\w+):", text, re.M))
    return set(_c_names(text, path.suffix == ".h"))


def _python_names(body: List[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for name in _python_names(node.body))
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            if isinstance(target, ast.Name):
                yield target.id


def _c_names(text: str, is_header: bool) -> Iterator[str]:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    yield from re.findall(r"^#\s*define\s+(\w+)", text, re.M)
    yield from re.findall(r"^(?:typedef\s+)?(?:struct|union|enum)\s+(\w+)\s*\{", text, re.M)
    for body in re.findall(r"^enum\b[^{;]*\{(.*?)\}", text, re.M | re.S):
        yield from re.findall(r"(?:^|,)\s*(\w+)", body)
    yield from re.findall(r"^\}\s*(\w+)\s*;", text, re.M)
    yield from re.findall(r"^typedef\s[^{;]*?(\w+);", text, re.M)
    yield from re.findall(r"^EVENT(?:_TEXT)?\(\d+, (\w+)", text, re.M)
    for head, after in re.findall(r"^([A-Za-z_][^;{}=#]*?)\s*([;{=])", text, re.M):
        function = re.match(r"(?:[^(]|\(\()*?(\w+)\s*\(", head)
        if function and (after == "{" or is_header):
            yield function[1]
        if not function and after in "=;" and not head.startswith(("extern", "typedef")):
            yield re.sub(r"(\[[^\]]*\])+$", "", head).split()[-1].lstrip("*")
