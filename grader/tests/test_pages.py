"""The handouts' site: figures, links, citations, and the commands that the texts show.

Every rule is tried on a text that breaks it.  The pages in a browser: test_pages_browser.py.
"""
from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

from grader.pages import __main__ as command
from grader.pages import cites, figures, markdown, site
from grader.pages.figures import NotYet
from grader.pages.site import Site
from grader.plan import ROOT, RunError
from grader.tests import handout_commands
from grader.tests.handout_commands import Block, blocks

TEXTS = [ROOT / "README.md", ROOT / "guests" / "README.md",
         *sorted((ROOT / "handouts").glob("*.md"))]
HELLO = 'run = { guests = ["hello"] }\ndraw = "walk"\nalt = "x"\n'


def text(folder: Path, words: str, name: str = "page.md") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Site]:
    """A site of made-up texts: name -> Markdown."""
    def make(**texts: str) -> Site:
        pages = {"index": "# All\n\n## Group\n\n[One](one.md)\n", "one": "# One\n", **texts}
        for name, words in pages.items():
            text(tmp_path / "handouts", words, f"{name}.md")
        text(tmp_path / "vmm", "static int\nreal(void)\n{\n}\n", "a.c")
        text(tmp_path / "handouts" / "pictures", "", "there.svg")
        figure = figures.Figure("drawn", (), ("x.py",), "what it shows", "A `caption`.")
        return site.read(tmp_path, {"drawn": figure})
    return make


# --- Our handouts --------------------------------------------------------------------

def test_nothing_is_wrong_with_our_pages():
    whole = site.read(ROOT, figures.load())
    assert not whole.problems
    assert len(whole.pages) >= 6


def test_every_figure_declared_is_shown_somewhere():
    shown = "".join(path.read_text() for path in TEXTS)
    assert not [name for name in figures.load() if f"(figures/{name}.svg)" not in shown]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_text_cites_is_there(path):
    parsed = markdown.parse(path)
    assert not list(cites.wrong_cites(parsed.codes, ROOT))
    assert path.name == "README.md" or not markdown.wrong_fences(parsed)


@pytest.mark.machine
@pytest.mark.parametrize("path", [path for path in TEXTS if blocks(markdown.parse(path).fences)],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_text_do_what_it_says(path, tmp_path, torture):
    copy = handout_commands.copy_tree(tmp_path / "copy")
    for block in blocks(markdown.parse(path).fences):
        if torture or not block.is_long:
            told = handout_commands.wrong(block, *handout_commands.run(block, copy))
            assert told is None, f"{path.name}:{block.fence.line}: {told}"


def misquoted(text: str) -> List[str]:
    """Files that do not hold the code that a text shows as theirs: From `file`, ... ```c."""
    quotes = re.findall(r"^From `([\w/.-]+)`[^\n]*\n\n```\w+\n(.*?)^```", text, re.M | re.S)
    return [name for name, code in quotes if code not in (ROOT / name).read_text()]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_shown_as_a_files_is_in_it(path):
    assert not misquoted(path.read_text())
    assert misquoted("From `vmm/vcpu.c`, as it was:\n\n```c\nvoid\n```\n") == ["vmm/vcpu.c"]


def test_the_texts_show_commands_that_are_run():
    found = [block for path in TEXTS for block in blocks(markdown.parse(path).fences)]
    assert len([block for block in found if block.output]) >= 4
    assert len([block for block in found if not block.is_long]) >= len(found) / 2


# --- Links, anchors, pictures ----------------------------------------------------------

@pytest.mark.parametrize("words, problem", [
    ("[x](none.md)", "there is no none.md"),
    ("[x](one.md#none)", "there is no heading one.md#none"),
    ("[x](#none)", "there is no heading #none"),
    ("![x](figures/none.svg)", "figures/none.svg is not declared"),
    ("![x](figures/drawn.png)", "figures/drawn.png is not declared"),
    ("![x](pictures/none.svg)", "there is no picture"),
    ("![x](https://example.org/x.png)", "there is no picture"),
    ("`vmm/a.c:unreal`", "does not define unreal"),
    ("```\nx\n```", "```"), ("```sh quick\nx\n```", "sh quick"), ("```cobol\nx\n```", "cobol"),
])
def test_what_leads_nowhere_is_named(tree, words, problem):
    assert problem in " ".join(tree(one=f"# One\n\n{words}\n").problems)


def test_what_leads_somewhere_is_fine(tree):
    whole = tree(one="# One\n\n## A b: `c_d`\n\n[x](#a-b-c_d) [y](index.md#all) "
                     "[z](https://example.org) [s](../vmm/a.c)\n\n![](figures/drawn.svg)\n\n"
                     "![x](pictures/there.svg)\n\n`vmm/a.c:real`\n\n```sh long\nx\n```\n")
    assert not whole.problems


def test_a_text_that_the_index_forgot_is_named(tree):
    assert tree(two="# Two\n").problems == ["index.md does not link to two.md"]


def test_pages_stand_in_the_order_of_the_index(tree):
    whole = tree(index="# All\n\n## B\n\n[Two](two.md)\n\n## A\n\n[One](one.md)\n", two="# Two\n")
    assert [(page.name, page.group) for page in whole.pages] == [
        ("index", ""), ("two", "B"), ("one", "A")]


def test_headings_of_the_same_words_get_anchors_of_their_own(tmp_path):
    parsed = markdown.parse(text(tmp_path, "# T\n\n## Same\n\n## Same\n"))
    assert [each.anchor for each in parsed.headings] == ["t", "same", "same-1"]


# --- What is written -------------------------------------------------------------------

def written(whole: Site, out: Path, page: str = "one") -> str:
    def draw(figure: figures.Figure) -> Path:
        return text(out, "<svg/>", "drawn.svg")
    assert not site.write(whole, out, draw)
    return (out / f"{page}.html").read_text()


def test_links_lead_to_pages_and_sources_are_plain(tree, tmp_path):
    html = written(tree(one="# One\n\n[i](index.md#all) [s](../vmm/a.c) [w](https://example.org)\n"),
                   tmp_path / "out")
    assert 'href="index.html#all"' in html and 'href="https://example.org"' in html
    assert re.search(r'class="outside"[^>]*>s<', html) and "../vmm" not in re.sub('title="[^"]*"', "",
                                                                                  html)


def test_a_figure_has_its_words_and_the_texts_caption_wins(tree, tmp_path):
    html = written(tree(one="# One\n\n![](figures/drawn.svg)\n\n![Mine](figures/drawn.svg)\n"),
                   tmp_path / "out")
    assert html.count('alt="what it shows"') == 2
    assert "<figcaption>A <code>caption</code>.</figcaption>" in html
    assert "<figcaption>Mine</figcaption>" in html
    assert (tmp_path / "out" / "figures" / "drawn.svg").read_text() == "<svg/>"


def test_a_figure_with_a_page_of_its_own_leads_there(tree, tmp_path):
    def draw(figure: figures.Figure) -> Path:
        text(tmp_path, "<p>zoom</p>", "drawn.html")
        return text(tmp_path, "<svg/>", "drawn.svg")
    site.write(tree(one="# One\n\n![](figures/drawn.svg)\n"), tmp_path / "out", draw, printed=True)
    html = (tmp_path / "out" / "one.html").read_text()
    assert html.count('href="figures/drawn.html"') == 2 and 'href="pdf/one.pdf"' in html
    assert (tmp_path / "out" / "figures" / "drawn.html").read_text() == "<p>zoom</p>"
    html = written(tree(one="# One\n\n![](figures/drawn.svg)\n"), tmp_path / "other")
    assert 'class="zoom"' not in html and "pdf/" not in html


def test_a_figure_that_waits_for_a_student_is_said_so(tree, tmp_path):
    def draw(figure: figures.Figure) -> Path:
        raise NotYet("lab 1: vcpu_run is not written yet: handout 1.3")
    told = site.write(tree(one="# One\n\n![](figures/drawn.svg)\n"), tmp_path / "out", draw)
    assert "figure drawn is not drawn: lab 1: vcpu_run is not written yet: handout 1.3" in told
    assert "vcpu_run is not written yet" in (tmp_path / "out" / "one.html").read_text()


def test_a_page_knows_its_neighbours_and_the_book_all(tree, tmp_path):
    html = written(tree(one="# One\n\n## Here\n\n[i](index.md) [h](#here)\n"), tmp_path / "out")
    assert 'rel="prev" href="index.html"' in html and 'rel="next"' not in html
    book = (tmp_path / "out" / "book.html").read_text()
    assert 'id="one--here"' in book and 'href="#one--here"' in book and 'href="#index"' in book


def test_code_is_coloured_and_tables_can_scroll(tree, tmp_path):
    html = written(tree(one="# One\n\n1. x\n\n   ```c\n   int a;\n   ```\n\n|a|\n|-|\n|1|\n"),
                   tmp_path / "out")
    assert '<span class="kt">int</span>' in html and '<div class="wide"><table>' in html


# --- Citations -------------------------------------------------------------------------

@pytest.mark.parametrize("code", [
    "vmm/vcpu.c:vcpu_run", "vcpu.c:vcpu_run()", "vmm/svm/svm_run.S:svm_enter", "vmm/hv.h:hv_ops",
    "grader/pages/cites.py:wrong_cites", "grader/pages/site.py:Page.file", "vmm/exit.c:exit_handlers",
    "kernel/types.h:PAGE_SIZE", "kernel/trace_events.def:walk_ref", "vmm/hv.h:GPR_RAX",
])
def test_what_is_there_may_be_cited(code):
    assert not list(cites.wrong_cites([code], ROOT))


@pytest.mark.parametrize("code", [
    "vmm/vcpu.c:vcpu_walk", "vmm/none.c:vcpu_run", "none.c:f", "__init__.py:main", "vmm/vcpu.c:100",
    "vmm/svm/svm_run.S:vmrun", "grader/pages/cites.py:re", "vmm/exit.c:vcpu_run", "vmm/vcpu.c:return",
])
def test_what_is_not_there_is_found(code):
    assert len(list(cites.wrong_cites([code], ROOT))) == 1


# --- Commands --------------------------------------------------------------------------

def only(tmp_path: Path, words: str) -> Block:
    return blocks(markdown.parse(text(tmp_path, words)).fences)[0]


@pytest.mark.parametrize("words", [
    "```sh\nfalse\ntrue\n```", "```sh\nfalse | cat\n```", "```sh fails\ntrue\n```",
    "```sh\necho a\n```\n\n```output\nb\n```", "```sh\necho a; echo b\n```\n\n```output\nb\na\n```",
    "```sh\necho abc\n```\n\n```output\nab\n```", "```sh\necho $NONE\n```",
])
def test_a_command_that_does_not_do_what_the_text_says_is_found(tmp_path, words):
    block = only(tmp_path, words)
    assert handout_commands.wrong(block, *handout_commands.run(block, tmp_path))


@pytest.mark.parametrize("words", [
    "```sh\necho a; echo b 17 c\n```\n\nthen\n\n```output\nb ... c\n```",
    "1. do\n\n   ```sh fails\n   echo why >&2; exit 3\n   ```\n\n   ```output\n   why\n   ```\n",
])
def test_a_command_that_does_is_not(tmp_path, words):
    block = only(tmp_path, words)
    assert block.output
    assert handout_commands.wrong(block, *handout_commands.run(block, tmp_path)) is None


# --- Figures ---------------------------------------------------------------------------

@pytest.mark.parametrize("table, said", [
    ('draw = "walk"\nalt = "x"', "viz walk draws 1 runs at most, not 0"),
    (HELLO.replace("walk", "dance"), "draw must begin with"),
    (HELLO.replace('alt = "x"', ""), "alt is missing"),
    (HELLO + 'colour = "red"', "unknown key colour"),
    (HELLO.replace('["hello"]', '"hello"'), "guests is not of type list"),
    (HELLO.replace('guests = ["hello"]', "lab = 99"), "there is no lab 99"),
    (HELLO.replace('guests = ["hello"]', "seed = 1"), "guests or a lab"),
    (HELLO.replace('"walk"', '"none.py"'), "there is no script"),
    ("alt =", "figures.toml"),
])
def test_a_wrong_declaration_is_one_sentence(tmp_path, table, said):
    with pytest.raises(RunError, match=re.escape(said)):
        figures.load(text(tmp_path, f"[a]\n{table}\n", "figures.toml"))


def declared(tmp_path: Path, **change: Any) -> figures.Figure:
    fields: Dict[str, str] = {"guests": '["hello-pae"]', "draw": "walk", **change}
    return figures.load(text(tmp_path, f'[a]\nrun = {{ guests = {fields["guests"]}, time = "20ms" }}\n'
                             f'draw = "{fields["draw"]}"\nalt = "x"\n', "figures.toml"))["a"]


@pytest.mark.machine
def test_a_figure_is_drawn_once_and_anew_when_something_changes(tmp_path):
    studio = figures.Studio(tmp_path / "kept")
    first = studio.draw(declared(tmp_path))
    assert studio.made == 3 and "<svg" in first.read_text()     # the run, a picture, its page
    assert "play" in first.with_suffix(".html").read_text()
    assert studio.draw(declared(tmp_path)) == first and studio.made == 3
    assert studio.draw(declared(tmp_path, draw="walk --vm 1")) != first and studio.made == 5
    other = figures.Studio(tmp_path / "kept")
    changed = other.draw(declared(tmp_path, guests='["hello-pae -- x"]', draw="timeline"))
    assert "<html" in changed.with_suffix(".html").read_text()
    other.forget_others()
    assert other.made == 3 and not first.exists()
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == sorted(
        path.name for path in other.used) and changed in other.used


@pytest.mark.machine
@pytest.mark.parametrize("change, said", [
    ({"draw": "walk --vm 7"}, "walk"), ({"guests": '["hello mmu=none"]'}, "mmu"),
    ({"guests": '["none"]'}, "there is no guest"), ({"draw": "timeline --from 9s"}, "timeline"),
])
def test_a_figure_that_cannot_be_drawn_is_one_sentence(tmp_path, change, said):
    with pytest.raises(RunError, match=said):
        figures.Studio(tmp_path / "kept").draw(declared(tmp_path, **change))
    assert not list((tmp_path / "kept").glob("a-*"))


@pytest.mark.machine
def test_a_script_gets_its_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    shutil.copytree(ROOT / "viz", tmp_path / "viz")
    text(tmp_path / figures.SCRIPTS, "import sys, viz.trace\n"
         "*words, _, out, one, two = sys.argv[1:]\n"
         "traces = [viz.trace.load(f'{run}/trace.bin') for run in (one, two)]\n"
         "open(out, 'w').write(f'{words} {[len(each) for each in traces]}')\n", "two.py")
    path = text(tmp_path, '[a]\nruns = [{ guests = ["hello"] }, { guests = ["hello", "hello"] }]\n'
                'draw = "two.py --word"\nalt = "x"\n', "figures.toml")
    drawn = figures.Studio(tmp_path / "kept").draw(figures.load(path)["a"]).read_text()
    said = re.fullmatch(r"\['--word'\] \[(\d+), (\d+)\]", drawn)
    assert said and 0 < int(said[1]) < int(said[2])


def test_a_broken_text_is_told_and_the_rest_is_written(tree, tmp_path, monkeypatch, capsys):
    tree(one="# One\n\n[x](none.md)\n")
    text(tmp_path / "handouts", "", "figures.toml")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "DECLARED", tmp_path / "handouts" / "figures.toml")
    words = ["--out", str(tmp_path / "out"), "--build", str(tmp_path / "build"), "--no-pdf"]
    assert command.main(words) == command.BROKEN
    assert "one.md: there is no none.md" in capsys.readouterr().err
    assert (tmp_path / "out" / "one.html").is_file()
    tree(one="# One\n")
    assert command.main(words) == command.OK
