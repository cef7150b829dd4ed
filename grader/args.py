"""The arguments of guests and the options of the machine (handouts/formats.md, section 4).

One table each; both are checked before a run starts, so that a typing error
costs a second and not a run.  Every error is an ArgError that names the word.
What a guest's own command line (after `--`) says is not looked at here.
"""
from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

PAGE = 4096
MAX_GPA = 1 << 48
MAX_SLOTS = 8
DEFAULT_MEMORY = "16M"
MAX_CHECK = 15
MAX_CHANGES = 4
SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
TIME_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
TRACE_WORDS = ("all", "some", "none", "off")
TRACE_GROUPS = ("walks", "io", "exits", "sched", "time", "memory")

Value = object
Slot = Tuple[int, int]  # first gPA, bytes


class ArgError(Exception):
    """A word of the arguments is wrong; the message is one sentence that names it."""


def parse_number(text: str) -> int:
    """A decimal or 0x-hexadecimal number."""
    if re.fullmatch(r"[0-9]+|0x[0-9a-fA-F]+", text) is None:
        raise ArgError(f"'{text}' is not a number")
    return int(text, 16 if text.startswith("0x") else 10)


def number_option(text: str) -> int:
    """The same as a type for argparse, which then tells the sentence."""
    try:
        return parse_number(text)
    except ArgError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_size(text: str) -> int:
    """A number of bytes: `16M`, `4096`, `0x1000`, `64K`."""
    match = re.fullmatch(r"([0-9]+|0x[0-9a-fA-F]+)([KMG]?)", text)
    if match is None:
        raise ArgError(f"'{text}' is not a size (a number with K, M or G, or without)")
    return parse_number(match[1]) * SIZE_UNITS[match[2]]


def parse_time(text: str) -> int:
    """A time in nanoseconds: `10ms`, `2s`."""
    match = re.fullmatch(r"([0-9]+)(ns|us|ms|s)", text)
    if match is None:
        raise ArgError(f"'{text}' is not a time (an integer with ns, us, ms or s)")
    return int(match[1]) * TIME_UNITS[match[2]]


def parse_slots(text: str, free: bool = True, taken: Tuple[Slot, ...] = ()) -> Tuple[Slot, ...]:
    """Memory slots `SIZE[@GPA][,SIZE@GPA]...`, in the order given; free: the first may do
    without @GPA; taken: slots that there are already."""
    slots: List[Slot] = list(taken)
    for part in text.split(","):
        size_text, at, gpa_text = part.partition("@")
        if not at and not free:
            raise ArgError(f"'{part}' needs an @GPA: only the first slot starts at 0 by itself")
        if len(slots) == MAX_SLOTS:
            raise ArgError(f"more than {MAX_SLOTS} slots")
        size, gpa, free = parse_size(size_text), parse_size(gpa_text) if at else 0, False
        if size == 0 or size % PAGE or gpa % PAGE:
            raise ArgError(f"'{part}' is not a multiple of 4K, or is empty")
        if gpa + size > MAX_GPA:
            raise ArgError(f"'{part}' ends above the 48-bit gPAs")
        if any(gpa < start + length and start < gpa + size for start, length in slots):
            raise ArgError(f"'{part}' overlaps a slot before it")
        slots.append((gpa, size))
    return tuple(slots[len(taken):])


def parse_regions(text: str, taken: Tuple[Slot, ...] = ()) -> Tuple[Slot, ...]:
    """Slots that are not for everything: each with its place, or none at all."""
    return parse_slots(text, False, taken) if text else ()


def parse_groups(text: str) -> Tuple[str, ...]:
    """Which groups of events are traced: one word, or a list of groups."""
    if text in TRACE_WORDS:
        return (text,)
    groups = tuple(text.split(","))
    for group in groups:
        if group not in TRACE_GROUPS:
            raise ArgError(f"'{group}' is no group of events: {', '.join(TRACE_GROUPS)}, "
                           f"or alone {', '.join(TRACE_WORDS)}")
    return groups


def parse_check(text: str) -> str:
    """The name of an entry check; which there are is known to the platform's backend alone."""
    if len(text) > MAX_CHECK:
        raise ArgError(f"'{text}' is no entry check")
    return text


def one_of(*words: str) -> Callable[[str], Value]:
    """A parser that takes one of these words."""
    def parse(text: str) -> Value:
        if text not in words:
            raise ArgError(f"'{text}' is none of: {', '.join(words)}")
        return text
    return parse


def between(low: str, high: str, parse_one: Callable[[str], int],
            why: str = "") -> Callable[[str], Value]:
    """A parser that takes what `parse_one` reads, from `low` to `high`; why: not others."""
    def parse(text: str) -> Value:
        value = parse_one(text)
        if not parse_one(low) <= value <= parse_one(high):
            raise ArgError(f"'{text}' is out of range: {low} to {high}{why}")
        return value
    return parse


@dataclass(frozen=True)
class Argument:
    """One key: how its values read in handouts/formats.md, its default, its parser."""

    name: str
    values: str
    default: str
    parse: Callable[[str], Value]


def _words(name: str, default: str, *words: str) -> Argument:
    return Argument(name, ", ".join(words), default, one_of(*words))


def _range(name: str, default: str, low: str, high: str,
           parse_one: Callable[[str], int], why: str = "") -> Argument:
    return Argument(name, f"{low} to {high}", default, between(low, high, parse_one, why))


TOO_SHORT = " (less would go into changing VMs)"
MOST_BORROWED = 1000            # bvt: times mcu_adv; 100 ms of run time
SHORTEST_WARP = 100 * TIME_UNITS["us"]


SCHED_ARGUMENTS: Tuple[Argument, ...] = (
    _range("weight", "256", "1", "65535", parse_number),
    _range("cap", "0", "0", "100", parse_number),
    _range("slice", "5ms", "5us", "10s", parse_time, TOO_SHORT),
    _range("period", "100ms", "10us", "10s", parse_time, TOO_SHORT),
    _range("extraweight", "0", "0", "65535", parse_number),
    _range("mcu_adv", "10", "1", "65535", parse_number),
    _range("warp", "0", "0", "65535000", parse_number),
    _range("warpl", "2s", "0s", "1000s", parse_time),
    _range("warpu", "1s", "0s", "1000s", parse_time),
    _words("extratime", "on", "off", "on"),
)

VM_ARGUMENTS: Tuple[Argument, ...] = (
    Argument("mem", "`SIZE[@GPA][,SIZE@GPA]...`", DEFAULT_MEMORY, parse_slots),
    Argument("rom", "`SIZE@GPA[,SIZE@GPA]...`, or empty", "", parse_regions),
    Argument("noexec", "`SIZE@GPA[,SIZE@GPA]...`, or empty", "", parse_regions),
    _words("mmu", "nested", "nested", "shadow", "vtlb"),
    _range("shadowpages", "1024", "32", "8192", parse_number),
    _words("boot", "auto", "auto", "multiboot", "raw"),
    _words("tsc", "wall", "wall", "apparent"),
    _words("pit", "wall", "wall", "apparent"),
    _words("ticks", "delay", "discard", "merge", "delay", "slew"),
    _range("restart", "0", "0", "1000000", parse_number),
    _words("checks", "count", "count", "ignore"),
    Argument("break", "the name of an entry check, or empty", "", parse_check),
    _range("watchdog", "0s", "0s", "1000s", parse_time),
    _words("exits", "none", "none", "rdtsc", "invlpg", "ud", "de"),
    *SCHED_ARGUMENTS,
    Argument("change", "`TIME:KEY=VALUE[,KEY=VALUE]...[/TIME:...]`", "", str),
)

MACHINE_OPTIONS: Tuple[Argument, ...] = (
    _words("sched", "rr", "rr", "bvt", "sedf", "credit"),
    _words("charge", "exact", "exact", "tick"),
    _range("slice", "10ms", "100us", "1s", parse_time),
    _range("time", "10s", "1us", "1000s", parse_time),
    _words("mmu", "nested", "nested", "shadow", "vtlb"),
    Argument("trace", f"{', '.join(TRACE_WORDS)} or a list of {', '.join(TRACE_GROUPS)} "
             "(comma-separated)", "all", parse_groups),
    _range("tracebuf", "64M", "1M", "192M", parse_size),
    _words("bench", "none", "none", "record", "sched"),
    _words("verify", "none", "none", "registers"),
)


@dataclass(frozen=True)
class Options:
    """The machine's options: all values (defaults included), and the words as given."""

    values: Dict[str, Value]
    text: str


@dataclass(frozen=True)
class Guest:
    """One guest: the name as given, all its VM arguments, and its own command line."""

    name: str
    values: Dict[str, Value]
    args: str  # as the bundle carries it: VM arguments, `--`, the guest's command line


def parse_options(text: str) -> Options:
    """The machine's options, for instance `sched=rr slice=10ms`."""
    words = _split(text, "the machine's options")
    return Options(_parse_words(words, MACHINE_OPTIONS, "option of the machine"), " ".join(words))


def parse_guest(text: str) -> Guest:
    """A guest: `NAME [VM arguments] [-- guest command line]`."""
    words = _split(text, "the guest")
    if not words or words[0] == "--" or "=" in words[0]:
        raise ArgError(f"'{text}' does not begin with the name of a guest")
    vm_words = words[1:words.index("--")] if "--" in words else words[1:]
    values = _parse_words(vm_words, VM_ARGUMENTS, "VM argument", hint=(
        "what is for the guest itself stands after --"), together=_slots)
    if values["mmu"] != "nested" and (values["rom"] or values["noexec"]):
        raise ArgError("rom and noexec are for mmu=nested")
    if not any(word.startswith("mem=") for word in vm_words):
        parse_slots(DEFAULT_MEMORY, True, _slots(vm_words))
    _check_together(values)
    _check_changes(values)
    parts = list(vm_words)
    if "--" in words:
        parts.append(re.split(r"(?:^| )(?=-- |--$)", text, maxsplit=1)[1].strip())
    return Guest(words[0], values, " ".join(parts))


def _slots(words: List[str]) -> Tuple[Slot, ...]:
    """The slots of mem, rom and noexec, each among those given before it."""
    slots: Tuple[Slot, ...] = ()
    for key, _, value in (word.partition("=") for word in words):
        if key == "mem":
            slots += parse_slots(value, True, slots)
        elif key in ("rom", "noexec"):
            slots += parse_regions(value, slots)
    return slots


def _check_together(values: Dict[str, Value]) -> None:
    if values["slice"] > values["period"]:
        raise ArgError(f"a slice of {values['slice']} ns is longer than its period of "
                       f"{values['period']} ns")
    for name in ("warpl", "warpu"):
        if 0 < values[name] < SHORTEST_WARP:
            raise ArgError(f"{name}={values[name]} is refused: 0s, or at least 100us, the "
                           "smallest run that costs")
    if values["warp"] > MOST_BORROWED * values["mcu_adv"]:
        raise ArgError(f"warp={values['warp']} is refused: at most {MOST_BORROWED} times mcu_adv, "
                       f"here {MOST_BORROWED * values['mcu_adv']}, so that nobody borrows more "
                       "than 100 ms of run time")


def _check_changes(values: Dict[str, Value]) -> None:
    """What the VM asks for later: each change comes on top of what holds before it."""
    text, held, before = str(values["change"]), dict(values), -1
    parts = text[:-1].split("/") if text.endswith("/") else text.split("/") if text else []
    for number, part in enumerate(parts):
        try:
            if number == MAX_CHANGES:
                raise ArgError(f"more than {MAX_CHANGES} changes")
            before = _check_change(part, held, before)
        except ArgError as error:
            raise ArgError(f"'change={text}': {error}") from None


def _check_change(part: str, held: Dict[str, Value], before: int) -> int:
    when, _, pairs = part.partition(":")
    try:
        at = parse_time(when)
    except ArgError:
        at = 1 << 64
    if at >= 1 << 64 or not pairs:
        raise ArgError(f"'{part}' is not TIME:KEY=VALUE,...")
    if at <= before:
        raise ArgError(f"'{part}' is not after the one before it")
    words = [word for word in pairs.split(",") if word]
    asked = _parse_words(words, SCHED_ARGUMENTS, "scheduling parameter")
    held.update({key: asked[key] for key in (word.partition("=")[0] for word in words)})
    _check_together(held)
    return at


def _split(text: str, what: str) -> List[str]:
    if not text.isprintable():
        raise ArgError(f"{what}: {text!r} has a character that cannot be printed")
    return text.split()


def _parse_words(words: List[str], table: Tuple[Argument, ...], kind: str,
                 hint: str = "", together: Callable[[List[str]], object] = len
                 ) -> Dict[str, Value]:
    """together: refuses words that do not go together, those read so far."""
    known = {argument.name: argument for argument in table}
    values = {argument.name: argument.parse(argument.default) for argument in table}
    seen = set()
    for number, word in enumerate(words, 1):
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            raise ArgError(f"'{word}' is no {kind}; there are: {', '.join(known)}"
                           + (f" ({hint})" if hint else ""))
        if key in seen:
            raise ArgError(f"'{word}': {key} is given twice")
        seen.add(key)
        try:
            values[key] = known[key].parse(value)
            together(words[:number])
        except ArgError as error:
            raise ArgError(f"'{word}': {error}") from None
    return values
