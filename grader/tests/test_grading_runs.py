"""Runs of a grading: made once, ended when they hang, and true only if their sources agree."""
from __future__ import annotations

import copy
import struct
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Dict, List

import numpy as np
import pytest

from grader.grading import budget, build, evidence, guestproof, limits, sandbox
from grader.grading.api import Failed
from grader.grading.lab import LESS_TRACED, Lab
from grader.grading.runs import Run, Runs, trouble
from grader.oracle import exitlog, guestimage, seal
from grader.oracle.exitlog_row import NEVER, RIP
from grader.plan import BUILD, ROOT
from grader.tests.patched import Patched
from viz.tests.synth import TraceWriter
from viz.trace import load

pytestmark = pytest.mark.machine
GUESTS = ("hello", "ticker -- hz=1000 ticks=5")


def runs_of(folder: Path, built: Path = BUILD) -> Runs:
    return Runs(built, folder, sandbox.find(), 12345, lambda **_: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Run:
    """One honest run."""
    return runs_of(tmp_path_factory.mktemp("runs")).make(GUESTS, "slice=1ms", None, 1)


def test_an_honest_run_contradicts_nothing(made):
    assert trouble(made, True) == "" and made.contradictions == []
    assert made.json["status"] == 0 and len(made.exits) > 500
    assert len(evidence.blocks(made)) == 2


def test_equal_runs_are_made_once_and_have_one_nonce(tmp_path):
    runs = runs_of(tmp_path)
    first = runs.make(("hello",), "", None, 1)
    assert runs.make(("hello",), "", None, 1) is first
    other = runs.make(("hello",), "", None, 2)
    assert other.json["nonce"] != first.json["nonce"]
    again = runs_of(tmp_path / "again").make(("hello",), "", None, 1)
    assert again.json["nonce"] == first.json["nonce"]


def test_what_guests_reported_is_there_by_name(made):
    assert all(passed for rows in made.checks(1).values() for _, _, passed in rows)
    assert made.checks(1) and made.checks(3) == {}
    assert all(isinstance(name, str) for name, _ in made.checkpoints(2))


# --- Sources that disagree -----------------------------------------------------------

class Told:
    """A trace in which some fields of some records were changed."""

    def __init__(self, trace: Any, event: str, change: Callable[[Dict[str, Any]], None]) -> None:
        self.trace, self.event, self.change = trace, event, change
        self.header, self.dropped = trace.header, trace.dropped

    def select(self, event: str) -> Any:
        records = self.trace.select(event)
        return Changed(records, self.change) if event == self.event else records


class Changed:
    def __init__(self, records: Any, change: Callable[[Dict[str, Any]], None]) -> None:
        names = [name for name, _ in records.event.fields if name not in ("name", "args", "why")]
        self.columns = {name: records[name].copy() for name in names}
        self.columns["vm"] = np.array(records.vm)
        self.texts: List[str] = [records.text(i) for i in range(len(records))] \
            if records.event.fields[-1][1] == "text" else [""] * len(records)
        self.columns["text"] = np.array(self.texts, object)
        change(self.columns)
        self.vm = self.columns["vm"]

    def __len__(self) -> int:
        return len(self.vm)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def text(self, i: int) -> str:
        return str(self.columns["text"][i])

    def where(self, mask: np.ndarray) -> "Changed":
        part = copy.copy(self)
        part.columns = {name: column[mask] for name, column in self.columns.items()}
        part.vm = part.columns["vm"]
        return part


def retold(run: Run, event: str, change: Callable[[Dict[str, Any]], None]) -> Run:
    """The run with another trace."""
    other = copy.copy(run)
    other.__dict__ = {key: value for key, value in run.__dict__.items()
                      if key not in ("trace", "contradictions")}
    other.__dict__["trace"] = Told(run.trace, event, change)
    return other


def set_last(field: str, value: int) -> Callable[[Dict[str, Any]], None]:
    def change(columns: Dict[str, Any]) -> None:
        columns[field][-1] = value
    return change


def drop_last(columns: Dict[str, Any]) -> None:
    for name in columns:
        columns[name] = columns[name][:-1]


FORGED = {
    "an exit less": ("exit", drop_last, "exits, the emulator of"),
    "another rip": ("exit", set_last("rip", 5), "rip was traced as 0x5"),
    "another code": ("exit", set_last("code", 0x60), "code was traced as 0x60"),
    "a command less": ("test_port", drop_last, "commands of the test port"),
    "another VM's command": ("test_port", set_last("vm", 1), "its exit of VM 2"),
    "an exit of nobody": ("exit", set_last("vm", 0), "exits of VM 0"),
    "a check less": ("check", drop_last, "commands CHECK"),
    "another value": ("check", set_last("value", 77), "is not what the test port was given"),
    "another name": ("check", lambda columns: columns["text"].__setitem__(-1, "other"),
                     "is not what the test port was given"),
    "another VM's check": ("check", set_last("vm", 1), "is not what the test port was given"),
    "a VM too many": ("vm_create", set_last("vm", 3), "VM 3 being created"),
    "one VM for two": ("exit", lambda columns: columns["vm"].fill(1), "VM 1"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_record_is_seen(made, name):
    event, change, said = FORGED[name]
    found = evidence.contradictions(retold(made, event, change))
    if name == "one VM for two":    # then each VM's block cannot be told, or texts differ
        assert evidence.blocks(retold(made, event, change)) != evidence.blocks(made)
        return
    assert any(said in text for text in found), found


@pytest.mark.parametrize("field", ("nonce", "seed", "platform", "cmdline"))
def test_the_header_must_name_this_run(made, field):
    other = retold(made, "exit", lambda columns: None)
    assert evidence.header(other) == []
    wrong = "bochs-vmx" if field in ("platform", "cmdline") else 7
    other.trace.header = replace(made.trace.header, **{field: wrong})
    found, = evidence.header(other)
    assert field in found.replace("command line", "cmdline")


def test_records_are_dropped_only_where_there_is_no_room(made):
    """Else a run is made again with less traced, because the VMM says so."""
    told = made.trace.header
    assert evidence.room(made) == []
    for change, said in ((dict(size=1 << 20), "has a size of"),
                         (dict(buffers=(replace(told.buffers[0], dropped=1),)), "room for more"),
                         (dict(buffers=(replace(told.buffers[0], size=1 << 40),)), "has a size of")):
        other = retold(made, "exit", lambda columns: None)
        other.trace.header = replace(told, **change)
        found, = evidence.room(other)
        assert said in found


def test_with_less_traced_the_checks_still_need_commands_and_a_guest(tmp_path):
    run = runs_of(tmp_path).make(("hello", "ticker -- ticks=3"), LESS_TRACED, None, 1)
    assert run.contradictions == [] and not run.traces("exits") and run.checks(1)
    assert set(guestproof._by_roots(run)) == {1, 2} and 0 not in guestproof._by_roots(run).values()
    silent = retold(run, "vm_end", lambda columns: None)
    silent.__dict__["trace"] = run.trace
    silent.__dict__["exits"] = exitlog.Exits(*(column[:0] for column in run.exits))
    found = evidence.contradictions(silent)
    assert any("the emulator saw only 0 commands" in text for text in found)
    assert any("never touched" in text for text in guestproof.contradictions(silent))


def test_a_full_trace_is_no_contradiction(tmp_path):
    lab = Lab("test", 1, runs_of(tmp_path))
    option = "slice=1ms tracebuf=1M time=300ms"
    full = lab.runs.make(("greedy", "ticker -- hz=1000"), option, None, 1)
    assert full.json["trace"]["dropped"] and full.contradictions == []
    longer = lab.run("greedy", "ticker -- hz=1000", option=option)
    assert longer is full, "a test that sets the trace's size means it"
    assert "trace=some" in LESS_TRACED
    changed = retold(full, "exit", lambda columns: columns["rip"].__setitem__(100, 5))
    assert any("exit 100" in text for text in evidence.exits(changed))


def test_the_last_exits_of_a_full_trace_are_those_that_were_made(tmp_path):
    """Where the VMM did not enter at all nothing was left, and the log has no line: such records
    do not count among the last ones, which may have gaps."""
    writer, many, last = TraceWriter(tmp_path / "trace.bin"), 2 * evidence.TAIL, 5
    for n in range(many):
        writer.emit("exit", vm=1, code=NEVER)
        writer.emit("exit", vm=1, code=0x72, rip=n + (n >= many - last))    # one was dropped
    writer.dropped[0] = 1
    zero = np.zeros(many, np.uint64)
    log = exitlog.Exits(zero + np.uint64(0x72), zero, zero, np.arange(many, dtype=np.uint64), zero,
                        zero, zero, zero + np.uint64(RIP))
    run = SimpleNamespace(trace=load(str(writer.save())), exits=log, traces=lambda group: True)
    assert evidence.exits(run) == []
    log.rip[0] = 9
    assert evidence.exits(run) == ["the trace and the emulator disagree: exit 0: rip was traced as "
                                   "0x0, the emulator says 0x9"]


# --- What guests were -----------------------------------------------------------------

def patched(run: Run, vm: int, gpa: int, data: bytes) -> Run:
    """The run with other bytes at a VM's gPA."""
    other = retold(run, "exit", lambda columns: None)
    other.__dict__["trace"] = run.trace
    block, = [block for block, vms in evidence.blocks(run).items() if vms == {vm}]
    hpa = guestproof.GuestMemory(run, block).page(gpa)
    assert hpa is not None
    other.__dict__["memory"] = Patched(run.memory, hpa, data)
    return other


def test_code_that_is_not_the_images_is_seen(made):
    image = guestimage.read(BUILD / "guests/hello.elf")
    start, data = image.fixed[0]
    assert len(data) > 4096 and "testport_kept" in image.symbols
    assert guestproof.contradictions(patched(made, 1, start + 0x100, data[0x100:0x104])) == []
    other = bytes(byte ^ 1 for byte in data[0x100:0x104])
    found = guestproof.contradictions(patched(made, 1, start + 0x100, other))
    assert any("code of VM 1" in text for text in found), found


def test_checks_that_the_guest_did_not_keep_are_seen(made):
    where = guestimage.read(BUILD / "guests/hello.elf").symbols["testport_kept"]
    count = struct.pack("<Q", 1000)
    found = guestproof.contradictions(patched(made, 1, where, count))
    assert any("made 1000 self-checks" in text for text in found), found
    found = guestproof.contradictions(patched(made, 1, where + 16, b"\xee"))
    assert any("by its own memory" in text for text in found), found
    found = guestproof.contradictions(patched(made, 1, where + 32, b"\xee"))
    assert any("seal of self-check 0" in text for text in found), found


@pytest.mark.parametrize("code, name", ((0x72, "CPUID"), (0x78, "HLT"), (0x7B, "port I/O")))
def test_an_exit_on_another_instruction_is_seen(made, code, name):
    image = guestimage.read(BUILD / "guests/hello.elf")
    start, data = image.fixed[0]
    there = data.index(b"\x90\x90") if b"\x90\x90" in data else data.index(b"\x55")
    other = retold(made, "exit", lambda columns: None)
    exits = exitlog.Exits(*(column.copy() for column in made.exits))
    block, = [block for block, vms in evidence.blocks(made).items() if vms == {1}]
    place = int(np.flatnonzero(exits.vmcb == block)[0])
    exits.code[place], exits.rip[place] = code, start + there
    other.__dict__["exits"] = exits
    found = guestproof.instructions(other, 1, block, image)
    assert found and name in found[0]


def test_the_seal_is_that_of_the_format(made):
    checks = made.trace.select("test_port")
    assert seal.seal(int(made.json["nonce"], 16), 1, 2, 3) != seal.seal(0, 1, 2, 3)
    assert int(checks["result"][0]) == int(made.json["nonce"], 16)


# --- Machines that hang ----------------------------------------------------------------

def changed_kernel(folder: Path, insert: str) -> Path:
    """The kernel with this text at the begin of CPUID's handler."""
    name = "vmm/exit_cpuid.c"
    text = (ROOT / name).read_text()
    place = text.index("{", text.index("\nvoid exit_cpuid(")) + 1
    build.prepare(ROOT, folder / "copy")
    build.put(folder / "copy", {name: (text[:place] + insert + text[place:]).encode()}, ROOT)
    made = build.build(folder / "copy", sandbox.find())
    assert made.ok, made.log
    build.deliver(folder / "copy", ROOT, folder / "machine")
    return folder / "machine"


def test_a_machine_that_hangs_is_stopped_and_later_runs_get_less(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MACHINE", replace(limits.MACHINE, cpu_s=2))
    monkeypatch.setattr(budget, "CPU_S_PER_VIRTUAL_S", 0.0)
    monkeypatch.setattr(budget, "LEAST_CPU_S", 1)
    kernel = changed_kernel(tmp_path, '__asm__ volatile("cli"); for (;;) __asm__ volatile("");')
    runs = runs_of(tmp_path / "runs", kernel)
    lab = Lab("test", 1, runs)
    given = []
    for seed in (1, 2, 3):
        given.append(runs.budget.limits(1.0).cpu_s)
        with pytest.raises(Failed, match="all the processor time that it was given"):
            lab.run("hello", seed=seed)
    assert given == [2, 1, 1] and runs.state() == {"made": 3, "hangs": 3}
    with pytest.raises(Failed, match="3 runs of this submission hung"):
        lab.run("hello", seed=4)


def test_a_machine_that_sleeps_for_ever_is_stopped(tmp_path, monkeypatch):
    """QEMU itself goes on counting ticks, slowly: its processor time ends it, too."""
    monkeypatch.setattr(limits, "MACHINE", replace(limits.MACHINE, cpu_s=2))
    monkeypatch.setattr(budget, "CPU_S_PER_VIRTUAL_S", 0.0)
    kernel = changed_kernel(tmp_path, '__asm__ volatile("outb %%al, $0x21\\n outb %%al, $0xa1\\n'
                                      'cli\\n1: hlt\\n jmp 1b" :: "a"(0xff));')
    runs = runs_of(tmp_path / "runs", kernel)
    runs.asleep_s = 2.0
    with pytest.raises(Failed, match="slept with nothing to wake it|processor time"):
        Lab("test", 1, runs).run("hello")


def test_old_memory_is_given_up_when_the_disk_fills(tmp_path, monkeypatch):
    from grader.grading import runs as module
    runs = runs_of(tmp_path)
    first = runs.make(("hello",), "", None, 1)
    runs.make(("hello",), "", None, 2)
    runs.trim()
    assert (first.dir / "memory.bin").is_file()
    monkeypatch.setattr(module, "KEPT_BYTES", 1)
    runs.trim()
    assert not (first.dir / "memory.bin").exists()
    assert runs.make(("hello",), "", None, 1).dir != first.dir
