"""What is built and older than its sources is not run without a word (grader/stale.py)."""
from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from grader import plan, stale
from grader.__main__ import main

OBJECTS = {"vmm/a": "vmm/a.c vmm/a.h", "guests/64/hello": "guests/hello.c guests/lib/guest.h"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Sources of an hour ago, objects and a kernel made after them."""
    for name in ("vmm/a.c", "vmm/a.h", "vmm/b.c", "guests/hello.c", "guests/lib/guest.h"):
        put(tmp_path / name, 3600)
    put(tmp_path / "Makefile", 3600, "VMM_SRC := \\\n    vmm/a.c \\\n    vmm/b.c\n")
    for name, needs in OBJECTS.items():
        path = tmp_path / "build/obj" / f"{name}.o"
        put(path, 1800)
        first, _, rest = needs.partition(" ")
        put(path.with_suffix(".d"), 1800, f"build/obj/{name}.o: {first} \\\n {rest}\n\n{rest}:\n")
    put(tmp_path / "build/obj/vmm/b.o", 1800)
    put(tmp_path / "build/nestling64.elf", 1700)
    return tmp_path


def put(path: Path, age: float, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)


def newer(tree: Path) -> object:
    return stale.newer(tree, tree / "build")


def test_what_is_built_is_not_stale(tree):
    assert newer(tree) is None
    put(tree / "vmm/notes.c", 10)           # nothing is made of it
    (tree / "vmm/b.c").unlink()             # its object was made elsewhere: in a starter's prior/
    assert newer(tree) is None
    put(tree / "vmm/b.c", 10)               # and now there is a source in its place
    assert newer(tree) == "vmm/b.c"


@pytest.mark.parametrize("name", ["vmm/a.c", "vmm/a.h", "guests/hello.c", "guests/lib/guest.h"])
def test_a_source_or_a_header_that_was_edited_is_named(tree, name):
    put(tree / name, 10)
    assert newer(tree) == name


def test_an_object_whose_source_is_gone_does_not_count(tree):
    """As after an update: make has no rule for it any more."""
    (tree / "vmm/a.c").unlink()
    put(tree / "vmm/a.h", 10)
    assert newer(tree) is None


def test_an_old_kernel_does_not_count_if_its_objects_are_new(tree):
    """As when an object was made anew and the kernel came out the same."""
    put(tree / "vmm/a.c", 1000)
    put(tree / "build/obj/vmm/a.o", 900)
    assert newer(tree) is None


def test_a_source_that_did_not_compile_is_named(tree):
    """The compiler takes the object away; the kernel is the old one."""
    (tree / "build/obj/vmm/b.o").unlink()
    assert newer(tree) is None
    put(tree / "vmm/b.c", 10)
    assert newer(tree) == "vmm/b.c"


def test_a_time_in_the_future_and_a_header_that_is_gone_say_nothing(tree):
    put(tree / "vmm/a.c", -1000)
    (tree / "vmm/a.h").unlink()
    assert newer(tree) is None


def test_nothing_built_is_for_others_to_say(tree):
    put(tree / "vmm/a.c", 10)
    (tree / "build/nestling64.elf").unlink()
    assert newer(tree) is None


@pytest.mark.parametrize("command", ["run", "gdb", "monitor"])
def test_the_commands_stop(tree, monkeypatch, capsys, command):
    monkeypatch.setattr(plan, "ROOT", tree)
    monkeypatch.setattr(plan, "BUILD", tree / "build")
    words = [command, "--guest", "hello", "--out", str(tree / "out")]
    put(tree / "vmm/a.c", 10)
    assert main(words) == 2
    assert capsys.readouterr().err == \
        "grader: vmm/a.c is newer than what is built: run make first\n"
    assert main([*words, "--build", str(tree / "other")]) == 2
    assert "newer" not in capsys.readouterr().err
