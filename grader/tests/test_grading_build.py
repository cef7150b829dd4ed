"""Building a submission: what it may see of the tree, what it may use up, what is said."""
from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Dict

import pytest

from grader.grading import build, limits, sandbox
from grader.plan import ROOT

FILE = "vmm/exit_msr.c"


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> Path:
    """A copy of the tree's sources and objects, made once; make has built it before."""
    place = tmp_path_factory.mktemp("copies")
    build.prepare(ROOT, place / "pristine")
    subprocess.run(["make", "-s", "-j2", "kernel"], cwd=place / "pristine", check=True,
                   capture_output=True)
    return place


@pytest.fixture
def built(copies: Path, tmp_path: Path):
    """built(text) -> Built: the tree with FILE replaced."""
    def make(text: str, files: Dict[str, bytes] = {}) -> build.Built:
        copy = tmp_path / "copy"
        build.prepare(copies / "pristine", copy)
        build.put(copy, {FILE: text.encode(), **files}, ROOT)
        return build.build(copy, sandbox.find())
    return make


def reference() -> str:
    return (ROOT / FILE).read_text()


def test_the_copy_holds_what_the_kernel_is_made_of_and_no_more(copies):
    names = {path.name for path in (copies / "pristine").iterdir()}
    assert names == {"Makefile", "kernel", "vmm", "build"}
    assert not list(copies.rglob("tests"))
    assert (copies / "pristine/build/obj/vmm/exit_msr.o").is_file()


def test_only_what_changed_is_compiled(built):
    made = built(reference() + "\n/* changed */\n")
    assert made.ok and made.log == "", made.log


def test_an_old_time_stamp_fools_nobody(copies, tmp_path):
    copy = tmp_path / "copy"
    build.prepare(copies / "pristine", copy)
    assert build.put(copy, {FILE: reference().encode()}, ROOT) in ([], [FILE])
    changed = reference().encode() + b"\n"
    assert build.put(copy, {FILE: changed}, ROOT) == [FILE]
    assert not (copy / "build/obj/vmm/exit_msr.o").exists()
    assert (copy / FILE).read_bytes() == changed


def test_a_file_that_a_program_does_not_hold_is_not_compiled_for_it(tmp_path):
    """Of a lab's files some are in no program for the host: there is no object of theirs."""
    copy, program, others = tmp_path / "copy", "walk/walksim", tmp_path / "root"
    for folder in (others, copy):
        for name in (FILE, "build/obj/vmm/exit_msr.o", "build/walk/obj/vmm/guestmem.o"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    assert build.put(copy, {FILE: FILE.encode()}, others, [program]) == []
    os.utime(others / FILE, (2e9, 2e9))
    assert build.put(copy, {FILE: FILE.encode()}, others, [program]) == [FILE]


def test_a_mistake_is_told_in_the_compilers_words(built):
    made = built(reference() + "\nint f(void) { return undeclared; }\n")
    assert not made.ok and "does not build" in made.sentence
    assert f"{FILE}:" in made.log and "undeclared" in made.log
    assert "/sandbox" not in made.log and "/tmp" not in made.log


def test_a_warning_is_a_mistake(built):
    assert "unused" in built(reference() + "\nstatic int f(void) { return 1; }\n").log


OUTSIDE = {
    "passwd": '#include "/etc/passwd"\n',
    "tests": f'#include "{ROOT}/grader/tests/test_grading_build.py"\n',
    "climbing": '#include "../../../../../../../../etc/passwd"\n',
    "incbin": '__asm__(".incbin \\"/etc/passwd\\"");\n',
    "environment": '#include "/proc/self/environ"\n',
    "stdin": '#include "/dev/stdin"\n',
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_file_outside_the_copy_gets_into_the_build(built, name, namespaces):
    made = built(reference() + OUTSIDE[name])
    assert not made.ok
    assert "No such file" in made.log or "file not found" in made.log or "can't open" in made.log
    assert "root:" not in made.log


BOMBS = {
    "zero": '#include "/dev/zero"\n',
    "fill": '__asm__(".fill 0x7fffffff, 1, 0x55");\n',
    "rept": '__asm__(".rept 1000000000\\nnop\\n.endr");\n',
    "array": "char a[1ull << 33] = {1};\n",
    "macro": "#define A(x) x x x x x x x x x x x x x x x x\n#define B(x) A(A(A(A(A(A(A(A(x))))))))\n"
             "B(B(int a;))\n",
    "itself": f'#include "{FILE}"\n',
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_at_a_limit(built, name, monkeypatch):
    monkeypatch.setattr(limits, "BUILD", replace(limits.BUILD, cpu_s=2))
    made = built(reference() + BOMBS[name])
    assert not made.ok and len(made.log) <= build.OUTPUT_BYTES + 100


def test_what_the_compiler_says_is_bounded(built):
    made = built(reference() + "".join(f"int f{i}(void) {{ return x{i}; }}\n" for i in range(3000)))
    assert not made.ok and "(cut: there was more)" in made.log
    assert len(made.log) <= build.OUTPUT_BYTES + 100
