"""Places the references of a walk on the classic grid: guest levels down, nested levels across.

A row is one trip through the nested tables that ends at a guest entry (or, in the
last row, at the data); its columns are the nested levels and then the guest entry.
A walk of one dimension is a single row whose columns are that table's levels; of the
guest's tables beside their shadow there are two, with equal levels below each other.
What it does not do: draw; walk_dot.py and walk_shadow.py do.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Tuple

from viz.walk_data import Walk, WalkRef

DATA = 0        # the key of the row that ends at the data
PAIR = -1       # the key of both rows of a guest's walk and its shadow

ColumnKey = Tuple[str, int]     # dimension ("" is any) and level; ("END", 0) is the last column


@dataclass
class Cell:
    """One reference and the column in which it stands, from 0."""

    ref: WalkRef
    column: int


@dataclass
class Row:
    """`key` is the guest level that the row finds, or DATA."""

    key: int
    cells: List[Cell] = field(default_factory=list)


@dataclass
class Grid:
    """Rows from the top, and what each column stands for."""

    rows: List[Row]
    columns: List[ColumnKey]
    two_dimensional: bool

    @property
    def end_column(self) -> int:
        return len(self.columns) - 1


def build(walk: Walk) -> Grid:
    """The grid of a walk, whatever is missing from it."""
    across = [ref for ref in walk.refs if ref.dim in ("NESTED", "SEGMENT")]
    two = bool(across) and any(ref.dim == "GUEST" for ref in walk.refs) or any(
        ref.serves for ref in across)
    if is_pair(walk):
        return _pair(walk)
    keys = {(ref.dim, ref.level) for ref in (across if two else walk.refs)}
    columns = sorted(keys, key=lambda key: (key[0], -key[1])) + [("END", 0)]
    rows = _rows(walk, columns) if two else _one_row(walk, columns)
    return Grid(rows, columns, two)


def is_pair(walk: Walk) -> bool:
    """A guest's own walk with that of its shadow: two walks of one dimension each."""
    return walk.kind == "SHADOW" and any(ref.dim == "GUEST" for ref in walk.refs)


def _pair(walk: Walk) -> Grid:
    """The guest's row, and under it the shadow's if there is one."""
    levels = sorted({ref.level for ref in walk.refs}, reverse=True)
    rows = []
    for dim in ("GUEST", "SHADOW"):
        cells = [Cell(ref, levels.index(ref.level)) for ref in walk.refs if ref.dim == dim]
        rows += [Row(PAIR, cells)] if cells else []
    return Grid(rows, [("", level) for level in levels] + [("END", 0)], False)


def _one_row(walk: Walk, columns: List[ColumnKey]) -> List[Row]:
    if not walk.refs:
        return []
    cells = [Cell(ref, columns.index((ref.dim, ref.level))) for ref in walk.refs]
    return [Row(DATA, cells)]


def _rows(walk: Walk, columns: List[ColumnKey]) -> List[Row]:
    rows: List[Row] = []
    for ref in walk.refs:
        guest = ref.dim == "GUEST"
        key = ref.level if guest else ref.serves
        if not rows or rows[-1].key != key:
            rows.append(Row(key))
        column = len(columns) - 1 if guest else columns.index((ref.dim, ref.level))
        rows[-1].cells.append(Cell(ref, column))
    return rows


def index_fields(walk: Walk) -> List[Tuple[str, int, int, int]]:
    """How the gVA is split: (name, high bit, low bit, value), from the top; level in the name."""
    layouts = {
        "LONG5": [("sign", 63, 57), ("gL5", 56, 48), ("gL4", 47, 39), ("gL3", 38, 30),
                  ("gL2", 29, 21), ("gL1", 20, 12)],
        "LONG4": [("sign", 63, 48), ("gL4", 47, 39), ("gL3", 38, 30), ("gL2", 29, 21),
                  ("gL1", 20, 12)],
        "PAE": [("gL3", 31, 30), ("gL2", 29, 21), ("gL1", 20, 12)],
        "LEGACY32": [("gL2", 31, 22), ("gL1", 21, 12)],
    }
    if walk.mode == "OFF" and walk.kind == "SEGMENT":
        return [("offset", 63, 0, walk.gva)]
    fields = list(layouts.get(walk.mode, layouts["LONG4"]))
    if walk.mode == "OFF" or walk.kind == "SHADOW" and not is_pair(walk):
        table = "s" if walk.kind == "SHADOW" else "n"
        fields = [(table + name[1:] if name != "sign" else name, high, low)
                  for name, high, low in layouts["LONG4"]]
    leaf = next((ref for ref in walk.refs if ref.size and _splits(walk, ref)), None)
    if leaf is not None:
        low = leaf.size.bit_length() - 1
        fields = [entry for entry in fields if entry[2] >= low]
    bottom = fields[-1][2] if fields else 12
    fields.append(("offset", bottom - 1, 0))
    return [(name, high, low, walk.gva >> low & ((1 << (high - low + 1)) - 1))
            for name, high, low in fields]


def _splits(walk: Walk, ref: WalkRef) -> bool:
    """Whether `ref` is of the table that the gVA itself indexes."""
    if walk.mode == "OFF":
        return ref.dim == "NESTED"
    return ref.dim == "GUEST" or ref.dim == "SHADOW" and not is_pair(walk)
