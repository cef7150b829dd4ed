"""One hypervisor, two vendors: neither is seen outside its folder, and what the handout's
tables say of codes, offsets and fields is what the source has.
"""
from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List

import pytest

from grader.plan import ROOT
from viz.walk_data import Walks

HANDOUT = ROOT / "handouts" / "two-vendors.md"
BACKENDS = ("vmm/svm/", "vmm/vmx/", "vmm/tests/")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
THEIRS = re.compile(r"\b(?:vmcb|vmcs|svm|vmx)_?\w*|\bVM(?:CB|CS|X|EXIT)_\w+|"
                    r"\b(?:vmrun|vmload|vmsave|vmxon|vmptrld|vmclear|vmread|vmwrite|vmlaunch|"
                    r"vmresume|invept|invvpid|stgi|clgi) ")
MOST_FUNCTIONS = 12


def read(path: str) -> str:
    return (ROOT / path).read_text()


def named(text: str) -> List[str]:
    """What of a vendor's the code names; comments may."""
    code = re.sub(r'"(?:svm|vmx)"|#include[^\n]*', "", COMMENT.sub("", text))
    return sorted(set(THEIRS.findall(code)))


def test_a_vendors_structure_is_recognized():
    assert named("struct vmcb *b; /* vmcs_read */") == ["vmcb"]
    assert named('u64 v = vmcs_read(VMCS_EPTP); __asm__("invept %0" ...') \
        == ["VMCS_EPTP", "invept ", "vmcs_read"]
    assert named('extern const struct hv_ops hv_svm, hv_vmx; .name = "svm"') == []


def test_nothing_outside_the_backends_names_a_vendors_structure():
    paths = [path.relative_to(ROOT).as_posix() for folder in ("vmm", "kernel")
             for path in (ROOT / folder).rglob("*") if path.suffix in (".c", ".h", ".S", ".inc")]
    core = [path for path in paths if not path.startswith(BACKENDS)]
    assert len(core) > 50 and len(core) < len(paths)
    assert {path: found for path in core for found in [named(read(path))] if found} == {}


def test_the_interface_has_at_most_twelve_functions():
    ops = re.search(r"^struct hv_ops \{(.*?)^\};", COMMENT.sub("", read("vmm/hv.h")), re.S | re.M)
    assert ops and 0 < ops[1].count("(*") <= MOST_FUNCTIONS


# --- The handout's tables ---------------------------------------------------------------------

def constants() -> Dict[str, int]:
    """Exit codes of both vendors by their names in the source."""
    amd = re.findall(r"#define (VMEXIT_\w+)\s+(0x[0-9a-f]+)u?\b", read("vmm/svm/vmcb.h"))
    intel = re.findall(r"\b(VMX_\w+) = (\d+)", read("vmm/vmx/vmcs.h"))
    return {name: int(value, 0) for name, value in amd + intel}


def test_the_handouts_exit_codes_are_the_sources():
    cited = re.findall(r"`(VM(?:EXIT|X)_\w+)` (0x[0-9a-f]+|\d+)", HANDOUT.read_text())
    assert len(cited) > 20
    assert [pair for pair in cited if constants().get(pair[0]) != int(pair[1], 0)] == []


def test_the_handouts_offsets_and_fields_are_the_sources():
    text = HANDOUT.read_text()
    offsets = re.findall(r"offset (0x[0-9a-f]+)", text, re.I)
    fields = re.findall(r"field (0x[0-9a-f]+)", text)
    known = [int(each, 0) for each in re.findall(r"VMCB_AT\(\w+, (0x\w+)\)", read("vmm/svm/vmcb.h"))]
    numbers = [int(each, 0) for each in re.findall(r"VMCS\(\w+,\s+(0x\w+),",
                                                   read("vmm/vmx/vmcs.def"))]
    assert len(offsets) > 5 and len(fields) > 5
    assert [each for each in offsets if int(each, 0) not in known] == []
    assert [each for each in fields if int(each, 0) not in numbers] == []


# --- What a run shows -----------------------------------------------------------------------

@pytest.fixture(name="run", scope="module")
def make_run(machine, platform):
    return machine(("watched -- pages=2",), "", "100ms")


@pytest.mark.machine
@pytest.mark.everywhere
def test_flushes_are_traced(run, platform):
    """All of a guest: its tag, and on Intel's the root of its nested table as well."""
    flush = run.trace.select("flush")
    kinds = list(flush.word("kind"))
    if platform != "bochs-vmx":
        assert kinds and set(kinds) == {"ALL"}
        return
    assert kinds and kinds == ["ALL", "ROOT"] * (len(kinds) // 2)
    assert {int(root) for root in flush["addr"][1::2]} == {Walks(run.trace)[0].nroot}


@pytest.mark.machine
@pytest.mark.everywhere
def test_what_differs_between_the_vendors_exits(run, platform):
    """Of writes to control registers that change no bit of the host's, only AMD's exit."""
    reasons = run.trace.select("exit").word("reason")
    intel = platform == "bochs-vmx"
    assert reasons.count("CR") == (0 if intel else 4)
    assert reasons.count("NESTED") == 30 and ("PREEMPTION" in reasons) == intel
