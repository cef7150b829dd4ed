"""Synthetic traces for tests, written from handouts/formats.md alone.

TraceWriter writes any record; three_vms(), nested_walk() and million_events()
make plausible runs.  Only this helper reads kernel/trace_events.def (viz itself
never parses C); it is a second reading of that file, independent of the kernel.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np

DEF_FILE = Path(__file__).resolve().parents[2] / "kernel" / "trace_events.def"
Word = Union[int, str, bool]


@dataclass(frozen=True)
class EventDef:
    number: int
    name: str
    fields: Tuple[Tuple[str, str], ...]
    text: Optional[str]
    doc: str


def read_def(path: Path = DEF_FILE) -> Tuple[Dict[str, EventDef], Dict[str, Dict[str, int]]]:
    """Events and enums (word -> value) of the kernel's list."""
    source = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.S)
    enums: Dict[str, Dict[str, int]] = {}
    for name, body in re.findall(r"\bENUM\((\w+),((?:\s*V\([^)]*\))*)\)", source):
        values = re.findall(r"V\(\s*\w+\s*,\s*(\w+)\s*,\s*(\d+)\s*\)", body)
        enums[name] = {word: int(value) for word, value in values}
    events: Dict[str, EventDef] = {}
    pattern = (r"\b(EVENT|EVENT_TEXT)\((\d+),\s*(\w+),((?:\s*F\([^)]*\))*)\s*,?\s*(\w+\s*,)?"
               r"\s*((?:\"[^\"]*\"\s*)+)\)")
    for kind, number, name, body, text, doc in re.findall(pattern, source):
        fields = tuple(re.findall(r"F\(\s*(\w+)\s*,\s*(\w+)\s*\)", body))
        text_name = text.strip(" ,\n") if kind == "EVENT_TEXT" else None
        words = "".join(re.findall(r"\"([^\"]*)\"", doc))
        events[name] = EventDef(int(number), name, fields, text_name, words)
    return events, enums


EVENTS, ENUMS = read_def()


def schema_text() -> str:
    """The schema text that a trace of the current kernel carries."""
    lines = ["nestling-schema 1"]
    for name, values in ENUMS.items():
        lines.append(f"enum {name} " + " ".join(f"{v}:{w}" for w, v in values.items()))
    for event in EVENTS.values():
        fields = [f"{name}:{kind}" for name, kind in event.fields]
        fields += [f"{event.text}:text"] if event.text else []
        lines.append(f"event {event.number} {event.name} " + " ".join(fields) + f" | {event.doc}")
    return "\n".join(lines) + "\n"


def pack_header(cpus: int, size: int, clock_hz: int, tsc_base: int, nonce: int, seed: int,
                schema_size: int, cmdline: str, platform: str,
                buffers: List[Tuple[int, int, int, int]]) -> bytes:
    """The header page of section 1.1."""
    page = struct.pack("<8sIIQQQQQII40s24s512s", b"NESTTRC1", 1, cpus, size, clock_hz, tsc_base,
                       nonce, seed, 4096, schema_size, b"c0ffee" * 6, platform.encode(),
                       cmdline.encode())
    for buffer in buffers:
        page += struct.pack("<4Q", *buffer)
    return page.ljust(4096, b"\0")


class TraceWriter:
    """Collects records and writes a trace file.

    emit(event, vm=, vcpu=, pcpu=, ns=, text=, **fields): enum fields take words
    or numbers, a text field may be given as text= or by its own name, missing
    fields are 0.  Without ns= the time of the last record is kept.
    """

    def __init__(self, path: Union[str, Path], cpus: int = 1, clock_hz: int = 10**9,
                 nonce: int = 0x1234_5678_9ABC_DEF0, seed: int = 1,
                 cmdline: str = "sched=rr slice=10ms", platform: str = "qemu-svm",
                 tsc_base: int = 1_000_000) -> None:
        self.path = Path(path)
        self.cpus, self.clock_hz, self.tsc_base = cpus, clock_hz, tsc_base
        self.nonce, self.seed, self.cmdline, self.platform = nonce, seed, cmdline, platform
        self.buffers: List[List[bytes]] = [[] for _ in range(cpus)]
        self.dropped = [0] * cpus
        self.now = 0

    def emit(self, event: str, vm: int = 0, vcpu: int = 0, pcpu: int = 0,
             ns: Optional[int] = None, text: Optional[str] = None, flags: int = 0,
             **fields: Word) -> "TraceWriter":
        definition = EVENTS[event]
        self.now = self.now if ns is None else ns
        payload = [self._value(definition, name, kind, vcpu, fields)
                   for name, kind in definition.fields]
        raw = struct.pack(f"<{len(payload)}Q", *payload)
        if definition.text:
            words = text if text is not None else str(fields.pop(definition.text, ""))
            data = words.encode()
            raw += data.ljust(-(-len(data) // 8) * 8, b"\0")
        assert not fields, f"{event} has no field {sorted(fields)}"
        self.raw(definition.number, vm, vcpu, pcpu, raw, flags)
        return self

    def raw(self, number: int, vm: int, vcpu: int, pcpu: int, payload: bytes,
            flags: int = 0) -> None:
        """A record with any event number and payload, at the current time."""
        tsc = self.tsc_base + -(-self.now * self.clock_hz // 10**9)
        self.buffers[pcpu].append(struct.pack("<QHHBBBB", tsc, number, vm, vcpu, pcpu,
                                              len(payload) // 8, flags) + payload)

    @staticmethod
    def _value(definition: EventDef, name: str, kind: str, vcpu: int,
               fields: Dict[str, Word]) -> int:
        value = fields.pop(name, vcpu if name == "vcpu" else 0)
        if isinstance(value, str):
            return ENUMS[kind][value]
        return int(value) & (2**64 - 1)

    def bytes(self) -> bytes:
        schema = schema_text().encode()
        off = -(-(4096 + len(schema)) // 4096) * 4096
        table, bodies = [], []
        for i, records in enumerate(self.buffers):
            body = b"".join(records)
            size = -(-(len(body) + 4096) // 4096) * 4096
            table.append((off, size, len(body), self.dropped[i]))
            bodies.append((off, body))
            off += size
        header = pack_header(self.cpus, off, self.clock_hz, self.tsc_base, self.nonce, self.seed,
                             len(schema), self.cmdline, self.platform, table)
        result = bytearray(header + schema)
        for start, body in bodies:
            result += bytes(start - len(result)) + body
        return bytes(result)

    def save(self) -> Path:
        self.path.write_bytes(self.bytes())
        return self.path


class _Vm:
    """One VM of three_vms(): its timer's totals and whether it sleeps."""

    def __init__(self, number: int, args: str, period: int, sleeps: bool) -> None:
        self.number, self.args, self.period, self.sleeps = number, args, period, sleeps
        self.due = self.delivered = self.discarded = self.ran = 0
        self.next_due = period
        self.blocked = False

    @property
    def backlog(self) -> int:
        return self.due - self.delivered - self.discarded

    def totals(self, ticks: int, at: int) -> Dict[str, Any]:
        return dict(ticks=ticks, due=self.due, delivered=self.delivered, backlog=self.backlog,
                    discarded=self.discarded, at=at)


class _Run:
    """A round-robin run in steps of `quantum` ns, traced as the VMM would."""

    def __init__(self, writer: TraceWriter, vms: List[_Vm], slice_ns: int, quantum: int) -> None:
        self.w, self.vms, self.slice_ns, self.quantum = writer, vms, slice_ns, quantum
        self.turn, self.t, self.until = 0, 0, 0
        self.current: Optional[_Vm] = None

    def start(self) -> None:
        w = self.w
        w.emit("trace_start", ns=0, pcpus=1, buffer=1 << 26)
        w.emit("sched_start", ns=100, slice=self.slice_ns, name="rr")
        for vm in self.vms:
            self.t += 2000
            w.emit("vm_create", vm=vm.number, ns=self.t, memory=16 << 20,
                   root=0x800000 * vm.number, args=vm.args)
            w.emit("vcpu_create", vm=vm.number, vcpu=0)
            w.emit("vm_slot", vm=vm.number, gpa=0, size=16 << 20, hpa=0x2000000 * vm.number)
            if vm.period:
                w.emit("timer_program", vm=vm.number, mode=2, reload=vm.period * 1193182 // 10**9,
                       policy="DELAY", view="WALL")
        self.pick("FIRST")

    def pick(self, why: str) -> None:
        ready = [vm for vm in self.vms if not vm.blocked]
        previous = self.current.number if self.current else 0
        after = [vm for vm in ready if vm.number > previous] + ready
        self.current = after[0] if after else None
        self.turn += 1
        self.until = self.t + self.slice_ns
        other = after[1].number if len(ready) > 1 else 0
        self.w.emit("sched_pick", vm=self.current.number if self.current else 0, ns=self.t,
                    prev=previous, why=why if ready else "IDLE", until=self.until, key=self.turn,
                    other=other, other_key=self.turn + 1, runnable=len(ready))

    def timers(self) -> None:
        woken = False
        for vm in self.vms:
            while vm.period and vm.next_due <= self.t:
                vm.due += 1
                vm.next_due += vm.period
                self.w.emit("timer_due", vm=vm.number, ns=self.t, **vm.totals(1, self.t))
                if vm.blocked:
                    vm.blocked, woken = False, True
                    self.w.emit("sched_wake", vm=vm.number, why="INTERRUPT")
        if woken and self.current is None:
            self.pick("WOKEN")

    def guest(self, vm: _Vm) -> None:
        """One entry, what the guest does, one exit."""
        inject = 0
        if vm.backlog:
            vm.delivered += 1
            inject = 0x80000020
            self.w.emit("inject", vm=vm.number, ns=self.t, vector=0x20)
            self.w.emit("timer_delivered", vm=vm.number, **vm.totals(1, self.t))
        self.w.emit("entry", vm=vm.number, rip=0x100000 + self.t % 4096, inject=inject)
        self.t += self.quantum
        vm.ran += self.quantum
        sleeping = vm.sleeps and not vm.backlog and not inject
        expired = self.t >= self.until
        reason = "HLT" if sleeping else "INTR" if expired else ("CPUID", "IO", "MSR")[self.turn % 3]
        self.w.emit("exit", vm=vm.number, ns=self.t, reason=reason, rip=0x100010 + self.t % 4096,
                    code={"HLT": 0x78, "INTR": 0x60}.get(reason, 0x72))
        if sleeping or expired:
            self.w.emit("sched_charge", vm=vm.number, ran=self.quantum, total=vm.ran)
        if sleeping:
            vm.blocked = True
            self.w.emit("sched_block", vm=vm.number, why="HLT")
        self.timers()
        if sleeping or expired:
            self.pick("BLOCKED" if sleeping else "SLICE_END")

    def step(self) -> None:
        if self.current is None:
            self.t += self.quantum
            self.timers()
        else:
            self.guest(self.current)

    def finish(self) -> None:
        for vm in self.vms:
            if vm.period:
                self.w.emit("check", vm=vm.number, ns=self.t, value=vm.delivered,
                            expected=vm.delivered, sealed=1, name="ticks")
            self.w.emit("vm_end", vm=vm.number, ns=self.t, how="EXITED", why="exit code 0")
            self.w.emit("vm_destroy", vm=vm.number, freed=4099, free=60000)
        self.current = None
        self.w.emit("sched_pick", vm=0, ns=self.t + 10, why="ENDED")


def three_vms(path: Union[str, Path], ms: int = 100, slice_ms: int = 10, quantum_us: int = 500,
              sleeps: bool = False, walk: bool = True, **options) -> Path:
    """Two tickers and a greedy guest on one CPU, round robin; `sleeps` makes VM 2 halt."""
    writer = TraceWriter(path, **options)
    vms = [_Vm(1, "ticker -- hz=100", 10_000_000, False),
           _Vm(2, "guests/ticker.elf -- hz=250", 4_000_000, sleeps), _Vm(3, "greedy", 0, False)]
    run = _Run(writer, vms, slice_ms * 1_000_000, quantum_us * 1000)
    run.start()
    if walk:
        nested_walk(writer, vm=1, gva=0x400000, ns=run.t)
        run.t += 1000
    while run.t < ms * 1_000_000:
        run.step()
    run.finish()
    return writer.save()


def _page(level: int) -> int:
    """Bytes that an entry of `level` maps."""
    return 1 << (3 + 9 * level)


class _Walk:
    """The references of one two-dimensional walk, written as they are made.

    The tables are consistent: equal gPAs have equal nested entries.
    """

    def __init__(self, writer: TraceWriter, vm: int, access: int, nested_leaf: int,
                 fault_at: int) -> None:
        self.w, self.vm, self.access = writer, vm, access
        self.nested_leaf, self.fault_at = nested_leaf, fault_at
        self.nroot = 0x7000000 + vm * 0x100000
        self.n, self.done = 0, False

    def host(self, gpa: int) -> int:
        return gpa + 0x40000000 * self.vm

    def refer(self, dim: str, level: int, table: int, addr: int, target: int, leaf: bool,
              serves: int) -> None:
        self.n += 1
        self.done = self.n == self.fault_at
        entry = 0 if self.done else target | 0x27 | (0x80 if leaf and level > 1 else 0)
        dirty = 0x40 if entry and leaf and self.access & 1 else 0
        self.w.emit("walk_ref", vm=self.vm, n=self.n, dim=dim, level=level, table=table,
                    index=addr >> (3 + 9 * level) & 511, before=entry & ~0x20 if leaf else entry,
                    after=entry | dirty, size=_page(level) if leaf and entry else 0,
                    serves=serves, addr=addr)
        if self.done:
            self.w.emit("walk_end", vm=self.vm, refs=self.n, fault="NOT_PRESENT", dim=dim,
                        level=level, error=self.access)

    def nested(self, gpa: int, serves: int) -> None:
        table = self.nroot
        for level in range(4, self.nested_leaf - 1, -1):
            if self.done:
                return
            leaf = level == self.nested_leaf
            below = self.nroot - 0x1000000 + level * 0x10000 + (gpa >> 21 & 0xF) * 0x1000
            target = self.host(gpa) & -_page(level) if leaf else below
            self.refer("NESTED", level, table, gpa, target, leaf, serves)
            table = below


def nested_walk(writer: TraceWriter, vm: int = 1, gva: int = 0x7F12_3456_7ABC, ns: int = 0,
                guest_leaf: int = 1, nested_leaf: int = 1, access: int = 0,
                fault_at: int = 0, cause: str = "REQUEST") -> int:
    """A two-dimensional walk; leaf level 1 is 4K, 2 is 2M, 3 is 1G.  Returns its references.

    fault_at=n makes the n-th entry not present and ends the walk there.
    """
    walk, table = _Walk(writer, vm, access, nested_leaf, fault_at), 0x1000
    writer.emit("walk_begin", vm=vm, ns=ns, gva=gva, access=access, groot=table,
                nroot=walk.nroot, mode="LONG4", kind="NESTED", cause=cause)
    frame = (0x40000000 if guest_leaf == 3 else 0x600000) & -_page(guest_leaf)
    for level in range(4, guest_leaf - 1, -1):
        walk.nested(table, level)
        if walk.done:
            return walk.n
        leaf = level == guest_leaf
        target = frame if leaf else table + 0x1000
        walk.refer("GUEST", level, walk.host(table), gva, target, leaf, 0)
        table = target
        if walk.done:
            return walk.n
    known, gpa = walk.n, frame + (gva & (_page(guest_leaf) - 1))
    walk.nested(gpa, 0)
    if not walk.done:
        writer.emit("walk_end", vm=vm, gpa=gpa, hpa=walk.host(gpa), gpa_refs=known,
                    refs=walk.n, fault="NONE", dim="GUEST", level=0, error=0)
    return walk.n


def _round_template(vms: int, pairs: int, slice_ns: int) -> Tuple[np.ndarray, List[int], List[int]]:
    """The words of one round (each VM runs a slice), where its tsc and totals are."""
    writer = TraceWriter("unused", tsc_base=0)
    for vm in range(1, vms + 1):
        start = (vm - 1) * slice_ns
        writer.emit("sched_pick", vm=vm, ns=start, prev=(vm - 2) % vms + 1, why="SLICE_END",
                    until=start + slice_ns, key=vm, other=vm % vms + 1, other_key=vm + 1,
                    runnable=vms)
        totals: Dict[str, Any] = dict(ticks=1, due=1, discarded=0)
        writer.emit("timer_due", vm=vm, delivered=0, backlog=1, **totals)
        writer.emit("timer_delivered", vm=vm, delivered=1, backlog=0, **totals)
        for i in range(pairs):
            begin = start + i * slice_ns // pairs
            writer.emit("entry", vm=vm, ns=begin, rip=0x100000 + i)
            reason = "INTR" if i == pairs - 1 else ("CPUID", "IO", "MSR", "NESTED")[i % 4]
            writer.emit("exit", vm=vm, ns=begin + slice_ns // pairs * 3 // 4, reason=reason,
                        rip=0x100008 + i)
    records = writer.buffers[0]
    starts = np.cumsum([0] + [len(r) // 8 for r in records[:-1]])
    totals_at = []
    for start, record in zip(starts.tolist(), records):
        number = struct.unpack_from("<H", record, 8)[0]
        if number in (EVENTS["timer_due"].number, EVENTS["timer_delivered"].number):
            totals_at += [start + 3, start + 4]  # due and delivered
    return np.frombuffer(b"".join(records), np.uint64), starts.tolist(), totals_at


def million_events(path: Union[str, Path], n: int = 1_000_000, pairs: int = 48) -> Path:
    """About `n` records of a run of three VMs, never fewer, in a second."""
    slice_ns = 10_000_000
    template, tsc_at, totals_at = _round_template(3, pairs, slice_ns)
    rounds = -(-n // len(tsc_at))
    body = np.tile(template, rounds).reshape(rounds, -1)
    count = np.arange(rounds, dtype=np.uint64)[:, None]
    body[:, tsc_at] += count * np.uint64(3 * slice_ns) + np.uint64(2_000_000)
    body[:, totals_at] += count
    writer = TraceWriter(path)
    writer.emit("trace_start", ns=0, pcpus=1, buffer=1 << 27)
    for vm, name in enumerate(("ticker -- hz=100", "ticker -- hz=250", "greedy"), start=1):
        writer.emit("vm_create", vm=vm, ns=vm * 1000, memory=16 << 20, args=name)
    writer.buffers[0].append(body.tobytes())
    return writer.save()
