"""Lets tests ask the C side: its structures' layout, its constants, its functions.

The C sources are compiled for the host by gcc; nothing here parses C.
Used by test_formats.py to hold both sides to the same page.
"""
from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path
from typing import Dict, Iterable, List, Sequence

from grader.plan import ROOT

FLAGS = ["-std=gnu11", "-Wall", "-Wextra", "-DHOST_BUILD", "-I."]


def _gcc(words: Sequence[str], source: str = "") -> None:
    result = subprocess.run(["gcc", *FLAGS, *words], input=source, text=True, cwd=ROOT,
                            capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def values(folder: Path, headers: Iterable[str], expressions: Sequence[str]) -> Dict[str, int]:
    """What integer expressions are worth to a C program that includes `headers`."""
    lines = [f'#include "{header}"' for header in headers]
    lines += ["#include <stdio.h>", "#include <stddef.h>", "int main(void) {"]
    lines += [f'printf("%llu\\n", (unsigned long long)({each}));' for each in expressions]
    program = folder / "values"
    _gcc(["-x", "c", "-", "-o", str(program)], "\n".join([*lines, "return 0; }\n"]))
    result = subprocess.run([str(program)], text=True, capture_output=True, check=True)
    return dict(zip(expressions, map(int, result.stdout.split())))


def layout(folder: Path, header: str, struct: str, fields: Sequence[str]) -> Dict[str, List[int]]:
    """Field -> [offset, size] of a C structure."""
    offsets = [f"offsetof(struct {struct}, {name})" for name in fields]
    sizes = [f"sizeof(((struct {struct} *)0)->{name})" for name in fields]
    found = values(folder, [header], offsets + sizes)
    return {name: [found[offset], found[size]]
            for name, offset, size in zip(fields, offsets, sizes)}


def library(folder: Path, sources: Sequence[str]) -> ctypes.CDLL:
    """The functions of some of the kernel's sources, callable from Python."""
    path = folder / "sources.so"
    _gcc(["-O1", "-shared", "-fPIC", "-o", str(path), *sources])
    return ctypes.CDLL(str(path))


class Word(ctypes.Structure):
    """struct word of kernel/args.h."""

    _fields_ = [("text", ctypes.c_char_p), ("len", ctypes.c_size_t)]
