"""A trace in memory: load(path) gives a Trace with numpy arrays over all records.

The per-CPU buffers are merged by time.  The payload stays in the mapped file
and is fetched field by field, so a trace of millions of records needs few
bytes a record.  What is missing or damaged is said in Trace.warnings.
Format: handouts/formats.md, section 1; damage: viz/scan.py, viz/header.py.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Tuple, Union

import numpy as np

from viz import header as header_page
from viz import scan
from viz.header import Header, TraceError
from viz.schema import Event, Schema

__all__ = ["WHERE", "Header", "Records", "Trace", "TraceError", "announce", "load"]

NAME = "trace.bin"
WHERE = f"a run's folder, or its {NAME}"  # as the help of every command says
SHOWN = 5  # damaged places named one by one; the others are counted


@dataclass
class _Columns:
    """The header words of the records, before they become a Trace."""

    tsc: np.ndarray
    meta: np.ndarray
    payload: np.ndarray


class Records:
    """All records of one event, in the order of the trace.

    rec["field"] is a uint64 array; words that a record lacks count as 0.
    """

    def __init__(self, trace: "Trace", event: Optional[Event], index: np.ndarray) -> None:
        self.trace, self.event, self.index = trace, event, index

    def __len__(self) -> int:
        return len(self.index)

    @property
    def ns(self) -> np.ndarray:
        return self.trace.ns[self.index]

    @property
    def tsc(self) -> np.ndarray:
        return self.trace.tsc[self.index]

    @property
    def vm(self) -> np.ndarray:
        return self.trace.vm[self.index]

    @property
    def vcpu(self) -> np.ndarray:
        return self.trace.vcpu[self.index]

    @property
    def pcpu(self) -> np.ndarray:
        return self.trace.pcpu[self.index]

    def where(self, mask: np.ndarray) -> "Records":
        """The records at which `mask` (one bool or position each) holds."""
        return Records(self.trace, self.event, self.index[mask])

    def __getitem__(self, field: str) -> np.ndarray:
        if self.event is None:
            return np.zeros(len(self), np.uint64)
        try:
            return self.trace.payload_word(self.index, self.event.position(field))
        except KeyError as error:
            self.trace.warn(f"{error.args[0]}; taken as 0")
            return np.zeros(len(self), np.uint64)

    def word(self, field: str) -> List[str]:
        """The enum words of a field, one string each; plain types as shown to humans."""
        values = self[field]
        if self.event is None or not len(values):
            return []
        types = dict(self.event.fields)
        kinds, inverse = np.unique(values, return_inverse=True)
        words = [self.trace.schema.show(types.get(field, "dec"), int(v)) for v in kinds]
        return [words[i] for i in inverse]

    def text(self, i: int) -> str:
        """The text of the i-th of these records."""
        return self.trace.text(int(self.index[i]))


class Trace:
    """All records of a run; arrays have one item a record, in time order."""

    def __init__(self, path: str, header: Header, schema: Schema, warnings: List[str],
                 words: np.ndarray, columns: _Columns) -> None:
        self.path, self.header, self.schema, self.warnings = path, header, schema, warnings
        self.dropped = sum(buffer.dropped for buffer in header.buffers)
        meta = columns.meta
        self.tsc = columns.tsc
        self.event = (meta & np.uint64(0xFFFF)).astype(np.uint16)
        self.vm = (meta >> np.uint64(16)).astype(np.uint16)
        self.vcpu = (meta >> np.uint64(32)).astype(np.uint8)
        self.pcpu = (meta >> np.uint64(40)).astype(np.uint8)
        self.words = (meta >> np.uint64(48)).astype(np.uint8)
        self.flags = (meta >> np.uint64(56)).astype(np.uint8)
        self.payload_index = columns.payload
        self._file_words = words
        self.ns = self._to_ns(columns.tsc)
        self.whole = not warnings       # nothing is missing or damaged, whatever is remarked later

    def __len__(self) -> int:
        return len(self.tsc)

    @property
    def t0(self) -> int:
        """Time of the first record in ns."""
        return int(self.ns[0]) if len(self) else 0

    @property
    def t1(self) -> int:
        """Time of the last record in ns."""
        return int(self.ns[-1]) if len(self) else 0

    def warn(self, sentence: str) -> None:
        """Note something missing, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def caveats(self, most: int = 5) -> List[str]:
        """For a picture: the first sentences about what is missing or damaged."""
        more = len(self.warnings) - most
        return self.warnings[:most] + ([f"... and {more} more of the kind"] if more > 0 else [])

    def _to_ns(self, tsc: np.ndarray) -> np.ndarray:
        """Virtual time as int64, rounded down, exact for any clock up to 10 GHz."""
        hz, base = self.header.clock_hz, self.header.tsc_base
        if len(tsc) and not 0 <= int(tsc[0]) - base <= scan.DAY_SECONDS * hz:
            self.warn(f"offset 32: tsc_base {base} does not fit the first record's tsc "
                      f"{int(tsc[0])}; times count from the first record")
            base = int(tsc[0])
        ticks = tsc - np.uint64(base)
        if hz == 1_000_000_000:
            return ticks.astype(np.int64)
        second, rest = np.divmod(ticks, np.uint64(hz))
        giga = np.uint64(1_000_000_000)
        return (second * giga + rest * giga // np.uint64(hz)).astype(np.int64)

    def select(self, name: str) -> Records:
        """All records of the event `name`; none when the schema lacks it."""
        event = self.schema.by_name.get(name)
        if event is None:
            return Records(self, None, np.empty(0, np.int64))
        return Records(self, event, np.flatnonzero(self.event == event.number))

    def payload_word(self, index: np.ndarray, k: int) -> np.ndarray:
        """Payload word `k` of the records at `index`, 0 where there is none."""
        have = self.words[index] > k
        place = np.where(have, self.payload_index[index] + k, 0)
        return np.where(have, self._file_words[place], np.uint64(0))

    def payload(self, i: int) -> Tuple[int, ...]:
        """All payload words of record `i`, known fields or not."""
        start = int(self.payload_index[i])
        return tuple(self._file_words[start:start + int(self.words[i])].tolist())

    def text(self, i: int) -> str:
        """The text that ends record `i`, '' when it has none."""
        event = self.schema.by_number.get(int(self.event[i]))
        if event is None or event.text is None:
            return ""
        start = int(self.payload_index[i])
        raw = self._file_words[start + len(event.fields):start + int(self.words[i])].tobytes()
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    def record(self, i: int) -> Dict[str, Union[int, str]]:
        """Record `i` for humans: enums as words, other fields as numbers."""
        number = int(self.event[i])
        result: Dict[str, Union[int, str]] = {
            "ns": int(self.ns[i]), "vm": int(self.vm[i]), "vcpu": int(self.vcpu[i]),
            "pcpu": int(self.pcpu[i]), "event": self.schema.event_name(number)}
        event = self.schema.by_number.get(number)
        if event is None:
            return result
        words = self.payload(i)
        for k, (name, type_name) in enumerate(event.fields):
            value = words[k] if k < len(words) else 0
            is_enum = type_name in self.schema.enums
            result[name] = self.schema.word(type_name, value) if is_enum else value
        if event.text is not None:
            result["text"] = self.text(i)
        return result

    def vms(self) -> Dict[int, str]:
        """Number -> name of each VM: the first word given at its creation.

        A VM whose creation is missing counts if it has more than a stray record.
        """
        names: Dict[int, str] = {}
        created = self.select("vm_create")
        for i, vm in enumerate(created.vm.tolist()):
            names.setdefault(vm, _guest_name(created.text(i), vm))
        numbers, counts = np.unique(self.vm, return_counts=True)
        strange = {vm: count for vm, count in zip(numbers.tolist(), counts.tolist())
                   if vm and vm not in names}
        if names and strange:
            shown = ", ".join(str(vm) for vm in list(strange)[:SHOWN])
            self.warn(f"{len(strange)} VMs appear in records but their creation does not: VM "
                      f"{shown}" + (" ..." if len(strange) > SHOWN else ""))
        enough = max(2, len(self) // 1000) if names else 1
        names.update({vm: f"vm{vm}" for vm, count in strange.items() if count >= enough})
        return dict(sorted(names.items()))

    def need_vms(self, *wanted: int) -> None:
        """TraceError if there is no VM with one of these numbers."""
        known = self.vms()
        for vm in wanted:
            if vm not in known:
                there = ", ".join(map(str, known)) or "none"
                raise TraceError(f"{self.path}: there is no VM {vm} (there are: {there})")


def _guest_name(text: str, vm: int) -> str:
    words = text.split()
    name = os.path.basename(words[0].rstrip("/")) if words else ""
    return (name[:-4] if name.endswith(".elf") else name) or f"vm{vm}"


def announce(trace: Trace) -> None:
    """Say on stderr what is missing or damaged, one line each."""
    for sentence in trace.warnings:
        print(f"{trace.path}: {sentence}", file=sys.stderr)


def file_of(path: str) -> str:
    """The trace that `path` stands for: that file, or the one in that run's folder."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        return path
    if not os.path.exists(os.path.join(path, NAME)):
        raise TraceError(f"{path}: the folder holds no {NAME}")
    return os.path.join(path, NAME)


def load(path: str) -> Trace:
    """Read the trace at `path`, or in that folder; TraceError if nothing in it can be read."""
    path = file_of(path)
    header, warnings = header_page.read(path)
    try:
        schema, damage = header_page.read_schema(path, header)
        usable = (header.file_size - header.base) // 8
        words = np.asarray(np.memmap(path, np.uint64, "r", offset=header.base, shape=(usable,)))
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: {error}") from None
    warnings += damage
    parts = [_read_buffer(words, buffer, header, schema, warnings) for buffer in header.buffers]
    if not any(len(part.tsc) for part in parts):
        warnings.append("the trace holds no record that can be read")
    return Trace(path, header, schema, warnings, words, _merge(parts))


def _read_buffer(words: np.ndarray, buffer: header_page.Buffer, header: Header, schema: Schema,
                 warnings: List[str]) -> _Columns:
    first = buffer.off // 8
    own = words[first:first + buffer.used // 8]
    found = scan.scan(own, scan.Shape(schema, buffer.cpu, buffer.whole))
    places = found.positions
    tsc, moved = scan.order_times(own[places], header.clock_hz)
    name = f"CPU {buffer.cpu}"
    warnings += [f"{name}: {text}" for text in _describe(found, own, buffer)]
    warnings += _list_places(f"{name}: the time of a record at offset {{}} cannot be; it was "
                             "given that of the record before it",
                             (buffer.off + 8 * int(places[i]) for i in moved), len(moved))
    meta = own[places + 1]
    for i in np.flatnonzero(np.isin(places, list(found.lengths))):
        length = found.lengths[int(places[i])]
        meta[i] = (int(meta[i]) & ~(0xFF << 48)) | (min(length, 255) << 48)
    return _Columns(tsc, meta, places + 2 + first)


def _describe(found: scan.Found, own: np.ndarray, buffer: header_page.Buffer) -> List[str]:
    """What the scan of a buffer met, in sentences with file offsets."""
    at = buffer.off
    result = _list_places("bytes {} make no sense and were skipped",
                          (f"{at + 8 * a} to {at + 8 * b}" for a, b in found.gaps),
                          len(found.gaps))
    result += _list_places("the record at offset {} has an unknown event, CPU or length",
                           (at + 8 * place for place in found.odd), len(found.odd))
    left = "the {} bytes from offset {} on were not read"
    for place, reason in ((found.half_written, "a record has no event number (half written)"),
                          (found.cut, "a record is cut off or damaged"),
                          (found.given_up, "too much is damaged")):
        if place >= 0:
            result.append(f"{reason}; " + left.format(8 * (len(own) - place), at + 8 * place))
    return result


def _list_places(sentence: str, places: Iterator, count: int) -> List[str]:
    named = [sentence.format(place) for place, _ in zip(places, range(SHOWN))]
    if count > SHOWN:
        named.append(f"... and the same at {count - SHOWN} other places")
    return named


def _merge(parts: List[_Columns]) -> _Columns:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return _Columns(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64))
    tsc = np.concatenate([part.tsc for part in parts])
    order = np.argsort(tsc, kind="stable")
    return _Columns(tsc[order], np.concatenate([p.meta for p in parts])[order],
                    np.concatenate([p.payload for p in parts])[order])
