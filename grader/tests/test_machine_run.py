"""Real runs: the same seed gives the same bytes wherever it runs, and both images boot.

What guests and the VMM do is judged in other files; here it is the runner.
"""
from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from grader import plan, run
from grader.oracle import exitlog

pytestmark = pytest.mark.machine

GUESTS = ("ticker -- hz=1000", "hello", "greedy")
OPTION = "slice=1ms"
TIME = "50ms"


def trace_of(folder: Path, platform: str, **changes: object) -> bytes:
    request = plan.Request(**{"guests": GUESTS, "out": folder, "platform": platform,
                              "option": OPTION, "time": TIME, **changes})
    result = run.make(request)
    assert result.ok, result.sentence
    return (folder / "trace.bin").read_bytes()


def test_the_same_seed_gives_the_same_bytes_in_any_folder(tmp_path, machine, platform):
    first = machine(GUESTS, OPTION, TIME)
    wanted = (first.dir / "trace.bin").read_bytes()
    assert len(first.trace) > 1000 and not first.trace.warnings
    other = tmp_path / "a folder, with a name that is quite a bit longer than the other's"
    again = trace_of(other, platform)
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(wanted).hexdigest()
    assert str(tmp_path).encode() not in again and b"/" + b"tmp" not in again


def test_another_seed_or_nonce_gives_another_trace(tmp_path, machine, platform):
    wanted = (machine(GUESTS, OPTION, TIME).dir / "trace.bin").read_bytes()
    assert trace_of(tmp_path / "seed", platform, seed=2) != wanted
    assert trace_of(tmp_path / "nonce", platform, nonce=3) != wanted


def test_the_disk_image_boots_too(machine):
    made = machine(("hello",), time="1s", raw_image=True)
    assert made.json["exit_reason"] == "ended" and made.json["vms"][0]["checks_passed"] > 0
    assert "-kernel" not in made.json["command"]


def test_what_the_trace_and_run_json_say_is_the_same(machine, platform):
    made = machine(GUESTS, OPTION, TIME)
    header = made.trace.header
    assert header.nonce == int(made.json["nonce"], 16) and header.seed == 1
    assert header.platform == platform and header.clock_hz == 10**9
    assert header.cmdline == f"{OPTION} time={TIME}"
    assert made.json["image_sha256"].startswith(header.build_id) and header.build_id
    assert [vm["name"] for vm in made.json["vms"]] == list(made.trace.vms().values())
    assert made.json["exit_reason"] == "time" and made.json["status"] == 2


def test_the_emulators_own_log_of_exits(machine):
    made = machine(("hello",), time="1s", exit_log=True)
    logged = exitlog.read(made.dir / "exits.log")
    traced = len(made.trace.select("exit"))
    assert traced > 0 and len(logged) == traced


def test_equal_runs_are_made_once(machine):
    first = machine(GUESTS, OPTION, TIME)
    assert machine(GUESTS, OPTION, TIME).dir == first.dir
    assert machine(("hello",), time="1s", fresh=True).dir \
        != machine(("hello",), time="1s", fresh=True).dir


def test_memory_is_that_of_the_machine(machine):
    made = machine(GUESTS, OPTION, TIME)
    assert made.memory.read_bytes(0x10000000, 8) == b"NESTTRC1"
    assert made.memory.size == 512 << 20
