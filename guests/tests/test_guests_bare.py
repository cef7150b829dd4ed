"""The guests as they are, without a VMM: each is a valid Multiboot image (or one
raw sector), stays below 2 MiB, boots on the bare emulated PC and prints what it
should. The test port is absent there; the guests say so by themselves.

What needs a VMM (walks, switches, deaths) is tested by the machine tests.
"""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUESTS = ROOT / "build" / "guests"
MULTIBOOT_MAGIC = 0x1BADB002
ELF = sorted(" ".join(re.findall(r"^GUESTS(?:32|64) *:= (.*)$", (ROOT / "Makefile").read_text(),
                                 re.M)).split())
HOST_LIMIT_S = 120  # only so that a hung emulator ends; nothing is measured by it

QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64,+pdpe1gb", "-m", "16", "-display",
        "none", "-monitor", "none", "-serial", "stdio", "-no-reboot", "-nodefaults",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]


@dataclass
class Boot:
    """What a guest printed and the code that it exited with (None: it did not exit)."""

    text: str
    code: int | None

    def values(self, name: str) -> list[int]:
        """The numbers of all checkpoints of that name."""
        return [int(v) for v in re.findall(rf"^checkpoint {re.escape(name)}: (\d+)$", self.text, re.M)]

    def checks(self) -> dict[str, bool]:
        """All self-checks by name: did they pass?"""
        found = re.findall(r"^check (\S+): .*(ok|FAILED)$", self.text, re.M)
        return {name: word == "ok" for name, word in found}


def boot(arguments: list[str], icount: bool = True) -> Boot:
    """Run QEMU with these arguments besides the usual ones."""
    clock = ["-icount", "shift=0,sleep=off"] if icount else []
    done = subprocess.run(QEMU + clock + arguments, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=HOST_LIMIT_S, check=False)
    status = done.returncode
    return Boot(done.stdout.decode("ascii", "replace"), status >> 1 if status & 1 else None)


def boot_guest(name: str, args: str = "", icount: bool = True) -> Boot:
    return boot(["-kernel", str(GUESTS / f"{name}.elf"), "-append", args], icount)


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    done = subprocess.run(["make", "-s", "guests"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def program_headers(image: bytes) -> list[tuple[int, int, int]]:
    """(physical address, file size, memory size) of each PT_LOAD of an ELF32."""
    assert image[:5] == b"\x7fELF\x01", "not an ELF32"
    offset, = struct.unpack_from("<I", image, 28)
    size, count = struct.unpack_from("<HH", image, 42)
    found = []
    for i in range(count):
        kind, _, _, paddr, filesz, memsz = struct.unpack_from("<6I", image, offset + i * size)
        if kind == 1:
            found.append((paddr, filesz, memsz))
    return found


@pytest.mark.parametrize("name", ELF)
def test_image_is_multiboot_and_lies_between_1_and_2_mib(name: str) -> None:
    image = (GUESTS / f"{name}.elf").read_bytes()
    where = [at for at in range(0, 8192, 4)
             if struct.unpack_from("<I", image, at)[0] == MULTIBOOT_MAGIC]
    assert len(where) == 1
    magic, flags, checksum = struct.unpack_from("<3I", image, where[0])
    assert flags == 3 and (magic + flags + checksum) & 0xFFFFFFFF == 0
    for paddr, filesz, memsz in program_headers(image):
        assert 0x100000 <= paddr and paddr + memsz <= 0x200000 and filesz <= memsz


@pytest.mark.parametrize("name, words", [
    ("hello", "long mode"),
    ("hello32", "paging off"),
    ("hello-pae", "PAE paging"),
])
def test_hello_greets_and_passes(name: str, words: str) -> None:
    run = boot_guest(name, "colour=green")
    assert "Hello from a bare machine, in " in run.text and words in run.text
    assert "colour=green" in run.text
    assert re.search(r"^memory: 0x0 to 0x[0-9a-f]+ usable$", run.text, re.M)
    assert run.code == 0 and run.checks() and all(run.checks().values())


def test_real_is_one_sector_and_boots() -> None:
    path = GUESTS / "real.bin"
    image = path.read_bytes()
    assert len(image) == 512 and image[510:] == b"\x55\xaa"
    run = boot(["-drive", f"file={path},format=raw,if=floppy,readonly=on"])
    assert "Hello from real mode on " in run.text and run.code == 0


def test_ticker_counts_its_ticks_and_its_steps() -> None:
    run = boot_guest("ticker", "hz=200 ticks=50 compute=12345")
    assert run.values("ticks")[:2] == [20, 40] and run.values("ticks")[-1] == 50
    assert run.values("steps") == [12345]
    assert abs(run.values("tsc")[0] - 250_000_000) < 5_000_000  # icount: 1 ns each; 50 of 5 ms
    assert run.checks()["compute"] and run.code == 0


def test_ticker_sleeps_if_told() -> None:
    busy = boot_guest("ticker", "hz=100 ticks=20")
    idle = boot_guest("ticker", "hz=100 ticks=20 halt=1")
    assert idle.values("steps")[0] * 10 < busy.values("steps")[0]
    assert idle.values("ticks")[-1] == 20 and idle.code == 0


def test_greedy_reads_back_what_it_programs() -> None:
    run = boot_guest("greedy", "loops=40 report=20 spin=1000")
    assert run.values("loops") == [20, 40]
    assert {"range", "order", "moves"} <= set(run.checks()) and run.code == 0


def test_probe_finds_that_the_bare_sources_agree() -> None:
    run = boot_guest("probe", "hz=100 windows=2 ticks=10")
    assert all(abs(v - 1000000) < 100 for v in run.values("tsc/pit")) and run.values("tsc/pit")
    assert run.values("periods") == [20]
    assert run.values("holes") == [0] and run.code == 0


@pytest.mark.parametrize("name, args", [
    ("walker", "pages=40"),
    ("walker", "pages=40 size=4k,2m,1g"),
    ("walker-pae", "pages=40"),
    ("walker-pae", "pages=40 size=4k,2m"),
])
def test_walker_finds_its_pages_as_it_built_them(name: str, args: str) -> None:
    run = boot_guest(name, args)
    assert {"contents", "alias", "accessed", "dirty"} <= set(run.checks())
    assert all(run.checks().values()) and run.code == 0
    assert len(run.values("root")) == 1


@pytest.mark.parametrize("how", ["idt", "ud", "pf"])
def test_crash_announces_itself_and_dies(how: str) -> None:
    run = boot_guest("crash", f"how={how}")
    assert f"triple fault by {how}" in run.text
    assert run.code is None and "crashed" not in run.checks()


def test_canary_survives_alone() -> None:
    run = boot_guest("canary", "rounds=400 spin=100")
    assert sum(run.values(n)[0] for n in ("yield", "out", "cpuid", "spin", "halt")) == 400
    assert {"gpr", "fpu", "system", "canary"} <= set(run.checks())
    assert all(run.checks().values()) and run.code == 0


# What has tests of its own above and below is not here.  vtlb and vtlb32 cannot be: they call
# a VMM before anything else.
@pytest.mark.parametrize("name, args", [
    ("benchmmu", "batches=2 rounds=8"), ("churn", "accesses=2000 changes=50"),
    ("spaces", "spaces=10 times=8"), ("watched", "pages=4"), ("watched-pae", "pages=4"),
    ("pager", "ops=200"), ("pager-pae", "ops=200"), ("pager32", "ops=200")])
def test_those_made_for_tables_pass_with_the_processor_s_own(name: str, args: str) -> None:
    run = boot_guest(name, args)
    assert len(run.checks()) > 1 and all(run.checks().values()) and run.code == 0


def test_churn_makes_the_changes_that_its_stream_asks_for() -> None:
    one, other = (boot_guest("churn", f"accesses=500 stream={n}") for n in (1, 2))
    assert one.values("begin") == other.values("begin") == [500]
    assert one.values("end") != other.values("end")


def test_regions_finds_everything_but_a_vmm_to_ask_which_pages_were_used() -> None:
    run = boot_guest("regions", "rounds=2")
    assert [name for name, passed in run.checks().items() if not passed] == ["used"]
    assert run.values("sweep") == [0, 1, 2] and run.values("last") == [2] and run.code == 1


@pytest.mark.parametrize("name", ["benchmmu", "churn", "keeper", "pager", "spaces", "vtlb", "walker",
                                  "watched"])
def test_who_wants_more_than_2_mib_says_so(name: str) -> None:
    run = boot(["-kernel", str(GUESTS / f"{name}.elf"), "-m", "2"])
    assert "memory" in run.text and run.code == 3


# Those classes that QEMU's bare machine survives: see guests/README.md.
@pytest.mark.parametrize("classes", [4, 8, 32, 64, 256, 1024])
def test_hostile_survives_its_actions(classes: int) -> None:
    run = boot_guest("hostile", f"actions=3000 classes={classes} announce=1000")
    assert run.values("actions") == [1000, 2000, 3000]
    assert run.checks()["actions"] and run.code == 0
    if classes in (64, 1024):  # these cannot go without exceptions
        assert run.values("faults")[0] > 500


def test_bench_measures_and_yielder_ends() -> None:
    run = boot_guest("bench", "batches=4 rounds=16")
    assert run.values("floor")[0] > 0 and run.values("cpuid") and run.values("npf")
    assert run.code == 0
    assert boot_guest("yielder", "rounds=3").code == 0


def test_keeper_finds_its_pages_unchanged() -> None:
    run = boot_guest("keeper", "pages=32 hz=1000 rounds=4")
    assert run.code == 0 and run.values("pages") == [32]
    assert run.checks()["kept"] and run.text.count("check kept:") == 4


def test_stepper_finds_its_registers_as_the_manual_says() -> None:
    run = boot_guest("stepper", "steps=400")
    assert {"cpuid", "hlt", "in", "out"} <= set(run.checks()) and all(run.checks().values())
    assert sum(run.values(kind)[0] for kind in ("cpuid", "hlt", "in", "out")) == 400
    only = boot_guest("stepper", "steps=50 kind=in")
    assert only.values("in") == [50] and not only.values("out") and only.code == 0


def test_asker_reports_every_leaf_twice() -> None:
    run = boot_guest("asker")
    assert len(run.values("00000000")) == len(run.values("80000008")) == 2
    vendor = run.values("00000000")[0] >> 32
    assert vendor.to_bytes(4, "little") == b"Auth"
    assert {"fcw", "mxcsr", "upper"} <= set(run.checks()) and run.code == 0


@pytest.mark.parametrize("how, words", [
    ("rdtsc", "checkpoint went on: 0"),
    ("invlpg", "checkpoint went on: 1"),
    ("ud", "unexpected exception 6"),
    ("de", "unexpected exception 0"),
])
def test_stray_goes_on_where_nothing_is_intercepted(how: str, words: str) -> None:
    run = boot_guest("stray", f"how={how}")
    assert run.values("stray") and words in run.text


def test_lines_finds_the_promises_of_a_real_controller_kept() -> None:
    run = boot_guest("lines", "rounds=5")
    assert {"masked", "irr", "unmasked", "ifoff", "ifon", "tickmask", "tickopen", "order", "nested",
            "end", "endnamed", "held", "freed", "noend", "ended"} <= set(run.checks())
    assert all(run.checks().values()) and run.code == 0
    assert "held" not in boot_guest("lines", "timer=0").checks()


def test_counter_finds_a_real_counter_in_time() -> None:
    run = boot_guest("counter", "rounds=4")
    assert {"value", "latch", "order", "low", "high", "status", "alone", "back"} <= set(run.checks())
    assert all(run.checks().values()) and run.code == 0


def test_counter_notices_a_counter_of_another_rate() -> None:
    run = boot_guest("counter", "rounds=2 tschz=1010000000")    # it takes its TSC for a fast one
    assert not run.checks()["value"] and run.code == 1


def test_masker_finds_that_a_real_controller_merges() -> None:
    run = boot_guest("masker", "policy=merge rounds=8")
    assert all(run.checks().values()) and run.code == 0
    assert run.values("ticks")[0] < run.values("due")[0]
    for wrong, failed in (("discard", "ticks"), ("slew", "slew")):
        run = boot_guest("masker", f"policy={wrong} rounds=8 most=4")
        assert not run.checks()[failed] and run.code == 1


@pytest.mark.parametrize("args, words", [
    ("tocks=3", "unknown key"),
    ("hz=12x", "not a number"),
    ("hz=5", "out of range"),
    ("hz=100 nonsense", "not KEY=VALUE"),
])
def test_a_bad_argument_is_refused_by_name(args: str, words: str) -> None:
    run = boot_guest("ticker", args)
    assert words in run.text and run.code == 2


def test_keeps_finds_nothing_lost_where_nothing_exits() -> None:
    run = boot_guest("keeps")
    assert run.code == 0 and run.text == "keeps: every register survived an OUT\n"


def test_behind_is_interrupted_right_behind_the_instruction() -> None:
    run = boot_guest("behind")
    assert run.code == 0 and len(run.checks()) == 9 and all(run.checks().values())
