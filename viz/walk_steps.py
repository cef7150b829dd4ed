"""A walk in words: each reference in a sentence, and why there are as many as there are.

The sentences say what an entry gave and what that is good for; the sum goes by the
rows of walk_grid.py.  What it does not do: draw, or judge whether the walk is right.
After the AMD64 manual, volume 2 (24593), sections 5.3 and 15.25, and for EPT Intel's SDM,
volume 3C, 28.2.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

from viz import walk_grid, walk_words
from viz.walk_data import ADDRESS, Walk, WalkRef
from viz.walk_grid import DATA, PAIR, Row

ADDRESS32 = 0xFFFFF000


@dataclass(frozen=True)
class Part:
    """One row of the sum: what it is for and how many references it takes; `nested` counts all
    that are not of the guest's tables: nested ones, or shadow ones."""

    what: str
    nested: int
    guest: int
    first: int
    last: int


def target(walk: Walk, ref: WalkRef) -> int:
    """The address in an entry: of the next table, or of the page that it maps."""
    mask = ADDRESS32 if walk.width(ref) == 4 else ADDRESS
    return ref.before & mask & ~(max(ref.size, 1) - 1)


def name(ref: WalkRef) -> str:
    return f"{walk_words.table_name(ref.dim, ref.level)}[{ref.index:#x}]"


def sentences(walk: Walk) -> List[str]:
    """One sentence or two for each reference, in their order."""
    failing = walk_words.failing(walk)
    result = []
    for i, ref in enumerate(walk.refs):
        if i == failing:
            result.append(f"{name(ref)}: {walk_words.fault_words(walk)}. "
                          "The walk ends in a fault.")
        else:
            result.append(_meaning(walk, ref) + _gained(walk, ref))
    return result


def _meaning(walk: Walk, ref: WalkRef) -> str:
    if ref.dim == "NESTED":
        return _nested(walk, ref)
    if ref.dim == "SEGMENT":
        return f"The segment that holds gPA {ref.addr:#x}: entry {ref.before:#x}."
    one = walk.kind == "ONE" or ref.dim == "SHADOW"
    kind = "hPA" if one else "gPA"
    pair = walk_grid.is_pair(walk)
    if not ref.size:
        below = walk_words.table_name(ref.dim, ref.level - 1)
        rest = "" if one else (" Its memory slot tells where that lies." if pair else
                               " Where that lies in memory the next row finds out.")
        return f"{name(ref)} says: the {below} table is at {kind} {target(walk, ref):#x}.{rest}"
    where = f"{name(ref)} maps a {walk_words.size_name(ref.size)} page at " \
            f"{kind} {target(walk, ref):#x}"
    if one:
        after = sum(other.dim == ref.dim for other in walk.refs)
        return f"{where}: hPA {walk.hpa:#x} is known after {after}."
    gpa = target(walk, ref) + (walk.gva & (ref.size - 1))
    rest = "The shadow holds its hPA" if pair else "Where that lies the last row finds out"
    return f"{where}, so the address means gPA {gpa:#x}: known after {ref.n}. {rest}."


def _nested(walk: Walk, ref: WalkRef) -> str:
    if not ref.size:
        below = walk_words.table_name(ref.dim, ref.level - 1)
        return f"{name(ref)} says: the {below} table is at hPA {target(walk, ref):#x}."
    host = target(walk, ref) + (ref.addr & (ref.size - 1))
    found = f"{name(ref)} maps a {walk_words.size_name(ref.size)} page: gPA {ref.addr:#x} is " \
            f"hPA {host:#x}"
    if ref.serves:
        return f"{found}. Now the gL{ref.serves} entry can be read."
    return f"{found}, the data: known after {ref.n}."


def _gained(walk: Walk, ref: WalkRef) -> str:
    gained = [flag for flag, state in walk_words.flags(walk, ref) if state == "gained"]
    return f" The walk sets {' and '.join(gained)} in it." if gained else ""


def parts(walk: Walk) -> List[Part]:
    """The rows of the sum."""
    grid = walk_grid.build(walk)
    return [_part(walk, row, grid.two_dimensional) for row in grid.rows]


def _part(walk: Walk, row: Row, two: bool) -> Part:
    refs = [cell.ref for cell in row.cells]
    guest = sum(ref.dim == "GUEST" for ref in refs)
    what = "translate the address"
    if row.key == PAIR:
        what = ("the guest's own tables, read by the VMM" if guest else
                "the shadow, walked by the processor")
    if two:
        what = "find the data" if row.key == DATA else f"find and read the gL{row.key} table"
    return Part(what, len(refs) - guest, guest, refs[0].n, refs[-1].n)


def formula(walk: Walk) -> Optional[str]:
    """(g + 1) x (n + 1) - 1, where it is that regular and the walk went to its end."""
    rows = parts(walk)
    if not walk.complete or walk.faulted or len(rows) < 2 or walk_grid.is_pair(walk):
        return None
    levels, nested = len(rows) - 1, rows[-1].nested
    regular = all(row.nested == nested for row in rows) and all(row.guest for row in rows[:-1])
    total = (levels + 1) * (nested + 1) - 1
    if not regular or total != len(walk.refs):
        return None
    return f"({levels} + 1) × ({nested} + 1) − 1 = {total}"


def other_tables(walk: Walk) -> str:
    """What the tables are called that are not the guest's."""
    return "shadow" if walk.kind == "SHADOW" else "nested"


def explain(walk: Walk) -> str:
    """The sum and all sentences, as text for a terminal."""
    lines = [f"{len(walk.refs)} references:"]
    for part in parts(walk):
        terms = [f"{part.nested} {other_tables(walk)}"] * (part.nested > 0) + \
            [f"{part.guest} guest"] * (part.guest > 0)
        lines.append(f"  {part.first:>2} to {part.last:>2}  {part.what}: {' + '.join(terms)}")
    rule = formula(walk)
    lines += [f"  in all {rule}"] if rule else []
    lines += [""] + [f"{ref.n:>4}  {text}" for ref, text in zip(walk.refs, sentences(walk))]
    story = walk_words.fault_story(walk)
    return "\n".join(lines + ([""] + story if story else []))
