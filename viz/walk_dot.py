"""Draws a walk as Graphviz text: every node has a fixed place, neato -n2 only connects them.

The picture is the classic grid of walk_grid.py, every reference numbered on its
arrow in the order in which the processor makes it. Sizes are in points; y grows
upwards, as Graphviz has it. What it does not do: run Graphviz (walk.py does).
"""
from __future__ import annotations

from html import escape
from types import MappingProxyType
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from viz import style, walk_ept, walk_grid, walk_words
from viz.walk_data import Walk, WalkRef
from viz.walk_grid import DATA, Cell, Grid, Row

CELL_W, CELL_H = 154, 74
STEP_X, STEP_Y = 194, 126           # from cell to cell
HEAD_W = 122                        # the first column: what a row translates
CIRCLE = 23
SPARE = 3                           # a label is so much smaller than its node
INK, MUTED, LINE = style.LIGHT.ink, style.LIGHT.muted, style.LIGHT.line
GUEST, NESTED = style.LIGHT.guest, style.LIGHT.nested
KNOWN, BAD, PAPER = style.LIGHT.known, style.LIGHT.bad, style.LIGHT.page
ROW_TINT = {5: "#ece4d8", 4: "#cfe6f5", 3: "#d3efdc", 2: "#fdeebb", 1: "#fad7c5", DATA: "#e6dcf2"}
CLEAR = "#9aa0a6"                   # a flag that is 0
DIM_INK = {"GUEST": GUEST, "NESTED": NESTED, "SHADOW": "#6f3c91", "SEGMENT": "#4a5a2c"}


def font(text: str, size: float = 10, color: str = INK, mono: bool = False,
         bold: bool = False) -> str:
    """Escaped text as a piece of an HTML-like label."""
    face = style.MONO if mono else style.FONT
    inner = f"<B>{escape(text)}</B>" if bold else escape(text)
    return f'<FONT FACE="{face}" POINT-SIZE="{size:g}" COLOR="{color}">{inner}</FONT>'


def table(rows: Sequence[str], border: str = LINE, fill: str = PAPER, pen: int = 1) -> str:
    """Rows (each with its own TR) in a frame; their cells give it its size."""
    return (f'<<TABLE BORDER="{pen}" COLOR="{border}" CELLBORDER="0" CELLSPACING="0" '
            f'CELLPADDING="0" BGCOLOR="{fill}">{"".join(rows)}</TABLE>>')


def data(piece: str, width: float, height: float, align: str = "LEFT", fill: str = "",
         span: int = 1) -> str:
    """One table cell; text keeps a little distance from its left and right."""
    background = f' BGCOLOR="{fill}"' if fill else ""
    inner = f" {piece} " if align == "CENTER" else f'{font(" ", 5)}{piece}{font(" ", 5)}'
    return (f'<TD ALIGN="{align}" COLSPAN="{span}" WIDTH="{width:g}" HEIGHT="{height:g}"'
            f'{background}>{inner}</TD>')


def lines(pieces: Sequence[str], width: float, height: float, align: str = "LEFT",
          border: str = LINE, fill: str = PAPER, pen: int = 1) -> str:
    """A framed block of text lines that share `height`."""
    width, height = width - 2 * pen - SPARE, height - 2 * pen - SPARE
    each = height / max(len(pieces), 1)
    return table([f"<TR>{data(piece, width, each, align)}</TR>" for piece in pieces], border, fill,
                 pen)


class Canvas:
    """Collects nodes and edges; each gets the class step-K of the K-th reference, to which it
    belongs, so that a page can show the walk up to that one. 0 belongs to none."""

    def __init__(self) -> None:
        self.items: List[str] = []
        self.count = 0
        self.step = 0

    def _text(self, attributes: Dict[str, str]) -> str:
        if self.step:
            attributes["class"] = f'"step-{self.step}"'
        return ", ".join(f"{key}={value}" for key, value in attributes.items())

    def node(self, x: float, y: float, label: str, width: float, height: float,
             **more: str) -> str:
        """A node centred at x, y; `label` is quoted text or an HTML-like label."""
        self.count += 1
        name = f"n{self.count}"
        attributes = {"pos": f'"{x:g},{y:g}!"', "width": f"{width / 72:.4f}",
                      "height": f"{height / 72:.4f}", "fixedsize": "true", "label": label,
                      "shape": "none", "margin": "0", **more}
        self.items.append(f"  {name} [{self._text(attributes)}];")
        return name

    def corner(self, x: float, y: float) -> str:
        """An invisible point at which a line turns."""
        return self.node(x, y, '""', 0.8, 0.8, shape="point", style="invis")

    def edge(self, tail: str, head: str, arrow: bool = True, **more: str) -> None:
        attributes = {"arrowhead": "normal" if arrow else "none", **more}
        self.items.append(f"  {tail} -> {head} [{self._text(attributes)}];")

    def text(self) -> str:
        head = (f'digraph walk {{\n  graph [bgcolor="{PAPER}", splines=line, pad=0.25, '
                f'outputorder=edgesfirst, fontname="{style.FONT}"];\n'
                f'  node [fontname="{style.FONT}", fontsize=10, fontcolor="{INK}"];\n'
                f'  edge [color="{INK}", arrowsize=0.7, penwidth=1.1];\n')
        return head + "\n".join(self.items) + "\n}\n"


class Picture:
    """One walk being drawn. `about` has the words that the walk itself does not hold; `hidden`
    what a quiz leaves out: by place (PLACES in quiz_questions.py) what stands there instead."""

    def __init__(self, walk: Walk, about: Dict[str, str],
                 hidden: Mapping[str, str] = MappingProxyType({})) -> None:
        self.walk, self.about, self.hidden = walk, about, hidden
        self.grid: Grid = walk_grid.build(walk)
        self.canvas = Canvas()
        self.failing = -1 if "fault" in hidden else walk_words.failing(walk)
        self.place = {id(ref): k for k, ref in enumerate(walk.refs, start=1)}
        self.cells: Dict[int, str] = {}         # number of a reference -> its node
        self.left = 0.0
        self.columns = max(len(self.grid.columns), 5)
        self.right = self.x(self.columns - 1) + CELL_W / 2

    def shown(self, place: str, text: str) -> str:
        """What stands at a place: `text`, unless it is hidden."""
        return self.hidden.get(place, text)

    def x(self, column: int) -> float:
        return HEAD_W / 2 + 46 + CELL_W / 2 + column * STEP_X

    def y(self, row: int) -> float:
        return -row * STEP_Y

    def draw(self) -> str:
        self.draw_title()
        previous: Optional[str] = None
        for i, row in enumerate(self.grid.rows):
            previous = self.draw_row(i, row, previous)
        self.draw_end(previous)
        self.canvas.step = 0
        if self.grid.rows:
            self.draw_nested_root()
        self.draw_footer()
        return self.canvas.text()

    # The top: what is walked, and how the address is split.

    def draw_title(self) -> None:
        walk, width = self.walk, self.right + HEAD_W / 2
        who = f"VM {walk.vm}" + (f" ({self.about['name']})" if self.about.get("name") else "")
        parts = [f"gVA {walk.gva:#x}"] if walk.mode != "OFF" else []
        if self.gpa_known() or walk.mode == "OFF":
            gpa = f"{walk.gpa if self.gpa_known() else walk.gva:#x}"
            parts.append("gPA " + (self.shown("gpa", gpa) if self.gpa_known() else gpa))
        if walk.complete and not walk.faulted:
            parts.append("hPA " + self.shown("hpa", f"{walk.hpa:#x}"))
        second = [walk_words.access_words(walk.access), walk_words.mode_words(walk),
                  walk_words.kind_words(walk),
                  walk_words.made_words(walk), self.about.get("which", ""),
                  self.about.get("platform", "")]
        rows = [font(f"Page walk of {who}:  " + "  →  ".join(parts), 17, bold=True),
                font("  ·  ".join(word for word in second if word), 11, MUTED)]
        self.canvas.node(self.middle(), 196, lines(rows, width, 48, pen=0), width, 48)
        self.draw_fields(width)

    def middle(self) -> float:
        return (self.right - HEAD_W / 2) / 2

    def gpa_known(self) -> bool:
        """The end holds the gPA unless a fault came before it was known."""
        walk = self.walk
        final = walk.fault_dim == "NESTED" and self.failing >= 0 and not walk.refs[
            self.failing].serves
        if walk.kind == "SHADOW":
            return walk.complete and walk_grid.is_pair(walk) and (
                not walk.faulted or walk.fault_dim == "SHADOW")
        return walk.complete and (not walk.faulted or final)

    def draw_fields(self, width: float) -> None:
        """The address in its fields, tinted like the rows that they index."""
        what = "gPA" if self.walk.mode == "OFF" else "gVA"
        fields = walk_grid.index_fields(self.walk)
        each = (width - 190 - 2 * len(fields) - SPARE) / len(fields)
        cells = [data(font(f"{what} {self.walk.gva:#x}", 11, bold=True), 190, 52)]
        for name, high, low, value in fields:
            level = int(name[-1]) if name[-1].isdigit() else -1
            tint = ROW_TINT.get(level, PAPER) if name.startswith("g") else (
                ROW_TINT[DATA] if name == "offset" else style.LIGHT.panel)
            title = {"sign": "sign extension" if what == "gVA" else "above the table",
                     "offset": "offset in the " + ("page" if len(fields) > 1 else "segment")}.get(
                         name, f"{name} index")
            text = self.shown(f"field {level}", f"{value:#x}")
            shown = [font(title, 9, MUTED), font(text, 12, mono=True, bold=True),
                     font(f"bits {high}–{low}", 9, MUTED)]
            cells.append(f'<TD BORDER="1" COLOR="{LINE}" BGCOLOR="{tint}" WIDTH="{each:g}" '
                         f'HEIGHT="52">{"<BR/>".join(shown)}</TD>')
        rows = [f'<TR>{"".join(cells)}</TR>']
        self.canvas.node(self.middle(), 134, table(rows, pen=0), width, 56)

    # The grid.

    def draw_row(self, i: int, row: Row, previous: Optional[str]) -> str:
        """One row; `previous` is where the row above ended. Returns where this one ends."""
        self.canvas.step = self.place[id(row.cells[0].ref)]
        tail = self.draw_head(i, row)
        if previous is not None:
            self.draw_return(i, row, previous, tail)
        for cell in row.cells:
            tail = self.draw_step(i, cell, tail)
        return tail

    def draw_head(self, i: int, row: Row) -> str:
        rows = [font(text, size, color, mono, bold)
                for text, size, color, mono, bold in self.head_lines(i, row)]
        label = lines(rows, HEAD_W, CELL_H - 10, "CENTER", MUTED, ROW_TINT.get(row.key, PAPER))
        return self.canvas.node(0, self.y(i), label, HEAD_W, CELL_H - 10)

    def head_lines(self, i: int, row: Row) -> List[Tuple[str, float, str, bool, bool]]:
        """What stands at the start of a row: which address it translates."""
        walk, first = self.walk, row.cells[0].ref
        if first.dim == "SHADOW":
            return [("shadow root", 11, INK, False, True),
                    (f"{walk.nroot:#x}", 10, INK, True, False)]
        if not self.grid.two_dimensional and first.dim == "GUEST":
            return [("gCR3", 11, INK, False, True), (f"{walk.groot:#x}", 10, INK, True, False)]
        if row.key == DATA:
            return [("data", 11, INK, False, True), (f"gPA {self.shown('gpa', f'{first.addr:#x}')}", 10, INK, True,
                                                 False)]
        guest = next((c.ref for c in row.cells if c.ref.dim == "GUEST"), None)
        title = f"gL{row.key} table" + (" = gCR3" if i == 0 and not walk.pointers_held else "")
        if guest is None:
            where, rest = first.addr, "gPA to translate"
        else:
            width = walk.width(guest)
            where = self.table_gpa(i, first.addr, guest)
            rest = f"+ {width} × {self.shown(f'index {guest.n}', f'{guest.index:#x}')}"
        return [(title, 11, INK, False, True), (f"gPA {self.shown(f'row {row.key}', f'{where:#x}')}", 10, INK, True, False),
                (rest, 9, MUTED, False, False)]

    def table_gpa(self, i: int, addr: int, guest: WalkRef) -> int:
        """The guest's own address of the table in row i: gCR3's, or the entry's above."""
        within = guest.table & 0xFFF
        return (addr & ~0xFFF) | within

    def draw_return(self, i: int, row: Row, previous: str, head: str) -> None:
        """The line from a guest entry back to the start of the next row, with what was learnt."""
        y = self.y(i) + STEP_Y / 2
        right = self.canvas.corner(self.x(self.grid.end_column), y)
        left = self.canvas.corner(0, y)
        self.canvas.edge(previous, right, arrow=False)
        self.canvas.edge(right, left, arrow=False)
        self.canvas.edge(left, head)
        if row.key == DATA:
            known = str(self.walk.gpa_refs or self.seen_before(row))
            self.draw_milestone(self.x(self.grid.end_column - 1) - 40, y,
                                f"gPA known after {self.shown('known', known)}")
        else:
            self.draw_tag(self.x(self.grid.end_column - 1) - 40, y,
                          f"gPA of the gL{row.key} table")

    def seen_before(self, row: Row) -> int:
        return row.cells[0].ref.n - 1

    def draw_milestone(self, x: float, y: float, text: str) -> None:
        label = lines([font(text, 12, PAPER, bold=True)], 146, 22, "CENTER", KNOWN, KNOWN)
        self.canvas.node(x, y, label, 150, 22)

    def draw_tag(self, x: float, y: float, text: str) -> None:
        label = lines([font(text, 10, MUTED)], 130, 16, "CENTER", pen=0)
        self.canvas.node(x, y, label, 130, 16)

    def draw_step(self, i: int, cell: Cell, tail: str) -> str:
        """A numbered arrow and the entry that it reads."""
        x, y, ref = self.x(cell.column), self.y(i), cell.ref
        failed = 0 <= self.failing < len(self.walk.refs) and self.walk.refs[self.failing] is ref
        self.canvas.step = self.place[id(ref)]
        ink = BAD if failed else DIM_INK.get(ref.dim, INK)
        circle = self.canvas.node(
            x - CELL_W / 2 - (STEP_X - CELL_W) / 2, y, f'"{self.shown("circles", str(ref.n))}"', CIRCLE, CIRCLE,
            shape="circle", style="filled", fillcolor=f'"{ink}"', color=f'"{ink}"',
            fontcolor=f'"{PAPER}"', fontsize="11", fontname=f'"{style.FONT} Bold"')
        node = self.canvas.node(x, y, self.cell_label(ref, failed), CELL_W, CELL_H)
        self.canvas.edge(tail, circle, arrow=False, color=f'"{ink}"')
        self.canvas.edge(circle, node, color=f'"{ink}"')
        self.cells[ref.n] = node
        return node

    def cell_label(self, ref: WalkRef, failed: bool) -> str:
        ink = BAD if failed else DIM_INK.get(ref.dim, INK)
        tint = ROW_TINT.get(self.tinted_as(ref), style.LIGHT.panel)
        index = self.shown(f"index {ref.n}", f"{ref.index:#x}")
        title = f"{walk_words.table_name(ref.dim, ref.level)}[{index}]"
        size = f"{walk_words.size_name(ref.size)} page" if ref.size else ""
        badge = self.shown(f"size {ref.n}", size)
        pen = 2 if ref.dim == "GUEST" or failed else 1
        width, height = CELL_W - 2 * pen - SPARE, CELL_H - 2 * pen - SPARE
        head = (data(font(title, 11, ink, bold=True), 86, 20, fill=tint) +
                data(font(badge or " ", 10, bold=True), width - 86, 20, "RIGHT", tint))
        rows = [f"<TR>{head}</TR>"] + [
            f"<TR>{data(piece, width, (height - 20) / 3, span=2)}</TR>" for piece in (
                font("table " + self.shown(f"table {ref.n}", f"{ref.table:#x}"), 10, mono=True),
                font(f"entry {ref.after:#x}", 10, mono=True), self.flag_pieces(ref))]
        return table(rows, ink, PAPER, pen)

    def tinted_as(self, ref: WalkRef) -> int:
        """The guest level whose colour an entry's title has."""
        if ref.dim == "GUEST":
            return ref.level
        return ref.serves if self.grid.two_dimensional else -1

    def flag_pieces(self, ref: WalkRef) -> str:
        """Flags in fixed order: capitals set, small clear, one that this walk set with 0→1."""
        if f"flags {ref.n}" in self.hidden:
            return font(self.hidden[f"flags {ref.n}"], 10, mono=True, bold=True)
        pieces = []
        for name, state in walk_words.flags(self.walk, ref):
            if state == "gained":
                pieces.append(font(f"{name}:0→1", 10, BAD, mono=True, bold=True))
            elif state == "set":
                pieces.append(font(name, 10, INK, mono=True, bold=True))
            else:
                pieces.append(font(name.lower(), 10, CLEAR, mono=True))
        return font(" ", 10, mono=True).join(pieces)

    def draw_nested_root(self) -> None:
        """The nested root above its table; every row starts from it again."""
        first = next((c for c in self.grid.rows[0].cells if c.ref.dim == "NESTED"), None)
        if first is None:
            return
        rows = [font(walk_words.root_words(self.walk), 11, NESTED, mono=True, bold=True),
                font("every row enters the nested tables here" if len(self.grid.rows) > 1 else
                     "root of the nested tables", 9, MUTED)]
        x = self.x(first.column)
        node = self.canvas.node(x, CELL_H / 2 + 40, lines(rows, 200, 28, "CENTER", pen=0), 200, 28)
        self.canvas.edge(node, self.cells[first.ref.n], style="dashed", color=f'"{NESTED}"')

    # How it ends.

    def draw_end(self, previous: Optional[str]) -> None:
        if previous is None:
            return
        row = len(self.grid.rows) - 1
        last = self.grid.rows[row].cells[-1]
        # After a guest entry in the last column there is no room to the right: end below it.
        below = last.column == self.grid.end_column
        column = last.column if below else self.grid.end_column
        if self.walk.faulted or not self.walk.complete:
            column = min(last.column + 1, self.grid.end_column)
        x, y = self.x(column), self.y(row + below)
        label = self.end_label(x, y)
        if not label:
            return
        color = BAD if self.walk.faulted or not self.walk.complete else KNOWN
        node = self.canvas.node(x, y, label, CELL_W, CELL_H)
        self.canvas.edge(previous, node, color=f'"{color}"', penwidth="1.8")

    def end_label(self, x: float, y: float) -> str:
        walk = self.walk
        if not walk.complete:
            return lines([font("the trace ends here", 11, BAD, bold=True)], CELL_W, CELL_H,
                         "CENTER", BAD)
        if walk.faulted and "fault" in self.hidden:
            return lines([font("the walk ends:", 11, BAD, bold=True),
                          font(self.hidden["fault"], 13, BAD, bold=True)], CELL_W, CELL_H, "CENTER",
                         BAD)
        if walk.faulted:
            title, reason = walk_words.fault_title(walk)
            rows = [font(title, 13 if len(title) < 16 else 11, PAPER, bold=True),
                    font(reason, 11, PAPER, bold=True)]
            return lines(rows, CELL_W, CELL_H, "CENTER", BAD, BAD)
        self.draw_milestone(x, y + CELL_H / 2 + 12, f"hPA known after {self.shown('total', str(walk.total))}")
        rows = [font("the data", 11, bold=True),
                font("hPA " + self.shown("hpa", f"{walk.hpa:#x}"), 10, mono=True),
                font(self.cached_as(), 9, MUTED)]
        return lines(rows, CELL_W, CELL_H, "CENTER", KNOWN, ROW_TINT[DATA], 2)

    def cached_as(self) -> str:
        """A TLB holds the smaller of the two dimensions' pages."""
        sizes = [ref.size for ref in self.walk.refs if ref.size and not ref.serves]
        return self.held_as(sizes)

    def held_as(self, sizes: Sequence[int]) -> str:
        if not sizes:
            return ""
        return f"a TLB would hold it as {self.shown('tlb', walk_words.size_name(min(sizes)))}"

    def footer_top(self) -> float:
        """Where the footer begins: under the last row, or under what stands below it."""
        if not self.grid.rows:
            return 84.0
        below = walk_ends_below(self.grid) and (
            self.walk.faulted or not self.walk.complete or not self.grid.two_dimensional)
        return self.y(len(self.grid.rows) - 1 + below) - CELL_H / 2 - 16

    def draw_footer(self) -> None:
        """The fault in words, the legend, and where the facts come from."""
        walk, width = self.walk, self.right + HEAD_W / 2
        top = self.footer_top()
        story = [] if "fault" in self.hidden else walk_words.fault_story(walk)
        if story:
            words = [font(story[0], 13, BAD, bold=True)] + [font(text, 10.5) for text in story[1:]]
            height = 22 * len(words)
            label = lines(words, width, height, border=BAD, fill="#fdecea", pen=1)
            self.canvas.node(self.middle(), top - height / 2, label, width, height)
            top -= height + 10
        other = "s: shadow tables" if walk.kind == "SHADOW" else "n: nested tables"
        order = "" if walk_grid.is_pair(walk) else ", in the processor's order"
        legend = ("A circle holds the number of the memory reference it stands on"
                  f"{order}.   g: the guest's tables   {other}   "
                  "[ ]: index   table: its hPA")
        bits = ("P present   W writable   U user   A accessed   D dirty   PS large page   "
                "NX no execute   CAPITALS: set   small: clear   0→1: set by this walk")
        ept = [font(walk_ept.LEGEND, 9.5, MUTED)] if walk.format == "EPT" and walk.kind == "NESTED" else []
        rows_text = [font(legend, 9.5, MUTED), font(bits, 9.5, MUTED), *ept,
                     font(self.about["provenance"], 9.5, INK, bold=True)]
        height = 50 * len(rows_text) / 3
        self.canvas.node(self.middle(), top - 1 - height / 2, lines(rows_text, width, height, pen=0),
                         width, height)


def walk_ends_below(grid: Grid) -> bool:
    """Whether the last reference stands in the last column."""
    return grid.rows[-1].cells[-1].column == grid.end_column

