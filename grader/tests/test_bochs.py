"""grader/bochs.py and its files: what of Bochs's output is the machine's, the limit of a
run, memory put together from two pieces, and what is missing said in words. The runs
themselves are test_machine_*.py's, with --platform.
"""
from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from grader import bochs_files as files
from grader import bundle, plan, platforms, run
from grader.bochs import Bochs
from grader.platform import BUNDLE, CONSOLE, EMULATOR_LOG, MEMORY, Machine

HEAD = """========
        Bochs x86 Emulator 2.7
========
Next at t=0
(0) [0x0000fffffff0] f000:fff0 (unk. ctxt): jmpf 0xf000:e05b ; ea5be000f0
Time breakpoint inserted. Delta = 310000000
"""
TAIL = """Next at t=9953524
(0) [0x000000102b56] 0008:0000000000102b56 (unk. ctxt): call .-3659 ; e8b5f1ffff
"""


@pytest.mark.parametrize("own", ["", "[1 hello] Next at t=5\nnestling: end, status 0\n",
                                 "nestling: panic: no newline"])
def test_the_machines_own_text(own):
    assert files.split_output(HEAD + own + TAIL) == (own, False)
    assert files.split_output(HEAD + own) == (own, False)


def test_what_the_debugger_says_in_between_is_left_out():
    aside = "(0).[9524859] [0x0000003ce5ad] 0008:00000000001025ad (unk. ctxt): ud2 ; 0f0b\n"
    said = HEAD + "[1 crash] crash\n" + aside + "[1 crash] ended\n" + TAIL
    assert files.split_output(said) == ("[1 crash] crash\n[1 crash] ended\n", False)


def test_a_machine_that_is_stopped_at_its_limit():
    said = HEAD + "[1 greedy] hi\n(0) Caught time breakpoint\n" + TAIL
    assert files.split_output(said) == ("[1 greedy] hi\n", True)
    assert files.split_output("bochs: cannot start\n") == ("", False)


def made(time: str, size: int = 1) -> bytes:
    image = bundle.Image("hello", "", bytes(size))
    return bundle.build(bundle.Bundle(1, 1, files.TICKS_PER_S, "bochs-svm", f"time={time}", "ab",
                                      (image,)))


def test_the_limit_grows_with_the_time_and_the_bundle():
    short = files.tick_limit(made("1ms"))
    assert files.tick_limit(made("1s")) - short == files.TICKS_PER_S * 999 // 1000
    assert files.tick_limit(made("1ms", 1 << 20)) > short


def test_what_bochs_reads_is_made_and_gone_again(tmp_path):
    (tmp_path / BUNDLE).write_bytes(made("1s", 600_000))
    (tmp_path / "nestling.img").write_bytes(bytes(files.TRACK))
    limit = files.prepare(tmp_path, "ryzen", "nestling.img")
    disk = (tmp_path / files.DISK).read_bytes()
    assert len(disk) == 2 * files.TRACK and disk.startswith((tmp_path / BUNDLE).read_bytes())
    config = (tmp_path / files.BOCHSRC).read_text()
    assert "model=ryzen" in config and "cylinders=2," in config
    assert f"sb {limit}\nc\n" in (tmp_path / files.SCRIPT).read_text()
    files.clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BUNDLE, "nestling.img"]


def test_memory_is_put_together(tmp_path):
    memory, trace = tmp_path / MEMORY, tmp_path / files.TRACE
    memory.write_bytes(b"low memory")
    trace.write_bytes(b"NESTTRC1 and so on")
    files.join_memory(memory, 0x1000, 0x4000)
    whole = memory.read_bytes()
    assert len(whole) == 0x4000 and not trace.exists()
    assert whole[:10] == b"low memory" and whole[10:0x1000] == bytes(0x1000 - 10)
    assert whole[0x1000:0x1012] == b"NESTTRC1 and so on"


def test_without_the_machines_end_there_is_no_memory(tmp_path):
    (tmp_path / MEMORY).write_bytes(b"")
    (tmp_path / files.TRACE).write_bytes(b"NESTTRC1")
    files.join_memory(tmp_path / MEMORY, 0x1000, 0x4000)
    assert not (tmp_path / MEMORY).exists() and (tmp_path / files.TRACE).exists()


@pytest.mark.parametrize("console, log, expected", [
    ("nestling: end, status 3\n", "", (3, "")),
    ("[1 x] nestling: end, status 0\n", "", (None, "Bochs ended with code 1 before the kernel did")),
    ("", "===\nBochs is exiting with the following message:\n[CPU0  ] exception(): 3rd\n===\n",
     (None, "Bochs gave up: [CPU0  ] exception(): 3rd")),
])
def test_how_it_ended(tmp_path, console, log, expected):
    (tmp_path / CONSOLE).write_text(console)
    (tmp_path / EMULATOR_LOG).write_text(log)
    assert platforms.find("bochs-svm").status(Machine(tmp_path, "nestling.img"), 1) == expected


LOGGED = ("00012e[CPU0  ] VMENTER FAIL: RFLAGS[1] cleared\n"
          "00013e[CPU0  ] SVM VMEXIT: I/O port 0x05e0\n"
          "00014e[CPU0  ] VMFAIL: VMCLEAR with invalid physical address!\n"
          "00015e[CPU0  ] VMFAIL: VMCS EXEC CTRL: guest VPID == 0\n"
          "00016e[CPU0  ] SVM: VMRUN CR0 is broken !\n")


@pytest.mark.parametrize("exit_log", (False, True))
def test_failed_entry_checks_are_told_by_their_vms(tmp_path, exit_log):
    (tmp_path / ("exits.log" if exit_log else files.LOG)).write_text(LOGGED)
    (tmp_path / CONSOLE).write_text(
        "[2 hello] ended: entry refused: RFLAGS\n[2 hello] ended: exited with code 0\n"
        "[4 real] ended: entry refused: break=: there is no entry check of that name\n"
        "[4 real] ended: entry refused: VPID\n[1 x] ended: entry refused: CR0\n")
    machine = Machine(tmp_path, "nestling.img", exit_log=exit_log)
    told = platforms.find("bochs-vmx").remarks(machine)
    assert told == ["Bochs on the refused entry of [2 hello]: VMENTER FAIL: RFLAGS[1] cleared",
                    "Bochs on the refused entry of [4 real]: VMFAIL: VMCS EXEC CTRL: guest VPID == 0",
                    "Bochs on the refused entry of [1 x]: SVM: VMRUN CR0 is broken !"]
    (tmp_path / CONSOLE).write_text("[2 hello] ended: entry refused: RFLAGS\n")
    assert platforms.find("bochs-vmx").remarks(machine)[0] \
        == "Bochs on a refused entry: VMENTER FAIL: RFLAGS[1] cleared"


def emulator(folder, said: str) -> str:
    path = folder / "bochs"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize("said, words", [
    ("", "apt-get install bochs"), ("Bochs x86 Emulator 2.6.11", "older than 2.7"),
    ("ryzen Bochs x86 Emulator 2.7", "without the processor tigerlake"),
    ("tigerlake Bochs x86 Emulator 2.8", None)])
def test_what_is_missing_is_said(tmp_path, said, words):
    findings = Bochs("bochs-vmx", "tigerlake", "VMX").check(emulator(tmp_path, said))
    assert len(findings) == 1 and findings[0].ok == (words is None)
    assert words is None or words in findings[0].text


def test_an_emulator_that_is_not_there():
    assert not platforms.find("bochs-vmx").check("/nowhere/bochs")[0].ok
    assert platforms.find("bochs-vmx").version("/nowhere/bochs") == ""


LEFT = {BUNDLE, CONSOLE, MEMORY, "exits.log", "nestling.img", "run.json", "trace.bin"}


@pytest.mark.machine
def test_runs_side_by_side_are_the_same_and_leave_no_litter(tmp_path):
    def one(name: str) -> run.Result:
        return run.make(plan.Request(("hello break=cs", "hello"), tmp_path / name, "bochs-vmx",
                                     exit_log=True))

    with ThreadPoolExecutor(2) as both:
        first, other = both.map(one, ("first", "other"))
    assert first.sentence == other.sentence and first.json["exit_reason"] == "ended"
    assert {path.name for path in first.dir.iterdir()} == LEFT
    for name in ("trace.bin", "exits.log", CONSOLE):
        assert (first.dir / name).read_bytes() == (other.dir / name).read_bytes()
    assert "Bochs on the refused entry of [1 hello]: VMENTER FAIL: VMCS guest CS.TYPE" \
        in first.warnings
