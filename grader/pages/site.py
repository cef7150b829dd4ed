"""The site: which pages there are, where their links lead, and what is wrong with them.

handouts/index.md gives the order: a page is a text that it links to, its headings of
the second level are the groups of the contents.  A page is one file with its style
inside; only its figures are files beside it.  `problems` names what is broken: links,
anchors, figures nobody declared, texts that index.md forgot, functions that are not
where a text says.  The pages are written all the same.
"""
from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import jinja2

from grader.pages import cites, markdown
from grader.pages.figures import Figure, NotYet
from grader.pages.markdown import Text
from viz import style

TEMPLATES = Path(__file__).with_name("templates")
INDEX = "index.md"
FIGURES = "figures/"
BOOK = "book"
Draw = Callable[[Figure], Path]


@dataclass
class Page:
    """A text and its place in the site."""

    text: Text
    name: str  # of its file, without the ending
    group: str = ""

    @property
    def file(self) -> str:
        """The file in the site."""
        return f"{self.name}.html"


@dataclass
class Site:
    """All pages in their order, index.md first."""

    root: Path  # of the source tree
    pages: List[Page]
    figures: Dict[str, Figure]
    problems: List[str] = field(default_factory=list)

    def by_path(self, path: Path) -> Optional[Page]:
        """The page of a text, if it is in the site."""
        real = Path(os.path.normpath(path))
        return next((page for page in self.pages if page.text.path == real), None)


def read(root: Path, figures: Dict[str, Figure], source: Optional[Path] = None) -> Site:
    """All texts of the tree at `root`, in the order of index.md; what they cite is in `source`."""
    folder = root / "handouts"
    index = markdown.parse(folder / INDEX)
    site = Site(root, [Page(index, "index")], figures)
    for group, target in _contents(index):
        path = Path(os.path.normpath(folder / target.partition("#")[0]))
        if path.suffix == ".md" and path.is_file() and not site.by_path(path):
            site.pages.append(Page(markdown.parse(path), _name(path), group))
    forgotten = [path for path in sorted(folder.glob("*.md")) if not site.by_path(path)]
    site.problems += [f"{INDEX} does not link to {path.name}" for path in forgotten]
    for page in site.pages:
        site.problems += [f"{page.text.path.name}: {problem}" for problem in _wrong(site, page)]
        site.problems += markdown.wrong_fences(page.text)
        site.problems += [f"{page.text.path.name}: {problem}" for problem in
                          cites.wrong_cites(page.text.codes, source or root)]
    return site


def _name(path: Path) -> str:
    """guests/README.md is the page guests."""
    return path.parent.name if path.stem == "README" else path.stem


def _contents(index: Text) -> Iterator[Tuple[str, str]]:
    """Each link of index.md with the heading under which it stands."""
    group, heading = "", False
    for token in index.tokens:
        heading = token.type == "heading_open" or heading and token.type == "inline"
        for child in token.children or []:
            if heading:
                group = escape(token.content)
            elif child.type == "link_open":
                yield group, str(child.attrGet("href"))


def _wrong(site: Site, page: Page) -> Iterator[str]:
    """Links and images that lead nowhere."""
    for target in page.text.links:
        path, _, anchor = target.partition("#")
        place = page.text.path.parent / path if path else page.text.path
        goal = site.by_path(place)
        if "://" in target:
            continue
        if not place.exists():
            yield f"there is no {path}"
        elif anchor and (goal is None
                         or anchor not in {each.anchor for each in goal.text.headings}):
            yield f"there is no heading {target}"
    for target in page.text.images:
        if target.startswith(FIGURES):
            if Path(target).stem not in site.figures or Path(target).suffix != ".svg":
                yield f"{target} is not declared in figures.toml"
        elif "://" in target or not (page.text.path.parent / target).is_file():
            yield f"there is no picture {target}"


# --- Writing -----------------------------------------------------------------------

def write(site: Site, out: Path, draw: Draw, printed: bool = False) -> List[str]:
    """Write all pages and the book; returns the figures that could not be drawn yet.
    printed: PDF files will lie in out/pdf, and pages lead to them."""
    missing: List[str] = []
    (out / FIGURES).mkdir(parents=True, exist_ok=True)
    template = _template("page.html.j2")
    whole = []
    for place, page in enumerate(site.pages):
        body = _body(site, page, out, draw, missing)
        whole.append((page, body))
        (out / page.file).write_text(template.render(
            site=site, page=page, body=body, printed=printed, before=site.pages[place - 1] if place else None,
            after=site.pages[place + 1] if place + 1 < len(site.pages) else None))
    (out / f"{BOOK}.html").write_text(_template("book.html.j2").render(
        site=site, chapters=[(page, _joined(site, page, body)) for page, body in whole]))
    return missing


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True,
                                     trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.globals.update(theme=style.css(), font=style.FONT_CSS, mono=style.MONO_CSS)
    return environment.get_template(name)


def _body(site: Site, page: Page, out: Path, draw: Draw, missing: List[str]) -> str:
    def resolve(target: str) -> Optional[str]:
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return target
        goal = site.by_path(page.text.path.parent / path)
        return goal and goal.file + (f"#{anchor}" if anchor else "")

    def show(target: str, caption: str) -> str:
        if not target.startswith(FIGURES):
            if not (page.text.path.parent / target).is_file():
                return _blank(f"there is no {target}", caption)
            shutil.copyfile(page.text.path.parent / target, out / FIGURES / Path(target).name)
            return _figure(FIGURES + Path(target).name, None, caption)
        figure = site.figures.get(Path(target).stem)
        if figure is None:
            return _blank("nobody has declared it", caption)
        caption = caption or markdown.inline_html(figure.caption)
        try:
            drawn = draw(figure)
        except NotYet as error:
            missing.append(f"figure {figure.name} is not drawn: {error}")
            return _blank(str(error), caption)
        shutil.copyfile(drawn, out / target)
        return _figure(target, figure, caption, _page_of(drawn, out / target))

    return markdown.to_html(page.text, resolve, show)


def _page_of(drawn: Path, target: Path) -> str:
    """The page that lies beside a drawing, put beside its copy: its address, '' if there is none."""
    page = drawn.with_suffix(".html")
    if not page.is_file():
        return ""
    shutil.copyfile(page, target.with_suffix(".html"))
    return FIGURES + target.with_suffix(".html").name


def _figure(target: str, figure: Optional[Figure], caption: str, page: str = "") -> str:
    """A figure leads to itself alone, or to the page where one can zoom in it."""
    kind = ' class="landscape"' if figure and figure.landscape else ""
    alt = figure.alt if figure else re.sub("<[^>]*>", "", caption)
    words = "Step through it." if figure and figure.draw[0] == "walk" else "Zoom and read totals."
    zoom = f' <a class="zoom" href="{page}">{words}</a>' if page else ""
    return (f'<figure{kind}><div class="wide"><a href="{page or target}"><img src="{target}" '
            f'alt="{escape(alt)}"></a></div>'
            f"<figcaption>{caption}{zoom}</figcaption></figure>\n")


def _blank(why: str, caption: str) -> str:
    return (f'<figure class="missing"><p>Not drawn: {escape(why)}</p>'
            f"<figcaption>{caption}</figcaption></figure>\n")


def _joined(site: Site, page: Page, body: str) -> str:
    """A page's HTML as a chapter of the book: anchors and links get the page's name."""
    body = re.sub(r' id="', f' id="{page.name}--', body)
    body = re.sub(r' href="#(?=[^"])', f' href="#{page.name}--', body)
    for each in site.pages:
        body = body.replace(f' href="{each.file}#', f' href="#{each.name}--')
        body = body.replace(f' href="{each.file}"', f' href="#{each.name}"')
    return body
