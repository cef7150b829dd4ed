"""Marked regions: what they become in a starter, and each rule broken once.

Last, the rules over the whole tree: every region of ours parses, lab.toml names exactly
the files that hold a lab's regions, and no mark stands where nothing would strip it.
"""
from __future__ import annotations

from pathlib import Path

import pytest

from grader import labtoml
from grader.kit import regions, source
from grader.kit.regions import RegionError
from grader.plan import ROOT

GOOD = '''/* A file. */
#include "kernel/todo.h"

/* LAB 2 BEGIN: two helpers that take
 * turns. */
static int half(int x)
{
    return x / 2; /* } */
}

static int twice(int x) { return 2 * x; }
/* LAB 2 END: */

int both(int x, const char *why)
{
    /* LAB 2 BEGIN: adds the two. */
    if (why[0] == '}') {
        return 0;
    }
    return half(x) + twice(x);
    /* LAB 2 END: todo(2, "2.1", x,
                       why); */
}
'''
STRIPPED = '''/* A file. */
#include "kernel/todo.h"

/* LAB 2: two helpers that take
 * turns. */

int both(int x, const char *why)
{
    /* LAB 2: adds the two. */
    todo(2, "2.1", x,
        why);
}
'''
ASSEMBLY = '''run:
    push %rbx
/* LAB 1 BEGIN: loads what hardware does not. */
    mov (%rdi), %rax
    mov 8(%rdi), %rcx
/* LAB 1 END: jmp run_todo */
    ret
'''


def body(inside: str, begin: str = "LAB 1 BEGIN: does it.", end: str = "LAB 1 END: todo(1);") -> str:
    return f"void f(void)\n{{\n    /* {begin} */\n{inside}    /* {end} */\n}}\n"


def test_a_starter_has_the_sentence_and_the_stub():
    assert regions.strip(GOOD, "a.c", 2) == STRIPPED
    assert regions.strip(GOOD, "a.c", 1) == STRIPPED


def test_an_earlier_lab_keeps_its_solution_without_marks():
    kept = regions.strip(GOOD, "a.c", 3)
    assert "return half(x) + twice(x);\n}" in kept and "static int half" in kept
    assert "BEGIN" not in kept and "END" not in kept and "/* LAB 2: adds the two. */" in kept


def test_assembly_is_stripped_too():
    assert regions.strip(ASSEMBLY, "a.S", 1) == (
        "run:\n    push %rbx\n/* LAB 1: loads what hardware does not. */\njmp run_todo\n    ret\n")


def test_regions_are_told():
    found = regions.parse(GOOD, "a.c")
    assert [(each.lab, each.sentence.split()[0], each.begin.line) for each in found] == [
        (2, "two", 4), (2, "adds", 16)]
    assert found[0].sentence == "two helpers that take turns."
    assert found[0].stub == "" and found[1].stub.startswith("todo(2")


def test_a_stub_of_two_lines_loses_the_comments_star():
    text = body("    g(1);\n", end="LAB 1 END: todo(1, a,\n     * b);")
    assert "todo(1, a,\n        b);" in regions.strip(text, "a.c", 1)


def test_a_file_without_regions_is_left_as_it_is():
    assert regions.strip("int a; /* of LAB 1 */\n", "a.c", 0) == "int a; /* of LAB 1 */\n"


@pytest.mark.parametrize("text, line, what", [
    (body("/* LAB 1 BEGIN: again. */\n"), 4, "a region inside that of line 3"),
    (body("", end=""), 3, "BEGIN without END"),
    (body("", begin="x"), 4, "END without BEGIN"),
    (body("", end="LAB 2 END: todo(2);"), 4, "END of lab 2, but line 3 begins lab 1"),
    (body("", end="LAB 1 END: todo(2);"), 4, "todo of lab 2 in a region of lab 1"),
    (body("") + body("", "LAB 2 BEGIN: it.", "LAB 2 END: todo(2);"), 8, "labs 1 and 2 in one file"),
    (body("", end="LAB 1 END: a(); b(); todo(1);"), 4, "a stub of 3 statements"),
    (body("", end="LAB 1 END: todo(1)"), 4, "does not end in a semicolon"),
    (body("", end="LAB 1 END:"), 4, "a function body needs a stub"),
    (body("", begin="LAB 1 BEGIN: does it"), 3, "in one sentence"),
    (body("", begin="LAB 1 BEGIN:"), 3, "in one sentence"),
    (body("    a();\n    TRACE(exit, 1, 0);\n"), 5, "TRACE call inside"),
    (body("    a();\n#include \"x.h\"\n"), 5, "#include inside"),
    (body("    if (a) {\n"), 3, "the whole content of one function body"),
    (body("    }\n    if (b) {\n"), 3, "the whole content of one function body"),
    ("void f(void)\n{\n    a();\n    /* LAB 1 BEGIN: x. */\n    /* LAB 1 END: todo(1); */\n}\n", 4,
     "the whole content"),
    ("void f(void)\n{\n    /* LAB 1 BEGIN: x. */\n    /* LAB 1 END: todo(1); */\n    a();\n}\n", 3,
     "the whole content"),
    ("struct s {\n    /* LAB 1 BEGIN: x. */\n    int a;\n    /* LAB 1 END: todo(1); */\n};\n", 2,
     "the whole content"),
    ("/* LAB 1 BEGIN: x. */\nstruct s {\n    int a;\n};\n/* LAB 1 END: */\n", 2,
     "not a whole function inside a region: struct s"),
    ("/* LAB 1 BEGIN: x. */\nstatic int f(void);\n/* LAB 1 END: */\n", 2, "not a whole function"),
    ("/* LAB 1 BEGIN: x. */\n#define A 1\n/* LAB 1 END: */\n", 2, "not a whole function"),
    ("/* LAB 1 BEGIN: x. */\n\nint f(void)\n{\n}\n/* LAB 1 END: */\n", 3, "that others call"),
    ("/* LAB 1 BEGIN: x. */\nstatic void f(void)\n{\n}\n/* LAB 1 END: todo(1); */\n", 5,
     "the stub of a run of functions is empty"),
    ("int a; /* LAB 1 BEGIN: x. */\n", 1, "stands alone"),
    ("/* Lab 1 begin: x. */\n", 1, "not a mark"),
    ("int a;\n// LAB 1 BEGIN: x.\n", 2, "not a mark"),
    ("/* LAB 1 BEGIN x. */\n", 1, "not a mark"),
])
def test_each_rule_is_enforced_with_file_and_line(text, line, what):
    with pytest.raises(RegionError) as caught:
        regions.parse(text, "vmm/a.c")
    assert str(caught.value).startswith(f"vmm/a.c:{line}: ") and what in str(caught.value)


# --- Source text -----------------------------------------------------------------

def test_blanked_text_keeps_its_places():
    text = 'a("{" /* } */, \'{\'); // {\nb;\n'
    code = source.blank(text)
    assert len(code) == len(text) and source.depth(code) == 0 and code.index("b;") == text.index("b;")


@pytest.mark.parametrize("same", ["int a ;\n/* no */ int  b;", "int a;int b;// x", "int a;\n\tint b;\n"])
def test_layout_and_comments_do_not_change_a_fingerprint(same):
    assert source.fingerprint(same) == source.fingerprint("int a; int b;")
    assert source.fingerprint(same) != source.fingerprint("int a; int c;")


@pytest.mark.parametrize("before, name", [
    ("int a(void)\n{\n}\n\nstatic int b(int x,\n             int y)\n{\n", "b"),
    ("struct x *c(struct y (*z)(int))\n{\n", "c"),
    ("#define e(x) x\n/* f( */\nint g(void)\n{\n", "g"),
    (".globl run\nrun:\n    push %rbx\n", "run"),
])
def test_the_function_around_a_place_is_named(before, name):
    assert source.function(before) == name


# --- Our tree --------------------------------------------------------------------

def sources():
    for path in sorted(ROOT.glob("kernel/**/*")) + sorted(ROOT.glob("vmm/**/*")):
        if path.suffix in (".c", ".h", ".S"):
            yield path.relative_to(ROOT)


def test_every_region_of_the_tree_obeys_and_is_listed_in_its_lab():
    marked = {}
    for path in sources():
        for region in regions.parse((ROOT / path).read_text(), str(path)):
            marked.setdefault(region.lab, set()).add(str(path))
    for toml in sorted(ROOT.glob("labs/*/lab.toml")):
        lab = labtoml.load(toml, ROOT)
        listed = {file for file in lab.files if Path(file).suffix in (".c", ".h", ".S")}
        assert listed == marked.pop(lab.number, set()), f"[student] files of {toml}"
    assert not marked, "regions of labs that are not there"


def test_files_with_a_todo_include_its_header():
    for path in sources():
        text = (ROOT / path).read_text()
        if path.suffix == ".c" and any("todo(" in each.stub
                                       for each in regions.parse(text, str(path))):
            assert '#include "kernel/todo.h"' in text, path


def test_there_are_no_marks_where_nothing_strips_them():
    for folder in ("guests", "viz", "labs"):
        for path in sorted((ROOT / folder).glob("**/*")):
            if path.suffix in (".c", ".h", ".S", ".py", ".js", ".ld"):
                assert not regions.NEARLY.search(path.read_text()), path
