"""C and assembly text, as far as regions and hashes need it: comments, braces, functions.

This is no C parser: it knows comments, strings, braces and what clang-format makes of a
function.  blank() keeps every offset and line, so what is found in blanked text is found
in the text itself.
"""
from __future__ import annotations

import hashlib
import re
from typing import Iterator, List, Tuple

COMMENT = r"/\*.*?\*/|//[^\n]*"
STRING = r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
TOKEN = re.compile(f"({COMMENT})|({STRING})", re.S)


def blank(text: str) -> str:
    """The text with every comment as spaces and every string's inside as x."""
    def clear(match: "re.Match[str]") -> str:
        if match[1]:
            return re.sub(r"[^\n]", " ", match[0])
        return match[0][0] + "x" * (len(match[0]) - 2) + match[0][-1]
    return TOKEN.sub(clear, text)


def depth(code: str) -> int:
    """How many braces are open at the end of blanked text."""
    return code.count("{") - code.count("}")


def balanced(code: str) -> bool:
    """Whether every brace of blanked text is closed in it, and none that was open before."""
    open_braces = 0
    for brace in re.findall(r"[{}]", code):
        open_braces += 1 if brace == "{" else -1
        if open_braces < 0:
            return False
    return open_braces == 0


def opens_function(code: str) -> bool:
    """Whether blanked text ends right behind the opening brace of a function."""
    code = code.rstrip()
    return depth(code) == 1 and code.endswith("{") and code[:-1].rstrip().endswith(")")


def function(before: str) -> str:
    """The function, or in assembly the label, inside which the text `before` ends."""
    code = re.sub(r"__attribute__\s*\(\([^()]*(?:\([^()]*\))?[^()]*\)\)", "", blank(before))
    heads = re.findall(r"^(?:[A-Za-z_][^;{}#:]*?\b(\w+)\(|(\w+):)", code, re.M)
    return "".join(heads[-1]) if heads else ""


def statements(stub: str) -> List[str]:
    """The statements of a stub; an instruction of assembly is one."""
    pieces = re.split(r";" if ";" in blank(stub) else r"\n", blank(stub))
    return [piece.strip() for piece in pieces if piece.strip()]


def items(code: str) -> Iterator[Tuple[int, str, str]]:
    """What stands outside of all braces of blanked text: (offset, its head, its kind).

    The kind is "function" for a definition, else "other"; a preprocessor line is one item.
    """
    position = 0
    while True:
        match = re.compile(r"\s*(?=\S)").match(code, position)
        if match is None:
            return
        start = match.end()
        position = _end_of_item(code, start)
        head = " ".join(re.split(r"[{;]", code[start:position])[0].split())
        whole = code[start:position]
        is_function = head.endswith(")") and whole.endswith("}") and "=" not in head
        yield start, head, "function" if is_function else "other"


def _end_of_item(code: str, start: int) -> int:
    if code[start] == "#":
        return _or_end(code, re.compile(r"(?<!\\)\n").search(code, start))
    stop = re.compile(r"[;{}]").search(code, start)
    if stop is None or stop[0] != "{":
        return _or_end(code, stop)
    open_braces = 0
    for brace in re.compile(r"[{}]").finditer(code, start):
        open_braces += 1 if brace[0] == "{" else -1
        if open_braces == 0:
            return _past_semicolon(code, brace.end())
    return len(code)


def _or_end(code: str, match: "re.Match[str] | None") -> int:
    return len(code) if match is None else match.end()


def _past_semicolon(code: str, position: int) -> int:
    """`struct x {...};` and `int t[] = {...};` end behind their semicolon."""
    match = re.compile(r"[^;{}\n]*;").match(code, position)
    return match.end() if match else position


def without_comments(text: str) -> str:
    """The text with a space for each comment; strings stay."""
    return TOKEN.sub(lambda match: " " if match[1] else match[0], text)


def fingerprint(text: str) -> str:
    """A hash that layout and comments do not change: equal ones are the same program text."""
    words = "".join(without_comments(text).split())
    return hashlib.sha256(words.encode()).hexdigest()
