"""Marked regions: the parts of the source that students write themselves.

    /* LAB 1 BEGIN: one English sentence that says what this part does. */
    ...the solution...
    /* LAB 1 END: todo(1, "1.3", v, until); */

parse() finds the regions of a C or assembly file and refuses what handouts/formats.md,
section 8 forbids; strip() puts the stub of END where the solution was.  Which labs are
stripped, and what becomes of the files, is decided in starter.py.
"""
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Tuple

from grader.kit import source
from grader.plan import RunError

MARK = re.compile(r"/\* LAB (\d+) (BEGIN|END):(.*?)\*/", re.S)
CONTINUED = re.compile(r"\n[ \t]*\*(?: |(?=\n|$))")    # how a comment of more than one line goes on
NEARLY = re.compile(r"\bLAB\s*\d+\s*(BEGIN|END)\b", re.I)
MOST_STATEMENTS = 2
FORBIDDEN = (
    (re.compile(r"^\s*#\s*include\b", re.M), "an #include inside a region"),
    (re.compile(r"\bTRACE\w*\s*\("), "a TRACE call inside a region: the framework traces"),
)


class RegionError(RunError):
    """A mark or a region is wrong; the message begins with file:line."""


@dataclass(frozen=True)
class Mark:
    """A BEGIN or END comment; `start` and `end` are offsets of its first and last line."""

    lab: int
    kind: str
    words: str
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class Region:
    """What stands between a BEGIN and its END; `body` are its lines."""

    begin: Mark
    finish: Mark
    body: str

    @property
    def lab(self) -> int:
        """The lab whose students write it."""
        return self.begin.lab

    @property
    def sentence(self) -> str:
        """What the part does."""
        return " ".join(self.begin.words.split())

    @property
    def stub(self) -> str:
        """What stands there in a starter; may be empty."""
        return self.finish.words.strip()


def parse(text: str, name: str) -> List[Region]:
    """The regions of a file in order; RegionError names the first thing that is wrong."""
    marks = _marks(text, name)
    regions = []
    for begin, finish in _pairs(marks, name):
        region = Region(begin, finish, text[begin.end:finish.start])
        _check_words(region, name)
        _check_body(region, text, name)
        regions.append(region)
    labs = sorted({region.lab for region in regions})
    if len(labs) > 1:
        other = next(each for each in regions if each.lab != regions[0].lab)
        _fail(name, other.begin.line, f"regions of labs {labs[0]} and {labs[1]} in one file")
    return regions


def strip(text: str, name: str, least: int) -> str:
    """The text with stubs for labs `least` and above, and without the marks of the others."""
    pieces, position = [], 0
    for region in parse(text, name):
        pieces.append(text[position:region.begin.start])
        pieces.append(_headline(text, region))
        pieces.append(_stub(text, region) if region.lab >= least else region.body)
        position = region.finish.end
    return "".join(pieces) + text[position:]


def _fail(name: str, line: int, what: str) -> None:
    raise RegionError(f"{name}:{line}: {what}")


def _marks(text: str, name: str) -> List[Mark]:
    found = []
    for match in MARK.finditer(text):
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end + 1
        line = text.count("\n", 0, match.start()) + 1
        if text[start:match.start()].strip() or text[match.end():end].strip():
            _fail(name, line, "a mark stands alone on its lines")
        words = CONTINUED.sub("\n", match[3])
        found.append(Mark(int(match[1]), match[2], words, start, end, line))
    for match in NEARLY.finditer(MARK.sub(lambda whole: "\n" * whole[0].count("\n"), text)):
        line = _line_of(text, match)
        _fail(name, line, f"not a mark: write /* LAB n {match[1].upper()}: ... */")
    return found


def _line_of(text: str, match: "re.Match[str]") -> int:
    """The line of a match in a copy of the text that has the same lines."""
    return match.string.count("\n", 0, match.start()) + 1


def _pairs(marks: List[Mark], name: str) -> List[Tuple[Mark, Mark]]:
    pairs: List[Tuple[Mark, Mark]] = []
    begin = None
    for mark in marks:
        if mark.kind == "BEGIN":
            if begin is not None:
                _fail(name, mark.line, f"a region inside that of line {begin.line}")
            begin = mark
            continue
        if begin is None:
            raise RegionError(f"{name}:{mark.line}: END without BEGIN")
        if mark.lab != begin.lab:
            _fail(name, mark.line, f"END of lab {mark.lab}, but line {begin.line} begins lab "
                  f"{begin.lab}")
        pairs.append((begin, mark))
        begin = None
    if begin is not None:
        _fail(name, begin.line, "BEGIN without END")
    return pairs


def _check_words(region: Region, name: str) -> None:
    sentence = region.sentence
    if not sentence.endswith(".") or not sentence[:1].isalpha():
        _fail(name, region.begin.line, "BEGIN says in one sentence, up to its full stop, what "
              "this part does")
    line, count = region.finish.line, len(source.statements(region.stub))
    if count > MOST_STATEMENTS:
        _fail(name, line, f"a stub of {count} statements; at most {MOST_STATEMENTS}")
    if region.stub and region.stub[-1] not in ";" and not name.endswith(".S"):
        _fail(name, line, "the stub does not end in a semicolon")
    todo = re.search(r"\btodo\((\d+)", region.stub)
    if todo and int(todo[1]) != region.lab:
        _fail(name, line, f"todo of lab {todo[1]} in a region of lab {region.lab}")


def _check_body(region: Region, text: str, name: str) -> None:
    code = source.blank(region.body)
    for pattern, what in FORBIDDEN:
        match = pattern.search(code)
        if match:
            _fail(name, _inner_line(region, text, match.start()), what)
    if name.endswith(".S"):
        return
    before, after = source.blank(text[:region.begin.start]), source.blank(text[region.finish.end:])
    if source.depth(before) == 0:
        _check_functions(region, code, text, name)
    elif not (source.opens_function(before) and after.lstrip().startswith("}")
              and source.balanced(code)):
        _fail(name, region.begin.line, "a region is the whole content of one function body, or a "
              "run of whole functions")
    elif not region.stub:
        _fail(name, region.finish.line, "a function body needs a stub: todo(...)")


def _check_functions(region: Region, code: str, text: str, name: str) -> None:
    """A region outside of all braces: static functions, whole, and nothing else."""
    if region.stub:
        _fail(name, region.finish.line, "the stub of a run of functions is empty")
    for start, head, kind in source.items(code):
        line = _inner_line(region, text, start)
        if kind != "function":
            _fail(name, line, f"not a whole function inside a region: {head}")
        if not re.match(r"static\b", head):
            _fail(name, line, f"the signature of a function that others call inside a region: "
                  f"{head}")


def _inner_line(region: Region, text: str, offset: int) -> int:
    return text.count("\n", 0, region.begin.end + offset) + 1


def _headline(text: str, region: Region) -> str:
    """The BEGIN comment as a starter shows it."""
    return text[region.begin.start:region.begin.end].replace(" BEGIN:", ":", 1)


def _stub(text: str, region: Region) -> str:
    """The stub's lines at the region's indentation."""
    first = text[region.begin.start:region.begin.end]
    indent = first[:len(first) - len(first.lstrip())]
    lines = [line.strip() for line in region.stub.splitlines()]
    return "".join(f"{indent}{'    ' if number else ''}{line}\n"
                   for number, line in enumerate(lines))
