"""The first page of a trace file (handouts/formats.md, section 1.1).

Reads the header and the schema text and checks each field.  What makes the
file unreadable raises TraceError with one line; what can be worked around
becomes a warning.  Records are not looked at here; see viz/scan.py.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO, List, Optional, Tuple

from viz import schema as schema_text

MAGIC = b"NESTTRC1"
VERSION = 1
HEADER_SIZE = 4096
MAX_CPUS = 8
MAX_SCHEMA = 1 << 20
TRACE_ADDRESS = 0x10000000  # where the area lies in a file of the machine's RAM
DEFAULT_HZ = 1_000_000_000
_FIXED = struct.Struct("<8sIIQQQQQII40s24s512s")


class TraceError(Exception):
    """The file cannot be read as a trace; the message is one line."""


@dataclass(frozen=True)
class Buffer:
    """Where one CPU's records are: bytes `off` to `off + used` of the area."""

    cpu: int
    off: int
    size: int
    used: int
    dropped: int
    whole: bool = True  # False: the file ends before `used` bytes do


@dataclass(frozen=True)
class Header:
    """The header's fields as in the format, strings without their padding."""

    version: int
    cpus: int
    size: int
    clock_hz: int
    tsc_base: int
    nonce: int
    seed: int
    build_id: str
    platform: str
    cmdline: str
    schema_off: int
    schema_size: int
    buffers: Tuple[Buffer, ...]
    base: int  # of the area in the file: 0, or TRACE_ADDRESS in a RAM file
    file_size: int


def read(path: str) -> Tuple[Header, List[str]]:
    """Header of the trace at `path` and what is wrong with it."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            base = _find_base(file, path, size)
            file.seek(base)
            page = file.read(HEADER_SIZE)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    if len(page) < HEADER_SIZE:
        raise TraceError(f"{path}: {len(page)} bytes are too few for a header of {HEADER_SIZE}")
    return _decode(path, page, base, size)


def read_schema(path: str, header: Header) -> Tuple[schema_text.Schema, List[str]]:
    """The schema that the trace carries; TraceError if it has none that serves."""
    with open(path, "rb") as file:
        file.seek(header.base + header.schema_off)
        raw = file.read(header.schema_size)
    warnings = []
    if len(raw) < header.schema_size:
        warnings.append(f"the schema text is cut off after {len(raw)} of "
                        f"{header.schema_size} bytes")
    try:
        schema, damage = schema_text.parse(raw.rstrip(b"\0").decode("ascii", "replace"))
    except schema_text.SchemaError as error:
        raise TraceError(f"{path}: offset {header.schema_off}: {error}") from None
    return schema, warnings + damage


def _find_base(file: BinaryIO, path: str, size: int) -> int:
    if size == 0:
        raise TraceError(f"{path}: the file is empty")
    start = file.read(8)
    if start == MAGIC:
        return 0
    if size > TRACE_ADDRESS + HEADER_SIZE:
        file.seek(TRACE_ADDRESS)
        if file.read(8) == MAGIC:
            return TRACE_ADDRESS
    raise TraceError(
        f"{path}: not a trace: offset 0 holds {_printable(start)} instead of the magic NESTTRC1"
    )


def _printable(raw: bytes) -> str:
    return repr("".join(chr(b) if 32 <= b < 127 else "." for b in raw))


def _decode(path: str, page: bytes, base: int, file_size: int) -> Tuple[Header, List[str]]:
    (_, version, cpus, size, clock_hz, tsc_base, nonce, seed, schema_off, schema_size,
     build_id, platform, cmdline) = _FIXED.unpack_from(page)
    if version != VERSION:
        raise TraceError(f"{path}: offset 8: trace version {version}, this program reads {VERSION}")
    if not 1 <= cpus <= MAX_CPUS:
        raise TraceError(f"{path}: offset 12: {cpus} CPUs, expected 1 to {MAX_CPUS}")
    if schema_off < HEADER_SIZE or not 0 < schema_size <= MAX_SCHEMA:
        raise TraceError(f"{path}: offset 56: schema at {schema_off} with {schema_size} bytes "
                         "cannot be")
    if schema_off >= file_size - base:
        raise TraceError(f"{path}: cut off at {file_size - base} bytes, before the schema text "
                         f"at {schema_off}")
    warnings: List[str] = []
    if not 1000 <= clock_hz <= 10**10:
        warnings.append(f"offset 24: clock_hz {clock_hz} is not plausible; times assume 1 GHz")
        clock_hz = DEFAULT_HZ
    buffers = [Buffer(i, *struct.unpack_from("<4Q", page, 640 + 32 * i)) for i in range(cpus)]
    header = Header(version, cpus, size, clock_hz, tsc_base, nonce, seed, _text(build_id),
                    _text(platform), _text(cmdline), schema_off, schema_size,
                    tuple(buffers), base, file_size)
    usable = [_check_buffer(buffer, header, warnings) for buffer in buffers]
    return replace(header, buffers=tuple(b for b in usable if b)), warnings


def _check_buffer(buffer: Buffer, header: Header, warnings: List[str]) -> Optional[Buffer]:
    """The buffer with `used` cut to what can be true, or None when it is nowhere."""
    name, place = f"CPU {buffer.cpu}'s buffer", 640 + 32 * buffer.cpu
    if buffer.off < header.schema_off + header.schema_size or buffer.off % 8 \
            or buffer.off >= 1 << 48:
        warnings.append(f"offset {place}: {name} cannot start at {buffer.off}; "
                        "its records are missing")
        return None
    used, whole = buffer.used, True
    if used > buffer.size:
        warnings.append(f"offset {place + 16}: {name} claims {used} bytes in use of "
                        f"{buffer.size}; reading what makes sense")
        used = min(used, buffer.size) if buffer.size else used
    here = max(0, header.file_size - header.base - buffer.off)
    if used > here:
        warnings.append(f"{name}: the file ends {used - here} bytes before the records do "
                        f"(at {header.file_size - header.base}); the rest is missing")
        used, whole = here, False
    if buffer.dropped:
        warnings.append(f"{name} was full: {buffer.dropped} records were dropped")
    return Buffer(buffer.cpu, buffer.off, buffer.size, used, buffer.dropped, whole)


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")
