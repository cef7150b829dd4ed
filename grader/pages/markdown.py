"""One Markdown text to HTML: headings with anchors, highlighted code, figures, tables.

CommonMark by Debian's markdown-it, code coloured by Pygments.  Headings get the
anchors that code hosting sites give them, so that links work there as well.  Where
links lead and what a figure shows is the caller's business (site.py).

A fence says what it holds: ```c, ```toml, ...; ```sh is run by the tests (`sh long`:
only at length, `sh fails`: must end with a status other than 0); ```output is what the
block above it prints; ```text is neither.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

LEXERS = {"sh": "bash", "c": "c", "S": "gas", "python": "python", "toml": "toml", "json": "json",
          "make": "make", "diff": "diff", "ld": "", "output": "", "text": ""}
FLAGS = {"sh": ("long", "fails")}
FORMATTER = HtmlFormatter(nowrap=True)
Resolve = Callable[[str], Optional[str]]  # a link's target as written; None: outside the site
Draw = Callable[[str, str], str]  # an image's target and its caption as HTML -> a figure


@dataclass(frozen=True)
class Heading:
    """A heading, its anchor and its words (HTML)."""

    level: int
    anchor: str
    words: str


@dataclass(frozen=True)
class Fence:
    """A block of code: language, flags, contents, the line where it begins."""

    language: str
    flags: Tuple[str, ...]
    code: str
    line: int


@dataclass
class Text:
    """A Markdown text, parsed."""

    path: Path
    tokens: List[Token]
    headings: List[Heading] = field(default_factory=list)
    links: List[str] = field(default_factory=list)
    images: List[str] = field(default_factory=list)
    fences: List[Fence] = field(default_factory=list)
    codes: List[str] = field(default_factory=list)  # what stands between backquotes

    @property
    def title(self) -> str:
        """The first heading, as HTML."""
        return self.headings[0].words if self.headings else self.path.stem


def parse(path: Path) -> Text:
    """Read a text and list what it holds."""
    engine = _engine()
    text = Text(path, engine.parse(path.read_text()))
    used: Dict[str, int] = {}
    for place, token in enumerate(text.tokens):
        if token.type == "heading_open":
            inline = text.tokens[place + 1]
            anchor = slug(inline.children or [], used)
            token.attrSet("id", anchor)
            words = engine.renderer.renderInline(inline.children or [], engine.options, {})
            text.headings.append(Heading(int(token.tag[1]), anchor, words))
        if token.type == "fence":
            words = token.info.split()
            text.fences.append(Fence(words[0] if words else "", tuple(words[1:]), token.content,
                                     (token.map or [0])[0] + 1))
        for child in token.children or []:
            _note(text, child)
    return text


def slug(words: List[Token], used: Dict[str, int]) -> str:
    """The anchor of a heading: its words in lower case, a hyphen for each space."""
    plain = "".join(word.content for word in words).strip().lower()
    anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
    used[anchor] = used.get(anchor, -1) + 1
    return f"{anchor}-{used[anchor]}" if used[anchor] else anchor


def wrong_fences(text: Text) -> List[str]:
    """Fences of no known language, or with flags that it does not have."""
    return [f"{text.path.name}:{fence.line}: ```{' '.join((fence.language, *fence.flags))}"
            for fence in text.fences if fence.language not in LEXERS
            or not set(fence.flags) <= set(FLAGS.get(fence.language, ()))]


def to_html(text: Text, resolve: Resolve, draw: Draw) -> str:
    """The text as HTML, its links and images as `resolve` and `draw` say."""
    engine = _engine()
    tokens = _with_figures(text.tokens, engine, draw)
    for token in tokens:
        for child in token.children or []:
            _point(child, resolve)
    return engine.renderer.render(tokens, engine.options, {})


def inline_html(words: str) -> str:
    """A line of Markdown as HTML, for captions."""
    return _engine().renderInline(words)


def _engine() -> MarkdownIt:
    engine = MarkdownIt("commonmark").enable("table")
    engine.add_render_rule("fence", _fence)
    engine.add_render_rule("table_open", _table_open)
    engine.add_render_rule("table_close", _table_close)
    return engine


def _note(text: Text, child: Token) -> None:
    if child.type == "link_open":
        text.links.append(str(child.attrGet("href")))
    elif child.type == "image":
        text.images.append(str(child.attrGet("src")))
    elif child.type == "code_inline":
        text.codes.append(child.content)


def _point(child: Token, resolve: Resolve) -> None:
    """Let a link lead where it should; one that leads out of the site becomes plain words."""
    if child.type == "link_open":
        target = str(child.attrGet("href"))
        found = resolve(target)
        if found is None:
            child.attrSet("class", "outside")
            child.attrSet("title", f"in the source tree: {target}")
        child.attrSet("href", "#" if found is None else found)


def _with_figures(tokens: List[Token], engine: MarkdownIt, draw: Draw) -> List[Token]:
    """A paragraph that is an image becomes a figure."""
    result: List[Token] = []
    place = 0
    while place < len(tokens):
        image = _lone_image(tokens[place:place + 2])
        if image is None:
            result.append(tokens[place])
            place += 1
            continue
        caption = engine.renderer.renderInline(image.children or [], engine.options, {})
        figure = Token("html_block", "", 0)
        figure.content = draw(str(image.attrGet("src")), caption)
        result.append(figure)
        place += 3
    return result


def _lone_image(tokens: List[Token]) -> Optional[Token]:
    if len(tokens) < 2 or tokens[0].type != "paragraph_open":
        return None
    children = tokens[1].children or []
    return children[0] if len(children) == 1 and children[0].type == "image" else None


def _fence(renderer: object, tokens: List[Token], place: int, options: object, env: object) -> str:
    words = tokens[place].info.split() or ["text"]
    code = tokens[place].content
    lexer = LEXERS.get(words[0], "")
    shown = highlight(code, get_lexer_by_name(lexer, stripnl=False), FORMATTER) if lexer \
        else escape(code)
    return f'<pre class="{escape(words[0])}"><code>{shown}</code></pre>\n'


def _table_open(renderer: object, tokens: List[Token], place: int, options: object,
                env: object) -> str:
    return '<div class="wide"><table>\n'


def _table_close(renderer: object, tokens: List[Token], place: int, options: object,
                 env: object) -> str:
    return "</table></div>\n"
