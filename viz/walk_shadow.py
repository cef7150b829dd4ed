"""Draws a guest's walk and, level below level, that of the shadow table that stands for it.

Above what the VMM reads in software when it fills the shadow: the guest's own tables, which
hold gPAs.  Below what the processor walks: the shadow, one dimension, gVA to hPA.  The
pieces are walk_dot.py's; what it does not do: draw a shadow walk without the guest's.
"""
from __future__ import annotations

from types import MappingProxyType
from typing import Dict, List, Mapping, Tuple

from viz import walk_words
from viz.walk_data import Walk, WalkRef
from viz.walk_dot import (BAD, CELL_H, CELL_W, INK, KNOWN, MUTED, PAPER, ROW_TINT, STEP_Y, Picture,
                          font, lines)
from viz.walk_grid import DATA, Cell, Row

LINK = "#8a8f98"
WHO = {"GUEST": "read by the VMM", "SHADOW": "walked by the processor"}


class ShadowPicture(Picture):
    """Two rows: the guest's tables, and the shadow's under them."""

    def __init__(self, walk: Walk, about: Dict[str, str],
                 hidden: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(walk, about, hidden)
        self.below: Dict[Tuple[str, int], str] = {}     # dimension and level -> node

    def y(self, row: int) -> float:
        return -row * (STEP_Y + 8)

    def tinted_as(self, ref: WalkRef) -> int:
        return ref.level

    def draw(self) -> str:
        self.draw_title()
        ends = []
        for i, row in enumerate(self.grid.rows):
            ends.append((row, self.draw_row(i, row, None)))
        for i, (row, tail) in enumerate(ends):
            self.draw_row_end(i, row, tail)
        self.canvas.step = 0
        self.draw_links()
        self.draw_footer()
        return self.canvas.text()

    def head_lines(self, i: int, row: Row) -> List[Tuple[str, float, str, bool, bool]]:
        dim = row.cells[0].ref.dim
        title, root = (("gCR3", self.walk.groot) if dim == "GUEST" else
                       ("shadow root", self.walk.nroot))
        kind = "gPA" if dim == "GUEST" else "hPA"
        return [(title, 11, INK, False, True), (f"{kind} {root:#x}", 10, INK, True, False),
                (WHO[dim], 8, MUTED, False, False)]

    def draw_row_end(self, i: int, row: Row, tail: str) -> None:
        """What the row comes to: gPA, hPA, a fault, or nothing more in the trace."""
        dim = row.cells[0].ref.dim
        failed = self.walk.faulted and self.walk.fault_dim == dim
        cut = not self.walk.complete and i == len(self.grid.rows) - 1
        column = row.cells[-1].column + 1 if failed or cut else self.grid.end_column
        x, y = self.x(column), self.y(i)
        self.canvas.step = self.place[id(row.cells[-1].ref)]
        color = BAD if failed or cut else KNOWN
        node = self.canvas.node(x, y, self.row_end(dim, failed, cut), CELL_W, CELL_H)
        self.canvas.edge(tail, node, color=f'"{color}"', penwidth="1.8")
        if not failed and not cut:
            what = "gPA" if dim == "GUEST" else "hPA"
            self.draw_milestone(x, y + CELL_H / 2 + 12, f"{what}: {len(row.cells)} references")

    def row_end(self, dim: str, failed: bool, cut: bool) -> str:
        walk = self.walk
        if cut:
            return lines([font("the trace ends here", 11, BAD, bold=True)], CELL_W, CELL_H,
                         "CENTER", BAD)
        if failed and "fault" in self.hidden:
            return self.end_label(0, 0)
        if failed:
            rows = [font("#PF" if walk.fault != "NO_MEMORY" else "fault", 13, PAPER, bold=True),
                    font(walk_words.fault_name(walk.fault), 11, PAPER, bold=True)]
            return lines(rows, CELL_W, CELL_H, "CENTER", BAD, BAD)
        if dim == "GUEST":
            rows = [font("the page, as the guest", 10), font("counts memory", 10),
                    font("gPA " + self.shown("gpa", f"{walk.gpa:#x}"), 10, mono=True, bold=True)]
        else:
            rows = [font("the data", 11, bold=True),
                    font("hPA " + self.shown("hpa", f"{walk.hpa:#x}"), 10, mono=True),
                    font(self.cached_as(), 9, MUTED)]
        return lines(rows, CELL_W, CELL_H, "CENTER", KNOWN, ROW_TINT[DATA], 2)

    def cached_as(self) -> str:
        """A TLB holds what the shadow says, which may be smaller than the guest's page."""
        return self.held_as([ref.size for ref in self.walk.refs
                             if ref.size and ref.dim == "SHADOW"])

    def draw_step(self, i: int, cell: Cell, tail: str) -> str:
        node = super().draw_step(i, cell, tail)
        self.below[cell.ref.dim, cell.ref.level] = node
        return node

    def draw_links(self) -> None:
        """A dashed line from each guest entry to the shadow's of the same level."""
        for (dim, level), node in self.below.items():
            under = self.below.get(("SHADOW", level))
            if dim == "GUEST" and under:
                self.canvas.edge(node, under, style="dashed", color=f'"{LINK}"', arrow=False)

    def draw_footer(self) -> None:
        """Also says what the two rows are, above what all walks say."""
        y = self.y(len(self.grid.rows) - 1) - CELL_H / 2 - 26
        words = ("The guest's own tables give a gPA; a memory slot says which hPA that is. The "
                 "shadow entry holds the hPA at once, and is what the TLB gets.")
        self.canvas.node(self.middle(), y, lines([font(words, 10.5)], self.width(), 24, pen=0),
                         self.width(), 24)
        super().draw_footer()

    def width(self) -> float:
        """Of the whole picture, in points."""
        return self.right + 61

    def footer_top(self) -> float:
        return self.y(len(self.grid.rows) - 1) - CELL_H / 2 - 46
