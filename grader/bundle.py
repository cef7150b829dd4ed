"""The bundle: the one file that carries what differs from run to run.

Written for every run and read by the kernel (kernel/bundle.c), as
handouts/formats.md, section 2 lays it out.  parse() refuses exactly what the
page says is refused and names the field; the kernel does the same.
What the strings mean is not looked at here: see grader/args.py.
"""
from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Tuple

MAGIC = b"NESTBND1"
VERSION = 1
MAX_SIZE = 64 << 20
MAX_GUESTS = 15
ALIGN = 4096
HEADER_SIZE = 624
ENTRY_SIZE = 576


@dataclass(frozen=True)
class Field:
    """One field of a structure: numbers are little-endian, strings zero-padded."""

    name: str
    offset: int
    size: int


HEADER: Tuple[Field, ...] = (
    Field("magic", 0, 8),
    Field("version", 8, 4),
    Field("size", 12, 4),
    Field("crc", 16, 4),
    Field("guests", 20, 4),
    Field("nonce", 24, 8),
    Field("seed", 32, 8),
    Field("clock_hz", 40, 8),
    Field("platform", 48, 24),
    Field("cmdline", 72, 512),
    Field("build_id", 584, 40),
)
ENTRY: Tuple[Field, ...] = (
    Field("image_off", 0, 4),
    Field("image_size", 4, 4),
    Field("name", 8, 40),
    Field("reserved", 48, 16),
    Field("args", 64, 512),
)
_HEADER = {field.name: field for field in HEADER}
_ENTRY = {field.name: field for field in ENTRY}


class BundleError(Exception):
    """A field cannot be what it is; the message names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


@dataclass(frozen=True)
class Image:
    """A guest: its name, its arguments (section 4 without the name), its file's bytes."""

    name: str
    args: str
    data: bytes


@dataclass(frozen=True)
class Bundle:
    """All that a run's bundle says."""

    nonce: int
    seed: int
    clock_hz: int
    platform: str
    cmdline: str
    build_id: str
    guests: Tuple[Image, ...]


def build(bundle: Bundle) -> bytes:
    """The bundle's bytes; BundleError if something does not fit."""
    if len(bundle.guests) > MAX_GUESTS:
        raise BundleError("guests", f"{len(bundle.guests)} of them, at most {MAX_GUESTS} fit")
    head = bytearray(HEADER_SIZE + ENTRY_SIZE * len(bundle.guests))
    body = bytearray()
    start = _round_up(len(head))
    for number, guest in enumerate(bundle.guests):
        offset = start + len(body)
        _put_entry(head, number, guest, offset)
        body += guest.data
        body += bytes(_round_up(len(body)) - len(body))
    size = start + len(body)
    if size > MAX_SIZE:
        raise BundleError("size", f"the guests take {size} bytes, at most {MAX_SIZE} fit")
    _put_header(head, bundle, size)
    whole = head + bytes(start - len(head)) + body
    seal(whole)
    return bytes(whole)


def seal(raw: bytearray) -> None:
    """Make the CRC fit the other bytes."""
    crc = _HEADER["crc"]
    _put_number(raw, 0, crc, 0, "crc")
    _put_number(raw, 0, crc, zlib.crc32(raw), "crc")


def parse(raw: bytes) -> Bundle:
    """What the bytes of a bundle say; BundleError names the first wrong field."""
    if len(raw) < HEADER_SIZE:
        raise BundleError("size", f"{len(raw)} bytes are too few for a header of {HEADER_SIZE}")
    if raw[:8] != MAGIC:
        raise BundleError("magic", f"{raw[:8]!r} instead of {MAGIC!r}")
    _expect(raw, "version", VERSION)
    _expect(raw, "size", len(raw))
    if len(raw) > MAX_SIZE:
        raise BundleError("size", f"{len(raw)} bytes, at most {MAX_SIZE} are allowed")
    crc = _HEADER["crc"]
    _expect(raw, "crc", zlib.crc32(raw[:crc.offset] + bytes(4) + raw[crc.offset + 4:]))
    count = _number(raw, 0, _HEADER["guests"])
    if count > MAX_GUESTS or HEADER_SIZE + count * ENTRY_SIZE > len(raw):
        raise BundleError("guests", f"{count} entries are too many")
    numbers = [_number(raw, 0, _HEADER[name]) for name in ("nonce", "seed", "clock_hz")]
    strings = [_string(raw, 0, _HEADER[name], name)
               for name in ("platform", "cmdline", "build_id")]
    guests = tuple(_entry(raw, number, count) for number in range(count))
    return Bundle(*numbers, *strings, guests)


def _put_header(out: bytearray, bundle: Bundle, size: int) -> None:
    out[:8] = MAGIC
    for name, value in (("version", VERSION), ("size", size), ("guests", len(bundle.guests)),
                        ("nonce", bundle.nonce), ("seed", bundle.seed),
                        ("clock_hz", bundle.clock_hz)):
        _put_number(out, 0, _HEADER[name], value, name)
    for name in ("platform", "cmdline", "build_id"):
        _put_string(out, 0, _HEADER[name], getattr(bundle, name), name)


def _put_entry(out: bytearray, number: int, guest: Image, offset: int) -> None:
    base, where = HEADER_SIZE + number * ENTRY_SIZE, f"guests[{number}]."
    if not guest.data:
        raise BundleError(where + "image_size", "the image is empty")
    _put_number(out, base, _ENTRY["image_off"], offset, where + "image_off")
    _put_number(out, base, _ENTRY["image_size"], len(guest.data), where + "image_size")
    _put_string(out, base, _ENTRY["name"], guest.name, where + "name")
    _put_string(out, base, _ENTRY["args"], guest.args, where + "args")


def _put_number(out: bytearray, base: int, field: Field, value: int, label: str) -> None:
    if not 0 <= value < 1 << (8 * field.size):
        raise BundleError(label, f"{value} does not fit {8 * field.size} bits")
    start = base + field.offset
    out[start:start + field.size] = value.to_bytes(field.size, "little")


def _put_string(out: bytearray, base: int, field: Field, text: str, label: str) -> None:
    raw = text.encode()
    if len(raw) >= field.size or b"\0" in raw:
        raise BundleError(label, f"'{text[:60]}' is longer than {field.size - 1} bytes, "
                          "or has a zero byte")
    start = base + field.offset
    out[start:start + len(raw)] = raw


def _number(raw: bytes, base: int, field: Field) -> int:
    start = base + field.offset
    return int.from_bytes(raw[start:start + field.size], "little")


def _string(raw: bytes, base: int, field: Field, label: str) -> str:
    start = base + field.offset
    text, zero, _ = raw[start:start + field.size].partition(b"\0")
    if not zero:
        raise BundleError(label, "no zero byte ends it")
    return text.decode("utf-8", "replace")


def _expect(raw: bytes, name: str, wanted: int) -> None:
    found = _number(raw, 0, _HEADER[name])
    if found != wanted:
        raise BundleError(name, f"{found:#x} instead of {wanted:#x}")


def _entry(raw: bytes, number: int, count: int) -> Image:
    base, where = HEADER_SIZE + number * ENTRY_SIZE, f"guests[{number}]."
    offset, size = (_number(raw, base, _ENTRY[name]) for name in ("image_off", "image_size"))
    if offset % ALIGN:
        raise BundleError(where + "image_off", f"{offset:#x} is no multiple of {ALIGN}")
    if offset < HEADER_SIZE + count * ENTRY_SIZE:
        raise BundleError(where + "image_off", f"{offset:#x} lies in the header")
    if offset > len(raw):
        raise BundleError(where + "image_off", f"{offset:#x} lies past the end")
    if size == 0 or offset + size > len(raw):
        raise BundleError(where + "image_size", f"{size:#x} bytes from {offset:#x} on "
                          "are none, or lie past the end")
    if _number(raw, base, _ENTRY["reserved"]):
        raise BundleError(where + "reserved", "is not 0")
    name, args = (_string(raw, base, _ENTRY[field], where + field) for field in ("name", "args"))
    return Image(name, args, raw[offset:offset + size])


def _round_up(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
