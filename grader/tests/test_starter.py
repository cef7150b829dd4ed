"""make starter, on a toy project: what is in it, what is not, and what it refuses.

The starters of the real labs are built and graded in test_lab_reference.py.
"""
from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from grader import plan
from grader.kit import makefile, objects, pages, source, starter, tree
from grader.plan import RunError
from grader.tests import toy


@pytest.fixture()
def root(tmp_path) -> Path:
    return toy.write(tmp_path / "toy")


def made(root: Path, out: Path, lab: int, **options) -> Path:
    starter.write(starter.make(root, lab, **options), out)
    return out


def text_of(folder: Path) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in sorted(folder.rglob("*"))
                     if path.is_file())


@pytest.mark.parametrize("lab", [1, 2])
def test_it_builds_without_a_warning_and_holds_no_solution(root, tmp_path, lab):
    out = made(root, tmp_path / "s", lab)
    toy.build(out)
    said = text_of(out)
    assert "secret_of_two" not in said and "helper_of_two" not in said
    assert ("secret_of_one" in said) == (lab == 2)
    assert "LAB 2 BEGIN" not in said and "LAB 1 BEGIN" not in said
    name = {1: "one", 2: "two"}[lab]
    assert f'/* LAB {lab}: what {name} gives. */\n    todo({lab}, "{lab}.1", x);' in said


def test_what_is_in_it_and_what_is_not(root):
    paths = set(starter.make(root, 1))
    assert paths == {
        "Makefile", "README.md", "src/todo.h", "src/one.c", "prior/src/two.o",
        "prior/headers.sha256", "grader/packages.txt",
        "grader/run.py", "grader/kit/score.py", "grader/oracle/__init__.py",
        "grader/oracle/memory.py", "grader/oracle/deep.py", "grader/oracle/one.py",
        "labs/0-toy/lab.toml", "labs/1-toy/lab.toml", "labs/1-toy/predictions.toml",
        "labs/1-toy/test_one.py", "handouts/lab1.md"}


def test_an_upload_for_graders_has_the_hidden_tests_of_its_lab_and_their_oracles(root):
    paths = set(tree.collect(root, 2, hidden=True))
    assert {"labs/2-toy/hidden/test_h.py", "grader/oracle/hidden_two.py"} <= paths
    assert not {"labs/1-toy/hidden/test_h.py", "labs/2-toy/mutants/m.toml"} & paths


def test_git_says_which_files_are_ours_and_a_walk_where_there_is_no_git(root):
    (root / "src" / "stray.c").write_text("int stray;\n")
    (root / "build").mkdir()
    (root / "build" / "x.c").write_text("int x;\n")
    walked = tree.project_files(root)
    assert "src/stray.c" in walked and "build/x.c" not in walked
    for command in (["init", "-q"], ["add", "."], ["reset", "-q", "src/stray.c", "build"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    assert set(walked) - set(tree.project_files(root)) == {"src/stray.c"}


def test_the_page_tells_what_to_write_and_where(root):
    page = starter.make(root, 2)["README.md"].data.decode()
    assert page.startswith("# Lab 2: Toy 2\n") and "for instructors" not in page
    assert "| 2.1 | `two` | `src/two.c` | what two gives. |" in page
    assert "| 2.1 | helpers, as you like | `src/two.c` | a helper. |" in page
    assert "- `src/two.c`\n- `labs/2-toy/predictions.toml`\n" in page
    assert "src/one.c" not in page


def test_a_functions_attributes_are_not_its_name():
    text = "static __attribute__((noinline, aligned(8))) void named(int x)\n{\n"
    assert source.function(text) == "named" == source.function(text.replace("aligned(8)", "cold"))


# --- Its handouts ------------------------------------------------------------------

def texts(**names: str) -> tree.Files:
    return {f"handouts/{name}.md": tree.File(text.encode()) for name, text in names.items()}


def test_the_handouts_name_only_what_is_there():
    files = texts(index="# All\n\n## Labs\n\n- [One](lab1.md). First, see [two](lab2.md).\n"
                        "- [Two](lab2.md). Later.\n\n## Others\n\n- [I](instructor.md): no.\n",
                  lab1="# One\n\nAfter [all](index.md#labs), before [two](lab2.md); [x](http://x/).\n"
                       "- [Two](lab2.md) again\n")
    pages.fit(files)
    assert files["handouts/index.md"].data.decode() == \
        "# All\n\n## Labs\n\n- [One](lab1.md). First, see two.\n"
    assert files["handouts/lab1.md"].data.decode() == \
        "# One\n\nAfter [all](index.md#labs), before two; [x](http://x/).\n- Two again\n"


def test_the_handouts_are_drawn_from_the_starters_own_texts(monkeypatch):
    svg = plan.ROOT / "handouts" / "style.md"  # any file will do for a picture
    monkeypatch.setattr("grader.pages.figures.Studio.draw", lambda studio, figure: svg)
    files = texts(index="# All\n\n- [One](lab1.md)\n",
                  lab1="# One\n\n![](figures/lab1-exits.svg)\n\n`![](figures/x.svg)`\n")
    pages.draw(files)
    shown = files["handouts/html/lab1.html"].data.decode()
    assert 'src="figures/lab1-exits.svg"' in shown and "hello" in shown
    assert files["handouts/html/figures/lab1-exits.svg"].data == svg.read_bytes()
    assert files["handouts/lab1.md"].data.decode().endswith(
        "![](html/figures/lab1-exits.svg)\n\n`![](figures/x.svg)`\n")
    assert not [path for path in files if "instructor" in path or "lab2" in path]


def test_what_cannot_be_drawn_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(plan, "BUILD", tmp_path)
    monkeypatch.setattr("grader.pages.figures.load.__defaults__",
                        (plan.ROOT / "handouts" / "figures.toml", tmp_path))
    files = texts(index="# All\n\n- [One](lab1.md)\n", lab1="# One\n\n![](figures/lab1-exits.svg)\n")
    with pytest.raises(RunError, match=r"cannot be drawn for the starter.*HANDOUTS=0.*make"):
        pages.draw(files)
    assert set(files) == {"handouts/index.md", "handouts/lab1.md"}


def test_the_page_leads_to_the_handouts_if_they_are_drawn(root, monkeypatch):
    monkeypatch.setattr(pages, "draw", lambda files: None)
    for drawn in (True, False):
        page = starter.make(root, 1, drawn=drawn)["README.md"].data.decode()
        assert ("open `handouts/html/index.html`" in page) == drawn and "`handouts/lab1.md`" in page


# --- Earlier labs ----------------------------------------------------------------

def test_earlier_labs_as_objects(root, tmp_path):
    out = made(root, tmp_path / "s", 2, kind="object")
    assert (out / "prior" / "src" / "one.o").is_file()
    assert not (out / "src" / "one.c").exists() and not (out / "labs" / "1-toy").exists()
    said = text_of(out)
    assert "secret_of_one" not in said and "7919" not in said
    toy.build(out)
    assert (out / "build/obj/src/one.o").read_bytes() == (out / "prior/src/one.o").read_bytes()
    assert "`prior/src/one.o`" in (out / "README.md").read_text()


def test_objects_are_lent_only_where_nothing_has_changed(root, tmp_path):
    toy.build(root)
    copy = toy.write(tmp_path / "copy")
    assert objects.lend(copy, root) == 2
    assert objects.lend(copy, root, ["build/obj/src/two.o"]) == 1
    (copy / "src" / "one.c").write_text("int another;\n")
    assert objects.lend(copy, root) == 1
    os.utime(root / "src" / "todo.h", (2e9, 2e9))       # newer than what was made of it
    assert objects.lend(copy, root) == 0


def test_an_old_object_is_not_taken_for_the_source(root):
    toy.build(root)
    of_now = starter.make(root, 2, kind="object")["prior/src/one.o"].data
    source = root / "src" / "one.c"
    source.write_text(source.read_text().replace("7919", "7901"))
    os.utime(source, (2e9, 2e9))
    assert starter.make(root, 2, kind="object")["prior/src/one.o"].data != of_now


def test_a_students_source_is_taken_before_an_object(root, tmp_path):
    out = made(root, tmp_path / "s", 2, kind="object")
    toy.build(out)
    (out / "src" / "one.c").write_text("int mine;\n")
    toy.build(out)
    symbols = subprocess.run(["nm", "build/obj/src/one.o"], cwd=out, text=True, check=True,
                             capture_output=True).stdout
    assert "mine" in symbols


def test_a_header_that_objects_do_not_fit_is_refused(root, tmp_path):
    out = made(root, tmp_path / "s", 1)
    toy.build(out)
    header = out / "src" / "todo.h"
    header.write_text(header.read_text() + "/* x */\n")
    later = header.stat().st_mtime_ns + 10 ** 9     # than the objects, however quick this was
    os.utime(header, ns=(later, later))
    done = subprocess.run(["make"], cwd=out, text=True, capture_output=True, check=False)
    assert done.returncode and "do not fit this header" in done.stderr
    assert "src/todo.h: FAILED" in done.stdout


def test_a_lab_without_anything_to_write_has_the_others_as_objects(root, tmp_path):
    out = made(root, tmp_path / "s", 0)
    assert sorted(path.name for path in (out / "prior" / "src").iterdir()) == ["one.o", "two.o"]
    assert "secret_of" not in text_of(out) and not list(out.glob("labs/[12]*"))
    toy.build(out)


def test_earlier_labs_as_the_students_own(root, tmp_path):
    mine = tmp_path / "mine"
    for path, text in (("src/one.c", "int mine;\n"), ("labs/1-toy/predictions.toml", "x = 5\n")):
        (mine / path).parent.mkdir(parents=True, exist_ok=True)
        (mine / path).write_text(text)
    (mine / "src" / "two.c").write_text("int not_taken;\n")
    out = made(root, tmp_path / "s", 2, kind="own", source=mine)
    assert (out / "src" / "one.c").read_text() == "int mine;\n"
    assert "not_taken" not in text_of(out) and "secret_of_one" not in text_of(out)


@pytest.mark.parametrize("spoil, what", [
    (lambda file: file.unlink(), "src/one.c"),
    (lambda file: (file.unlink(), file.symlink_to("/etc/hostname")), "src/one.c .*link"),
    (lambda file: file.write_bytes(b"x" * (1 << 21)), "src/one.c is longer than"),
])
def test_a_students_file_that_would_not_be_taken_from_a_submission(root, tmp_path, spoil, what):
    mine = toy.write(tmp_path / "mine")
    spoil(mine / "src" / "one.c")
    with pytest.raises(RunError, match=what):
        starter.make(root, 2, "own", mine)


# --- What it refuses -------------------------------------------------------------

def test_it_never_writes_into_a_folder_that_holds_something(root, tmp_path):
    out = tmp_path / "s"
    files = starter.make(root, 1)
    out.mkdir()
    starter.write(files, out)
    (out / "src" / "one.c").write_text("my work\n")
    with pytest.raises(RunError, match="is not empty: choose another folder, or FORCE=1"):
        starter.write(files, out)
    assert (out / "src" / "one.c").read_text() == "my work\n"
    starter.write(files, out, force=True)
    assert "todo(" in (out / "src" / "one.c").read_text()


def test_it_never_writes_over_the_project(root):
    for place in (plan.ROOT, plan.ROOT.parent):
        with pytest.raises(RunError, match="holds the project itself"):
            starter.write({}, place, force=True)


@pytest.mark.parametrize("options, what", [
    ({"lab": 7}, "there is no lab 7"),
    ({"lab": 2, "kind": "own"}, "belong together"),
    ({"lab": 2, "source": Path("x")}, "belong together"),
    ({"lab": 2, "kind": "own", "source": Path("nowhere")}, "there is no submission nowhere"),
])
def test_a_wrong_request_is_told(root, options, what):
    with pytest.raises(RunError, match=what):
        starter.make(root, **options)


def test_an_error_leaves_nothing_behind(root, tmp_path):
    (root / "src" / "two.c").write_text("/* LAB 2 BEGIN: x. */\n")
    with pytest.raises(RunError, match="src/two.c:1: BEGIN without END"):
        made(root, tmp_path / "s", 1)
    assert not (tmp_path / "s").exists()


# --- The Makefile ----------------------------------------------------------------

def test_the_makefile_is_trimmed():
    text = makefile.trim((plan.ROOT / "Makefile").read_text(), 3)
    assert "LAB      ?= 3\n" in text and "vmm/tests" not in text and "torture" not in text
    assert "\ncheck: all ## the public tests" in text and "UNIT" not in text
    assert "\nstarter:" not in text and "start here" not in text and "once your hypervisor" in text


@pytest.mark.parametrize("text, what", [
    ("LAB ?= 0\n# NOT IN A STARTER\n", "Makefile:2: # NOT IN A STARTER without"),
    ("LAB ?= 0\n# IN A STARTER AGAIN\n", "Makefile:2: .*alternate"),
    ("LAB ?= 0\n# NOT IN A STARTER\n# NOT IN A STARTER\n", "Makefile:3: .*alternate"),
    ("all:\n", "the line that sets LAB is missing"),
])
def test_wrong_marks_in_the_makefile_are_told(text, what):
    with pytest.raises(RunError, match=what):
        makefile.trim(text, 1)
