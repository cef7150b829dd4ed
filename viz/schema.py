"""The schema text of a trace: which events there are and what their words mean.

Builds its tables from the text that each trace carries (handouts/formats.md,
section 1.3).  It knows no event in advance and never parses C.  Lines that
cannot be understood become warnings, so a damaged schema still gives the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

FIRST_LINE = "nestling-schema 1"
PLAIN_TYPES = ("dec", "int", "hex", "bool", "ns", "tsc", "bytes", "gva", "gpa", "hpa", "vm")
HEX_TYPES = ("hex", "gva", "gpa", "hpa")


class SchemaError(ValueError):
    """The schema as a whole cannot be used; the message is one line."""


@dataclass(frozen=True)
class Event:
    """One event: `fields` are (name, type) pairs, one payload word each."""

    number: int
    name: str
    fields: Tuple[Tuple[str, str], ...]
    text: Optional[str]
    doc: str

    def position(self, name: str) -> int:
        """Payload word of field `name`; KeyError names the event's fields."""
        for i, (field_name, _) in enumerate(self.fields):
            if field_name == name:
                return i
        known = ", ".join(f for f, _ in self.fields) or "none"
        raise KeyError(f"event {self.name} has no field {name!r} (it has: {known})")


@dataclass
class Schema:
    """Events by name and by number, enums as {name: {value: word}}."""

    by_number: Dict[int, Event] = field(default_factory=dict)
    by_name: Dict[str, Event] = field(default_factory=dict)
    enums: Dict[str, Dict[int, str]] = field(default_factory=dict)
    damaged: bool = False  # a line was left out: events may be missing here

    def event_name(self, number: int) -> str:
        event = self.by_number.get(int(number))
        return event.name if event else f"unknown_{int(number)}"

    def word(self, enum: str, value: int) -> str:
        """The word for an enum's value; an unknown value is shown as a number."""
        return self.enums.get(enum, {}).get(int(value), str(int(value)))

    def value(self, enum: str, word: str) -> Optional[int]:
        """The number behind a word of an enum, None if there is none."""
        for number, known in self.enums.get(enum, {}).items():
            if known == word:
                return number
        return None

    def show(self, type_name: str, value: int) -> str:
        """A payload word as a human reads it."""
        if type_name in self.enums:
            return self.word(type_name, value)
        if type_name in HEX_TYPES:
            return hex(int(value))
        if type_name == "bool":
            return "yes" if value else "no"
        if type_name == "int" and int(value) >= 1 << 63:
            return str(int(value) - (1 << 64))
        return str(int(value))


def parse(text: str) -> Tuple[Schema, List[str]]:
    """The schema in `text` and a warning for each line not understood."""
    lines = text.split("\n")
    warnings = _check_first(lines[0].strip())
    schema = Schema()
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            _parse_line(schema, line)
        except ValueError as error:
            warnings.append(f"schema line {number} is damaged and was left out: {error}")
    if not schema.by_number:
        raise SchemaError("the schema text defines no event")
    schema.damaged = bool(warnings)
    warnings += _check_types(schema)
    return schema, warnings


def _check_first(line: str) -> List[str]:
    if line == FIRST_LINE:
        return []
    if line.startswith("nestling-schema "):
        raise SchemaError(f"the schema is {line!r}, this program reads {FIRST_LINE!r}")
    return [f"the schema's first line is {line[:40]!r}, not {FIRST_LINE!r}"]


def _parse_line(schema: Schema, line: str) -> None:
    if line.startswith("enum "):
        _parse_enum(schema, line.split()[1:])
    elif line.startswith("event "):
        _parse_event(schema, line[len("event "):])
    else:
        raise ValueError(f"{line[:40]!r} is neither enum nor event")


def _parse_enum(schema: Schema, words: List[str]) -> None:
    if not words:
        raise ValueError("an enum without a name")
    values: Dict[int, str] = {}
    for word in words[1:]:
        value, colon, name = word.partition(":")
        if not colon or not name:
            raise ValueError(f"{word[:40]!r} in enum {words[0][:40]} is not VALUE:WORD")
        values[_number(value)] = name
    schema.enums[words[0]] = values


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise ValueError(f"{text[:40]!r} is not a number")
    return int(text)


def _parse_event(schema: Schema, line: str) -> None:
    head, _, doc = line.partition("|")
    words = head.split()
    if len(words) < 2:
        raise ValueError("an event without number and name")
    number, name = _number(words[0]), words[1]
    if not 0 < number < 65536:
        raise ValueError(f"event number {number} is out of range")
    if number in schema.by_number or name in schema.by_name:
        raise ValueError(f"event {number} {name} is there twice")
    fields, text = _parse_fields(words[2:])
    event = Event(number, name, fields, text, doc.strip())
    schema.by_number[number] = event
    schema.by_name[name] = event


def _parse_fields(words: List[str]) -> Tuple[Tuple[Tuple[str, str], ...], Optional[str]]:
    fields: List[Tuple[str, str]] = []
    text: Optional[str] = None
    for word in words:
        name, colon, type_name = word.partition(":")
        if not colon or not name or not type_name:
            raise ValueError(f"{word[:40]!r} is not FIELD:TYPE")
        if text is not None:
            raise ValueError(f"field {name[:40]!r} follows the text field")
        if type_name == "text":
            text = name
        else:
            fields.append((name, type_name))
    return tuple(fields), text


def _check_types(schema: Schema) -> List[str]:
    """A type that is neither plain nor an enum is read as a number, and said."""
    unknown = {
        (event.name, name, type_name)
        for event in schema.by_number.values()
        for name, type_name in event.fields
        if type_name not in PLAIN_TYPES and type_name not in schema.enums
    }
    return [
        f"field {name} of event {event} has the unknown type {type_name!r}; shown as a number"
        for event, name, type_name in sorted(unknown)
    ]
