"""Draws tables side by side: one Graphviz table, or the same as an HTML page.

Colour tells what changed, and so does a word: new, changed, gone.  What it does not do:
decide what is in the rows (tables.py).
"""
from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

from viz import style, walk
from viz.html_page import render
from viz.tables_rows import Row, Side
from viz.walk_dot import font
from viz.walk_words import size_name

if TYPE_CHECKING:
    from viz.tables import Picture

FILL = {"": "#ffffff", "new": "#d9f2e0", "changed": "#fff0c2", "gone": "#fbdcd9"}
HEAD = {"guest": "#cfe6f5", "shadow": "#e6dcf2", "host": "#fad7c5", "": style.LIGHT.panel}
Cell = Tuple[str, str]          # text and which table's column it is


def choose(rows: Sequence[Row], most: int) -> Tuple[List[Row], int]:
    """At most so many rows, changed ones first, in their order; and how many are left out."""
    first = [i for i, row in enumerate(rows) if row.status]
    rest = [i for i, row in enumerate(rows) if not row.status]
    taken = sorted((first + rest)[:most])
    return [rows[i] for i in taken], len(rows) - len(taken)


def shorten(made: "Picture", most: int) -> None:
    """Keep at most half as many shadow tables as rows, those that changed first."""
    most = max(most // 2, 1)
    if len(made.pages) <= most:
        return
    left = len(made.pages) - most
    kept = set(sorted(made.pages, key=lambda page: not page[-1])[:most])
    made.pages = [page for page in made.pages if page in kept]
    made.notes.append(f"{left} more shadow tables of the active root are left out here (--rows)")


def columns(shadow: bool) -> List[Cell]:
    """The headings."""
    found = [("gVA", ""), ("pages", ""), ("guest: to gPA", "guest"), ("allows", "guest")]
    if shadow:
        found += [("shadow: to hPA", "shadow"), ("allows", "shadow")]
    where = "memory slot: hPA" if shadow else "host (nested): hPA"
    return found + [(where, "host"), ("allows", "host"),
                    ("what changed; why less is allowed", "")]


def cells(row: Row, shadow: bool) -> List[Cell]:
    """One row's words, as columns() has them."""
    size = size_name(row.size)
    count = f"{row.count} × {size}" if row.count > 1 else size
    found: List[Cell] = [(_range(row.gva, row), ""), (count, "")]
    found += _pair(row.guest, "guest", row)
    if shadow:
        found += _pair(row.shadow, "shadow", row)
    found += _pair(row.host, "host", row)
    return found + [("; ".join(word for word in (_change(row), row.note) if word), "")]


def _change(row: Row) -> str:
    if not row.was:
        return row.status
    kind = "gPA" if row.whose == "guest" else "hPA"
    return f"changed: {row.whose} had {kind} {row.was.to:#x} {row.was.flags}"


def _range(start: Optional[int], row: Row) -> str:
    if start is None:
        return f"(gPA {row.host.entry:#x})" if row.host else ""
    last = f"{start + row.size * row.count - 1:x}"
    if row.count == 1:
        return f"{start:#x}"
    same = os.path.commonprefix([f"{start:x}", last]) if len(last) == len(f"{start:x}") else ""
    return f"{start:#x} …{last[len(same):]}"


def _pair(side: Optional[Side], kind: str, row: Row) -> List[Cell]:
    if side is None:
        return [("–", kind), ("", kind)]
    return [(f"{side.to:#x}", kind), (side.flags, kind)]


LEGEND = ("W writable   U user   A accessed   D dirty   NX no execute   PS large page   R read   "
          "X execute   CAPITALS: set   small: clear   "
          "20 × 4K: so many pages in a row, in every table")


# --- As a picture -----------------------------------------------------------------------------------

def draw(made: "Picture", shown: Sequence[Row], left: int, form: str, out: str) -> None:
    """Let Graphviz make the figure."""
    walk.render(dot(made, shown, left), form, out)


def dot(made: "Picture", shown: Sequence[Row], left: int) -> str:
    """One node that is a table of tables."""
    blocks = [_row(font(made.title, 15, bold=True)),
              _row(font(f"Marked: what changed {made.since}", 11, style.LIGHT.muted))]
    if made.pages:
        blocks.append(_row(_table([("guest table, gPA", "guest"), ("level", "guest"),
                                     ("its shadow, hPA", "shadow"), ("entries", "shadow"),
                                     ("the guest's table is", ""), ("", "")],
                                    [([(f"{table:#x}", "guest"), (str(level), "guest"),
                                       (f"{at:#x}", "shadow"), (str(count), "shadow"), (kind, ""),
                                       (status, "")], status)
                                     for table, level, at, count, kind, status in made.pages])))
    blocks.append(_row(_table(columns(made.shadow), [(cells(row, made.shadow), row.status)
                                                       for row in shown])))
    if left:
        blocks.append(_row(font(f"{left} more rows, left out here (--rows)", 11, bold=True)))
    blocks += [_row(font(text[0].upper() + text[1:] + ".", 9.5)) for text in made.notes]
    blocks += [_row(font(LEGEND, 9, style.LIGHT.muted)), _row(font(made.provenance, 9.5, bold=True))]
    body = "".join(blocks)
    return (f'digraph tables {{\n  graph [bgcolor="{style.LIGHT.page}", pad=0.25];\n'
            f'  n1 [pos="0,0!", shape=plain, label=<<TABLE BORDER="0" CELLBORDER="0" '
            f'CELLSPACING="4">{body}</TABLE>>];\n}}\n')


def _row(inner: str) -> str:
    return f'<TR><TD ALIGN="LEFT">{inner}</TD></TR>'


def _table(heads: Sequence[Cell], rows: Sequence[Tuple[Sequence[Cell], str]]) -> str:
    top = "".join(f'<TD ALIGN="LEFT" BGCOLOR="{HEAD[kind]}">{_padded(font(text or " ", 10, bold=True))}</TD>'
                  for text, kind in heads)
    body = "".join(f"<TR>{''.join(_cell(text, status) for text, _ in each)}</TR>"
                   for each, status in rows)
    return (f'<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="2" '
            f'COLOR="{style.LIGHT.line}"><TR>{top}</TR>{body}</TABLE>')


def _cell(text: str, status: str) -> str:
    mono = text[:2] == "0x" or text[:1] == "(" or set(text) <= set("WUADNXPSRwuad ")
    # A browser's letters are a little wider than those that Graphviz has measured.
    spare = "" if mono else "\u00a0" * (len(text) // 16)
    piece = font(text + spare or " ", 10, mono=mono)
    if status == "gone" and mono:
        piece = f"<S>{piece}</S>"
    return f'<TD ALIGN="LEFT" BGCOLOR="{FILL[status]}">{_padded(piece)}</TD>'


def _padded(piece: str) -> str:
    space = font(" ", 6)
    return f"{space}{piece}{space}"


# --- As a page --------------------------------------------------------------------------------------

def page(made: "Picture", shown: Sequence[Row], left: int) -> str:
    """The same as an HTML page."""
    return render("tables.html.j2", {"made": made, "columns": columns(made.shadow),
                                     "rows": rows_of_cells(made, shown), "left": left,
                                     "legend": LEGEND}, ())


def rows_of_cells(made: "Picture", shown: Sequence[Row]) -> List[Dict[str, object]]:
    """The rows as a page's template has them."""
    return [{"cells": cells(row, made.shadow), "status": row.status} for row in shown]
