"""All small changes of a C source: one constant, comparison or operator at a time.

A change that no test sees shows a hole in the tests, or that it changes nothing.  Sources are
cut into tokens, so that comments, texts and the names of included files stay as they are.  It
builds nothing: that is done in small_trial.py.
"""
from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple

TOKEN = re.compile(r"""
    (?P<skip>/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'
        |^\#\s*(?:include|ifndef|ifdef|if|else|endif)\b[^\n]*)
  | (?P<number>\b(?:0x[0-9a-fA-F]+|[0-9]+)[uUlL]*\b)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<operator><<=|>>=|\.\.\.|->|\+\+|--|&&|\|\||[-+*/%&|^<>=!]=|<<|>>|[^\s\w])
  """, re.VERBOSE | re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"(0x[0-9a-fA-F]+|[0-9]+)([uUlL]*)")

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
OTHERS = {"&&": "||", "||": "&&", "++": "--", "--": "++", "+=": "-=", "-=": "+=", "|=": "&="}
BETWEEN = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "/", "<<": ">>", ">>": "<<"}
NAMES = {"true": "false", "false": "true"}


class Change(NamedTuple):
    """One token of a file replaced by another."""

    file: str
    at: int             # offset in the file
    old: str
    new: str
    line: int
    text: str           # the line, stripped, with the new token in it

    def apply(self, source: str) -> str:
        """The whole source, changed."""
        return source[:self.at] + self.new + source[self.at + len(self.old):]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def all_changes(file: str, source: str) -> List[Change]:
    """In the order of the source."""
    found: List[Change] = []
    for match in TOKEN.finditer(source):
        old, at = match.group(), match.start()
        for new in _instead(match, source):
            begin, end = source.rfind("\n", 0, at) + 1, source.find("\n", at)
            text = (source[begin:at] + new + source[at + len(old):end]).strip()
            found.append(Change(file, at, old, new, source.count("\n", 0, at) + 1, text))
    return found


def _instead(match: "re.Match[str]", source: str) -> Iterator[str]:
    old = match.group()
    if match.lastgroup == "number":
        yield from _numbers(old)
    elif match.lastgroup == "name":
        yield from (NAMES[old],) if old in NAMES else ()
    elif match.lastgroup == "operator":
        new = COMPARISONS.get(old) or OTHERS.get(old)
        spaced = source[match.start() - 1].isspace() and source[match.end()].isspace()
        if not new and spaced:              # as clang-format has it, between two values
            new = BETWEEN.get(old)
        if new:
            yield new
        elif old == "!":
            yield ""


def _numbers(text: str) -> Iterator[str]:
    """One more, and one less where that is not below 0."""
    found = NUMBER.fullmatch(text)
    assert found is not None
    value = int(found.group(1), 0)
    for other in (value + 1, value - 1):
        if other >= 0:
            yield f"{other}{found.group(2)}"
