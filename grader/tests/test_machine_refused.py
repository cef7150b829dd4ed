"""What cannot be run is refused in words, by the runner and, past it, by the kernel itself.

The runner checks all that it can before a machine starts. To see that the kernel does not
rely on it, a bundle is put in the runner's hands that it would never have made. Rules: the
word or field is named on the console; the kernel's status is 3; the command exits not 0.
"""
from __future__ import annotations

import dataclasses
import struct
from pathlib import Path
from typing import Callable

import pytest

from grader import __main__ as command
from grader import bundle, plan, run
from grader.tests import kernels

pytestmark = pytest.mark.machine

REFUSED = 3
Alter = Callable[[plan.Plan], bytes]


def refused(monkeypatch, folder: Path, platform: str, alter: Alter, raw_image: bool = False
            ) -> str:
    """Run with an altered bundle; what the kernel said when it refused."""
    honest = plan.make

    def forged(request: plan.Request) -> plan.Plan:
        made = honest(request)
        return dataclasses.replace(made, bundle=alter(made))

    monkeypatch.setattr(run.planning, "make", forged)
    words = ["run", "--quiet", "--guest", "hello mem=2M", "--out", str(folder), "--time", "1s",
             "--platform", platform]
    assert command.main(words + ["--raw-image"] * raw_image) == command.NOT_MADE
    result = (folder / "run.json").read_text()
    assert f'"status": {REFUSED}' in result and '"exit_reason": "refused"' in result
    return (folder / "console.txt").read_text()


def rebuilt(made: plan.Plan, **changes: object) -> bytes:
    """The bundle of this plan with other words in it, sealed again."""
    fields = {**bundle.parse(made.bundle).__dict__, **changes}
    return bundle.build(bundle.Bundle(**fields))


def resealed(raw: bytes, offset: int, value: bytes) -> bytes:
    whole = bytearray(raw)
    whole[offset:offset + len(value)] = value
    bundle.seal(whole)
    return bytes(whole)


FIRST = bundle.HEADER_SIZE      # the first guest's entry
DAMAGE = {
    "crc": lambda raw: raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:],
    "magic": lambda raw: b"NOTABNDL" + raw[8:],
    "version": lambda raw: resealed(raw, 8, struct.pack("<I", 2)),
    "size": lambda raw: raw[:len(raw) // 2],
    "guests": lambda raw: resealed(raw, 20, struct.pack("<I", 16)),
    "cmdline": lambda raw: resealed(raw, 72, b"x" * 512),
    "guests[0].image_off": lambda raw: resealed(raw, FIRST, struct.pack("<I", 4097)),
    "guests[0].image_size": lambda raw: resealed(raw, FIRST + 4, struct.pack("<I", 1 << 30)),
    "guests[0].reserved": lambda raw: resealed(raw, FIRST + 50, b"\1"),
    "guests[0].args": lambda raw: resealed(raw, FIRST + 64, b"m" * 512)}


# A disk holds more than the bundle: without the magic it has none, and its end is not the
# bundle's (grader/platform_differences.toml).
ON_A_DISK = {"magic": "nestling: no bundle", "size": "nestling: crc: "}


@pytest.mark.parametrize("field", DAMAGE)
def test_a_damaged_bundle_is_refused_by_its_field(monkeypatch, tmp_path, platform, field):
    said = refused(monkeypatch, tmp_path, platform, lambda made: DAMAGE[field](made.bundle))
    from_disk = platform in ("bochs-svm", "bochs-vmx")
    assert (from_disk and ON_A_DISK.get(field) or f"nestling: {field}: ") in said


def test_a_raw_image_without_a_bundle_says_so(monkeypatch, tmp_path, platform):
    said = refused(monkeypatch, tmp_path, platform, lambda made: DAMAGE["magic"](made.bundle),
                   raw_image=True)
    assert "no bundle" in said


@pytest.mark.parametrize("option,word", (
    ("sched=fifo", "fifo"), ("slice=10s", "10s"), ("slice=1ms slice=2ms", "slice"),
    ("trace=exits,nonsense", "nonsense"), ("colour=red", "colour"), ("tracebuf=1G", "1G")))
def test_a_bad_option_is_refused_by_the_kernel_too(monkeypatch, tmp_path, platform, option, word):
    said = refused(monkeypatch, tmp_path, platform, lambda made: rebuilt(made, cmdline=option))
    assert "nestling: options: " in said and word in said


@pytest.mark.parametrize("args,word", (
    ("mem=3", "mem=3"), ("mem=2M,2M", "2M"), ("mem=4M,4M@0x100000", "overlap"),
    ("ticks=never", "never"), ("mmu=shadow2", "shadow2"), ("restart=-1", "-1"),
    ("speed=9", "speed"), ("weight=0", "weight=0")))
def test_a_bad_vm_argument_is_refused_by_the_kernel_too(monkeypatch, tmp_path, platform, args,
                                                        word):
    said = refused(monkeypatch, tmp_path, platform, lambda made: rebuilt(
        made, guests=(dataclasses.replace(bundle.parse(made.bundle).guests[0], args=args),)))
    assert "guest 1 (hello): " in said and word in said


@pytest.mark.parametrize("words,said", (
    (("--guest", "nobody"), "nobody"), (("--guest", "hello mem=1"), "mem=1"),
    (("--guest", "hello", "--option", "sched=fifo"), "fifo"),
    (("--guest", "hello", "--time", "2"), "2"), ((), "at least one guest")))
def test_the_runner_refuses_before_a_machine_starts(capsys, tmp_path, words, said):
    out = tmp_path / "never made"
    assert command.main(["run", "--out", str(out), *words]) == command.NOT_MADE
    told = capsys.readouterr().err
    assert told.startswith("grader: ") and said in told and len(told.splitlines()) == 1
    assert not out.exists()


def kernel_says(machine, guest: str) -> str:
    made = machine((guest,), time="100ms", ok=False)
    assert made.json["status"] == REFUSED and made.json["exit_reason"] == "refused"
    assert made.json["vms"][0]["how"] in ("KILLED", None)
    assert made.sentence.startswith("the kernel refused the run: ")
    return made.sentence


def test_too_little_memory_in_the_host_is_said(machine):
    assert "has no 409600 KiB of memory in one piece" in kernel_says(machine, "hello mem=400M")


def test_too_little_memory_for_the_guest_is_said(machine):
    said = kernel_says(machine, "hello mem=1M")
    assert "at 0x100000, where the VM has no memory" in said


def test_a_file_that_is_no_kernel_is_refused(machine, tmp_path):
    words, cut = tmp_path / "words.txt", tmp_path / "cut.elf"
    words.write_text("This is no kernel.\n" * 100)
    cut.write_bytes((plan.BUILD / "guests" / "hello.elf").read_bytes()[:6000])
    host = plan.BUILD / "nestling64.elf"
    assert "no Multiboot header" in kernel_says(machine, f"{words} boot=multiboot")
    assert "ends behind the file's end" in kernel_says(machine, str(cut))
    assert "guest 1 (nestling64)" in kernel_says(machine, f"{host} mem=1M")


def test_words_taken_for_raw_code_end_their_vm_only(machine, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("This is no kernel.\n" * 100)
    made = machine((f"{words} mem=1M", "ticker -- hz=500 ticks=5"), time="60ms", ok=False)
    assert made.json["vms"][0]["how"] in ("TRIPLE_FAULT", "HALTED", "UNSUPPORTED", "TIME_UP")
    assert made.json["vms"][1]["how"] == "EXITED" and not made.json["vms"][1]["checks_failed"]


def test_one_bad_guest_of_three_is_named_by_its_number(machine, tmp_path):
    stranger = kernels.build("stranger", 0x140000, tmp_path)
    made = machine(("hello", f"{stranger} mem=1M", "hello"), time="1s", ok=False)
    assert made.json["status"] == REFUSED and "guest 2 (stranger): " in made.sentence
    assert not made.trace.select("vm_destroy")["leaked"].any()
