"""The sentence of a panic (grader/panics.py): where it was, what was touched, and what to try."""
from __future__ import annotations

import pytest

from grader import panics, symbols
from grader.plan import BUILD, ROOT

IMAGE = BUILD / "nestling64.elf"


def said(address: int, vector: int = 14, lost: bool = True) -> str:
    return panics.sentence(f"exception {vector} (some fault) at rip {address:#x}", 0x1068, lost, IMAGE,
                           ROOT)


@pytest.mark.parametrize("name,file,student", (
    ("nested_map", "", True),           # lab 5's, and called from elsewhere
    ("walk_2d", "", True), ("nested_fault", "exit_nested.c", True), ("vcpu_run", "", False),
    ("", "format.c", False)))
def test_a_register_is_not_blamed_for_what_a_later_lab_writes(name, file, student):
    places = [place for place in symbols._places(IMAGE) if (place.name, place.file) == (name, file)]
    if file and not places:             # inlined, or any: another one of that file
        places = [place for place in symbols._places(IMAGE) if place.file == file]
    assert places, f"{file} has no static function left to be asked for"
    sentence = said(places[0].address + 3)
    assert (panics.HINT in sentence) == (not student)
    assert f"{places[0].name}+0x3), an access to 0x1068" in sentence


def test_only_a_page_fault_has_an_address_and_only_an_exception_a_hint():
    where = next(place.address for place in symbols._places(IMAGE) if place.name == "vcpu_run")
    assert "0x1068" not in said(where, vector=6) and panics.HINT in said(where, vector=6)
    assert panics.HINT not in said(where, lost=False)
    assert panics.sentence("out of frames", 0, True, IMAGE, ROOT) == "out of frames"


def test_an_address_in_no_function_is_nobodys():
    assert panics.HINT in said(5) and symbols.function("rip 0x5", IMAGE) == symbols.NOWHERE
