"""Programs for the host in the sandbox: asked, answered, and every way to give no answer told.

The programs here are shell scripts; what submissions try is in forgers/host_*.toml.
"""
from __future__ import annotations

import select
from pathlib import Path
from typing import Optional

import pytest

from grader.grading import sandbox
from grader.grading.api import Failed
from grader.grading.host import Program

ECHO = 'while read -r word; do [ "$word" = quiet ] || echo "heard $word"; done'


@pytest.fixture
def started(tmp_path: Path):
    """started(script) -> Program; ended with the test."""
    made = []

    def start(script: str, kind: Optional[str] = None, **how: float) -> Program:
        binary = tmp_path / "tool"
        binary.write_text(f"#!/bin/sh\n{script}\n")
        box = sandbox.find(force=kind)
        made.append(Program(binary, [], tmp_path / f"run{len(made)}", box, **how))
        return made[-1]
    yield start
    for each in made:
        each.close()


def test_questions_are_answered_in_order(started):
    program = started(ECHO)
    program.tell("quiet")
    assert [program.ask(word) for word in ("one", "two")] == ["heard one", "heard two"]


def test_what_is_told_may_be_long(started):
    """More than a pipe holds."""
    program = started(ECHO)
    for _ in range(40000):
        program.tell("quiet")
    assert program.ask("end") == "heard end"


@pytest.mark.parametrize("script, sentence", [
    ("read x; echo 'lab 3: choose is not written yet: handout 3.6' >&2; exit 5",
     "^lab 3: choose is not written yet: handout 3.6$"),
    ("read x; exit 0", "it ended with status 0"),
    ("read x; echo lost >&2; exit 7", "it ended with status 7: lost"),
    ("read x; kill -SEGV $$", "ended by SIGSEGV, as after a pointer that leads nowhere"),
    ("read x; head -c 100000 /dev/zero; sleep 1000", "says more than it was asked")])
def test_no_answer_is_told_in_words(started, script, sentence):
    program = started(script)
    with pytest.raises(Failed, match=sentence):
        program.ask("well?")
    with pytest.raises(Failed, match="the program has ended"):
        program.ask("again?")
    assert not program.hung


def test_who_sleeps_for_ever_is_a_hang(started):
    program = started("sleep 1000", wall_s=0.3)
    with pytest.raises(Failed, match="gave no answer and did not end"):
        program.ask("well?")
    assert program.hung


def test_who_sleeps_a_little_before_each_answer_hangs_as_well(started):
    """Its time is for all answers together: thousands may be asked for."""
    program = started("while read -r x; do sleep 0.4; echo heard; done", wall_s=0.6)
    with pytest.raises(Failed, match="gave no answer and did not end"):
        for _ in range(5):
            program.ask("well?")
    assert program.hung


def test_who_closes_its_output_and_sleeps_hangs_as_well(started):
    """In a sandbox with namespaces nobody learns of it: bwrap keeps the output open."""
    program = started("exec >&-; sleep 1000", sandbox.LIMITS_ONLY, wall_s=0.0)
    select.select([program._process.stdout], [], [])
    with pytest.raises(Failed, match="it closed its output"):
        program.ask("well?")
    assert program.hung


def test_it_sees_its_own_folder_only(started, tmp_path, namespaces):
    program = started(f"read x; ls {tmp_path} >/dev/null 2>&1 && echo seen || echo none")
    assert program.ask("?") == "none"


def test_it_writes_no_file(started, namespaces):
    program = started("read x; (touch mine || mkdir mine || rm tool) 2>/dev/null && echo wrote"
                      " || echo none")
    assert program.ask("?") == "none"


@pytest.mark.parametrize("kind", [None, sandbox.LIMITS_ONLY])
@pytest.mark.parametrize("make", ["ln -s {secret} said.txt", "mkfifo said.txt"])
def test_nothing_that_it_puts_into_its_folder_is_opened(started, tmp_path, make, kind):
    """Its last words are what it wrote, not what a file of some name holds."""
    (tmp_path / "secret").write_text("expected value\n")
    program = started("read x; rm -f said.txt; " + make.format(secret=tmp_path / "secret")
                      + "; exit 7", kind)
    with pytest.raises(Failed, match="^it ended with status 7") as told:
        program.ask("well?")
    assert "expected value" not in str(told.value) and not program.hung
