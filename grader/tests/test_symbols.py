"""Names for addresses (grader/symbols.py), held against nm; and files that are no ELF."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from grader import symbols
from grader.plan import BUILD

IMAGE = BUILD / "nestling64.elf"


def test_each_function_has_the_address_that_nm_tells():
    listed = subprocess.run(["nm", str(IMAGE)], capture_output=True, text=True, check=True).stdout
    functions = {(int(words[0], 16), words[2]) for words in map(str.split, listed.splitlines())
                 if words[1] in "tT"}
    read = set(symbols.read(IMAGE))
    assert len(functions) > 100 and functions <= read
    where = dict((name, address) for address, name in functions)["vcpu_run"]
    assert symbols.named(f"exception 14 (page fault) at rip {where + 0x35:#x}", IMAGE) \
        == f"exception 14 (page fault) at rip {where + 0x35:#x} (vcpu_run+0x35)"


@pytest.mark.parametrize("text", ["out of frames", "exception 14 at rip 0x5", "rip 0xffffffffffffffff",
                                  "trip 0x101000"])
def test_what_lies_in_no_function_stays_as_it_is(text):
    assert symbols.named(text, IMAGE) == text


@pytest.mark.parametrize("cut", [0, 4, 63, 64, 1000, -100])
def test_a_file_that_is_damaged_or_none_has_no_symbols(tmp_path: Path, cut: int):
    path = tmp_path / "x.elf"
    path.write_bytes(IMAGE.read_bytes()[:cut])
    assert symbols.read(path) == [] == symbols.read(tmp_path / "none")
