"""Questions about a real walk: what is hidden, the answer, and why it is so.

Each question hides places of the drawing (PLACES) and rests on others, which stay.  Its
`rule` leads to the answer without telling it; `why` tells it.  Wrong answers that come from
a known mistake have a sentence of their own.  What it does not do: ask (quiz.py), or draw.
Sources: AMD64 Manual vol. 2 (24593) and, for EPT, Intel SDM vol. 3C, as each question says.
"""
from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Dict, FrozenSet, Iterator, List, Tuple

from viz import walk_grid, walk_steps, walk_words
from viz.walk_data import FINAL, IN_WALK, U, W, Walk, WalkRef

PLACES = ("index N", "table N", "flags N", "size N", "row LEVEL", "field LEVEL", "gpa", "hpa",
          "known", "total", "circles", "tlb", "fault")
AMD, INTEL = "AMD64 Manual vol. 2", "Intel SDM vol. 3C"
FORMS = {"hex": "hexadecimal", "number": "a number", "size": "4K, 2M, 4M or 1G",
         "flags": "the letters of all that are set", "yes": "yes or no"}


@dataclass(frozen=True)
class Question:
    """One question; `answer` and the keys of `mistakes` are canonical(); {mark} in `prompt` is
    its letter on the picture.  Places are those of PLACES."""

    kind: str
    prompt: str
    form: str
    answer: str
    rule: str
    why: str
    manual: str
    hides: FrozenSet[str] = frozenset()     # its letter stands there
    needs: FrozenSet[str] = frozenset()
    covers: FrozenSet[str] = frozenset()    # hidden as well, since it would tell
    mistakes: Dict[str, str] = field(default_factory=dict)
    example: str = ""       # of the form, and not the answer


def canonical(form: str, text: str) -> str:
    """An answer as it is compared: `0X0035` and `35` are the same hexadecimal number."""
    text = text.strip().lower().replace("_", "")
    if form == "flags":
        return " ".join(sorted(set(re.findall(r"NX|PS|[^\s,]", text.upper()))))
    if form == "yes":
        return {"y": "yes", "n": "no"}.get(text, text)
    if form == "size":
        return text.upper().replace(" ", "").replace("IB", "").rstrip("B")
    digits = text[2:] if form == "hex" and text.startswith("0x") else text
    return digits.lstrip("0") or ("0" if digits else "")


def how(question: Question) -> str:
    """In which form the answer is given, in words."""
    return FORMS[question.form] + (f", such as {question.example}" if question.example else "")


def choose(walk: Walk, count: int, seed: int) -> List[Question]:
    """Up to `count` questions of all kinds in turn, none of which hides what another needs."""
    rng = random.Random(seed)
    piles: Dict[str, List[Question]] = {}
    for question in questions(walk):
        piles.setdefault(question.kind, []).append(question)
    for pile in piles.values():
        rng.shuffle(pile)
    order = sorted(piles)
    rng.shuffle(order)
    chosen: List[Question] = []
    while len(chosen) < count and any(piles.values()):
        for kind in order:
            if piles[kind] and len(chosen) < count:
                question = piles[kind].pop()
                chosen += [question] if all(_fit(question, other) for other in chosen) else []
    return chosen


def _fit(one: Question, other: Question) -> bool:
    return not ((one.hides | one.covers) & other.needs or (other.hides | other.covers) & one.needs
                or (one.hides - {"fault"}) & (other.hides | other.covers) or one.covers & other.hides)


def letters(chosen: List[Question]) -> List[str]:
    """A, B, C ...: how each question is called on the picture."""
    return [chr(ord("A") + i) for i in range(len(chosen))]


def prompts(chosen: List[Question]) -> List[str]:
    """What is asked, with the letters."""
    return [question.prompt.replace("{mark}", letter)
            for letter, question in zip(letters(chosen), chosen)]


def hidden(chosen: List[Question]) -> Dict[str, str]:
    """What stands on the picture instead: by place."""
    found: Dict[str, str] = {}
    for letter, question in zip(letters(chosen), chosen):
        for place in sorted(question.hides):
            found[place] = f"{found.get(place, '')}{letter}?"
        found.update({place: "?" for place in question.covers})
    return found


def questions(walk: Walk) -> Iterator[Question]:
    """All that can be asked of `walk`, in its order."""
    for make in (_indexes, _tables, _rows, _flags, _sizes, _ends, _counts, _allowed, _faults):
        for question in make(walk):
            question.mistakes.pop(question.answer, None)    # no mistake in this walk
            yield question


# --- Addresses -------------------------------------------------------------------------------

def bits(walk: Walk, ref: WalkRef) -> Tuple[int, int]:
    """High and low bit of the index in the address that `ref` translates."""
    wide = 10 if walk.width(ref) == 4 else 9
    low = 12 + wide * (ref.level - 1)
    short = ref.dim in ("GUEST", "SHADOW") and ref.level == 3 and walk.mode in ("PAE", "LEGACY32")
    return (31, 30) if short else (low + wide - 1, low)


def _of(address: int, high: int, low: int) -> int:
    return address >> low & (1 << high - low + 1) - 1


def _section(walk: Walk, ref: WalkRef) -> str:
    """Where the manual says how this table is walked."""
    if walk.is_ept(ref):
        return f"{INTEL}, 28.2.2"
    if ref.dim == "NESTED":
        return f"{AMD}, 15.25.5 and 5.3"
    return f"{AMD}, {'5.3' if walk.mode.startswith('LONG') else '5.2'}"


def _indexes(walk: Walk) -> Iterator[Question]:
    for ref in walk.refs:
        high, low = bits(walk, ref)
        obvious = ref.dim == "NESTED" and ref.index == 0
        if obvious or _of(ref.addr, high, low) != ref.index:
            continue
        kind = "gPA" if ref.dim == "NESTED" else "gVA"
        table = walk_words.table_name(ref.dim, ref.level)
        wrong = {}
        for name, at in (("the next level's", low - 9), ("the level's above", low + 9)):
            if 12 <= at <= 39:
                wrong[f"{_of(ref.addr, at + 8, at):x}"] = f"These are {name} bits."
        wrong[f"{ref.index * walk.width(ref):x}"] = (
            f"That is where the entry lies in its table: the index times {walk.width(ref)}.")
        places = {f"index {ref.n}"} | ({f"field {ref.level}"} if ref.dim == "GUEST" else set())
        row = "gpa" if not ref.serves and ref.dim == "NESTED" else f"row {ref.serves}"
        yield Question(
            "index", f"Which entry of the {table} table is read at {{mark}}: its index?",
            "hex", f"{ref.index:x}", f"The index is cut out of the {kind}: bits {high} to {low}.",
            f"Bits {high} to {low} of {kind} {ref.addr:#x} are {ref.index:#x}.",
            _section(walk, ref), frozenset(places),
            frozenset({row} if ref.dim == "NESTED" and walk.mode != "OFF" else ()), mistakes=wrong)


def _tables(walk: Walk) -> Iterator[Question]:
    """The hPA at which a guest table is found, by the nested entry before it."""
    for before, ref in zip(walk.refs, walk.refs[1:]):
        host = walk_steps.target(walk, before) + (before.addr & max(before.size - 1, 0) & ~0xFFF)
        if ref.dim != "GUEST" or before.dim != "NESTED" or ref.table != host:
            continue
        gpa = before.addr & ~0xFFF
        wrong = {f"{gpa:x}": "That is the gPA: where the guest believes it to be.",
                 f"{before.after:x}": "That is the entry with its flags; an address is aligned."}
        yield Question(
            "table", f"At which hPA does the gL{ref.level} table lie, at {{mark}}?", "hex", f"{host:x}",
            "The nested entry just before it maps the page that holds it: take its address, and "
            "for a large page what the gPA adds.",
            f"Reference {before.n} found that gPA {gpa:#x} is hPA {host:#x}.",
            _section(walk, before), frozenset({f"table {ref.n}"}),
            frozenset({f"flags {before.n}", f"row {ref.level}"}), mistakes=wrong)


def _rows(walk: Walk) -> Iterator[Question]:
    """The gPA of the next guest table, out of a guest entry."""
    grid = walk_grid.build(walk)
    if not grid.two_dimensional:
        return
    for ref in walk.refs:
        levels = {row.key for row in grid.rows}
        if ref.dim != "GUEST" or ref.size or ref.level - 1 not in levels:
            continue
        found = walk_steps.target(walk, ref)
        wrong = {f"{ref.after:x}": "That is the whole entry, flags included."}
        yield Question(
            "row", f"At which gPA does the gL{ref.level - 1} table begin, at {{mark}}?", "hex", f"{found:x}",
            f"The gL{ref.level} entry holds it: leave the flags out, bits 11 to 0 and 63 to 52.",
            f"The entry {ref.after:#x} without its flags is {found:#x}, a gPA: no guest knows "
            "where its memory lies.", _section(walk, ref), frozenset({f"row {ref.level - 1}"}),
            frozenset({f"table {ref.n}"}), mistakes=wrong)


# --- Entries ---------------------------------------------------------------------------------

def _flags(walk: Walk) -> Iterator[Question]:
    for ref in walk.refs:
        shown = walk_words.flags(walk, ref)
        names = [name for name, _ in shown]
        if len(names) < 2 or not all(name in "P W U A D PS NX R X".split() for name in names):
            continue
        on = [name for name, state in shown if state != "clear"]
        if not on:
            continue
        example = next(words for words in (f"{names[0]} {names[-1]}", names[0])
                       if words != " ".join(on))
        manual = f"{INTEL}, 28.2.2" if walk.is_ept(ref) else f"{AMD}, 5.4"
        where = "bits 0 to 2, 8 and 9, PS 7" if walk.is_ept(ref) else \
            "P 0, W 1, U 2, A 5, D 6, PS 7, NX 63"
        yield Question(
            "flags", f"Which flags does the entry at {{mark}} have, of "
            f"{', '.join(names)}?", "flags", canonical("flags", " ".join(on)),
            f"They are bits of the entry: {where}.",
            f"In {ref.after:#x} are set: {' '.join(on)}.", manual,
            frozenset({f"flags {ref.n}"}), frozenset(), example=example)


def _sizes(walk: Walk) -> Iterator[Question]:
    for ref in walk.refs:
        if not ref.size or ref.level == 1:
            continue
        right = walk_words.size_name(ref.size)
        yield Question(
            "size", "How large is the page that the entry at {mark} maps?", "size",
            right, "An entry with PS = 1 maps a page itself, as large as all that the next table "
            "could have mapped.",
            f"PS is set at level {ref.level}: a page of {right}.", _section(walk, ref),
            frozenset({f"size {ref.n}"}), frozenset({f"flags {ref.n}"}),
            frozenset({"tlb"}), {"4K": "A 4K page is mapped by an entry of level 1."})
    leaves = [ref.size for ref in walk.refs if ref.size and not ref.serves]
    if walk.complete and not walk.faulted and len(set(leaves)) > 1:
        right, other = (walk_words.size_name(pick(leaves)) for pick in (min, max))
        yield Question(
            "size", "As a page of which size can a TLB hold this translation?", "size", right,
            "It holds gVA to hPA in one entry: all of it must be one piece in both dimensions.",
            f"The smaller of both pages counts, {right}: the larger is splintered.",
            f"{AMD}, 5.5", frozenset({"tlb"}), frozenset(
                f"size {ref.n}" for ref in walk.refs if ref.size and not ref.serves),
            mistakes={other: "Around it the other dimension has only smaller pieces."})


def _allowed(walk: Walk) -> Iterator[Question]:
    guest = [ref for ref in walk.refs if ref.dim == "GUEST" and not (
        walk.mode == "PAE" and ref.level == 3)]
    if not guest or not guest[-1].size:
        return
    lacking = [walk_steps.name(ref) for ref in guest if ref.before & (U | W) != (U | W)]
    why = f"Not all entries have U and W: {', '.join(lacking)}." if lacking else \
        "All of its entries on the way have U and W."
    yield Question(
        "allowed", "May a user write to this page, as far as the guest's own tables say?", "yes",
        "no" if lacking else "yes",
        "All entries of the guest's tables on the way must allow it, U and W.", why,
        f"{AMD}, 5.6", frozenset(), frozenset(f"flags {ref.n}" for ref in guest))


# --- The whole -------------------------------------------------------------------------------

def _ends(walk: Walk) -> Iterator[Question]:
    if not walk.complete or walk.faulted or walk.kind not in ("NESTED", "SHADOW"):
        return
    leaves = {dim: ref for ref in walk.refs for dim in (ref.dim,) if ref.size and not ref.serves}
    guest, host = leaves.get("GUEST"), leaves.get("NESTED") or leaves.get("SHADOW")
    if guest:
        yield _address(walk, guest, "gPA", walk.gpa, walk.gva, "gpa", frozenset({
            f"table {guest.n}", f"flags {guest.n}", f"size {guest.n}"}))
    if host:
        start = walk.gva if host.dim == "SHADOW" else walk.gpa
        yield _address(walk, host, "hPA", walk.hpa, start, "hpa", frozenset({
            f"table {host.n}", f"flags {host.n}", f"size {host.n}"} | (
                {"gpa"} if host.dim == "NESTED" else set())))


def _address(walk: Walk, leaf: WalkRef, kind: str, right: int, start: int, place: str,
             needs: FrozenSet[str]) -> Question:
    """What the last entry of a dimension gives."""
    low = leaf.size.bit_length() - 1
    frame = right & -leaf.size
    wrong = {f"{frame:x}": "That is where the page begins; the offset is missing.",
             f"{leaf.after:x}": "That is the entry with its flags."}
    return Question(
        place, f"To which {kind} does the address lead, at {{mark}}?", "hex", f"{right:x}",
        f"The address in the last entry and the offset, bits {low - 1} to 0 of the address that "
        "is translated.", f"Page {frame:#x} and offset {start & (leaf.size - 1):#x} make "
        f"{right:#x}.", _section(walk, leaf), frozenset({place}), needs, mistakes=wrong)


def _counts(walk: Walk) -> Iterator[Question]:
    grid = walk_grid.build(walk)
    if not walk.complete or walk.faulted or not grid.two_dimensional or not walk.gpa_refs:
        return
    levels, last = len(grid.rows) - 1, len(grid.rows[-1].cells)
    known, total = walk.gpa_refs, len(walk.refs)
    once = {str(levels + last): "Each guest table has a gPA, too: it must be found before it is "
            "read.", str(levels): "These are the guest's tables alone."}
    manual = f"{INTEL}, 28.2.2" if walk.format == "EPT" else f"{AMD}, 15.25.5"
    rule = "Count: for each guest table the nested entries that find it, and its own entry"
    yield Question(
        "count", "After how many references is the gPA known, at {mark}?", "number", str(known), rule + ".",
        f"{levels} guest tables, each found and read: {known}.", manual,
        frozenset({"known"}), covers=frozenset({"circles"}), mistakes={
            **once, str(total): "Then even the hPA is known."})
    yield Question(
        "count", "After how many references is the hPA known, at {mark}?", "number", str(total),
        rule + "; then the nested entries that find the data.",
        f"{known} until the gPA is known, and {last} more to find it in memory: {total}.", manual,
        frozenset({"total"}), covers=frozenset({"circles"}), mistakes={
            **once, str(known): "Then the gPA is known: a place in what the guest calls memory."})


def _faults(walk: Walk) -> Iterator[Question]:
    at = walk_words.failing(walk)
    if at < 0:
        return
    ref = walk.refs[at]
    story = walk_words.fault_story(walk)
    hides = frozenset({"fault"})
    wrong = {} if at == len(walk.refs) - 1 else {
        str(walk.refs[-1].n): "It is the last one, but another entry forbids the access."}
    access = walk_words.access_words(walk.access)
    manual = (f"{INTEL}, 28.2.3" if walk.is_ept(ref) else f"{AMD}, 15.25.6"
              if ref.dim == "NESTED" else f"{AMD}, 5.6")
    yield Question(
        "fault", f"The walk of a {access} ends in a fault. Which reference read the entry that is "
        "to blame?", "number", str(ref.n),
        "Look for an entry that is not present, or one that forbids this access. A guest's "
        "permissions are judged when all levels are known.",
        f"{story[0]} {story[1]}", manual, hides, frozenset({f"flags {ref.n}", "circles"}), mistakes=wrong)
    if not walk.is_ept(ref) and walk.fault not in ("NO_MEMORY", "LIMIT"):
        code = walk.error & ~(FINAL | IN_WALK)
        yield Question(
            "error", "Which error code does the fault have, bits 4 to 0?", "hex", f"{code:x}",
            "Bit 0: the entry was present; 1: a write; 2: as a user; 3: a reserved bit was set; "
            "4: an instruction fetch. Nested accesses count as a user's.",
            f"Error code {code:#x}: {'; '.join(walk_words.error_bits(walk))}.",
            f"{AMD}, 8.4.2" + (" and 15.25.6" if ref.dim == "NESTED" else ""), hides,
            frozenset({f"flags {ref.n}"}))
