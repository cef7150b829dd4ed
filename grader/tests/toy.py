"""A project of two small labs, for tests of the kit: marked regions, a Makefile, oracles.

Lab 1 marks src/one.c, lab 2 src/two.c; each has public and hidden tests and a mutant.  The
kernel is two objects.  No machine is run.
"""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict

MAKEFILE = """LAB ?= 0
B := build
.DEFAULT_GOAL := all
all: $(B)/obj/src/one.o $(B)/obj/src/two.o
$(B)/obj/src/%.o: src/%.c Makefile
\t@mkdir -p $(@D)
\tgcc -MMD -g -Wall -Wextra -Werror -c -o $@ $<
# NOT IN A STARTER
unit: build/unit
# IN A STARTER AGAIN
clean:
\trm -rf $(B)
"""
SOURCE = """#include "todo.h"
/* LAB {n} BEGIN: a helper. */
static int secret_helper_of_{name}(int x)
{{
    return x * 7919 + {n} * 104729;
}}
/* LAB {n} END: */

int {name}(int x);
int {name}(int x)
{{
    /* LAB {n} BEGIN: what {name} gives. */
    int secret_of_{name} = secret_helper_of_{name}(x);

    return secret_of_{name} + 1;
    /* LAB {n} END: todo({n}, "{n}.1", x); */
}}
"""
LAB = """[lab]
number = {n}
name = "toy"
title = "Toy {n}"
hours = 2
handout = "handouts/lab{n}.md"
[run]
option = ""
time = "1s"
guests = ["hello"]
[student]
files = [{files}]
[points]
total = 10
"""


def files() -> Dict[str, str]:
    """Every file of the toy project."""
    tree = {
        "Makefile": MAKEFILE, "README.md": "for instructors\n", ".ci/run": "ci\n",
        "src/todo.h": "_Noreturn void todo_stop(int lab, ...);\n"
                      "#define todo(lab, ...) todo_stop(lab, ##__VA_ARGS__)\n",
        "vmm/tests/test_one.c": "int secret_test_of_one;\n", "vmm/fake/fake.c": "int fake;\n",
        "grader/packages.txt": "gcc  gcc --version  compiles\n"
                               "chromium  chromium --version  the browser for that\n",
        "grader/run.py": "def work():\n    from grader.oracle import memory\n",
        "grader/tests/test_x.py": "import grader.oracle.unused\n",
        "grader/kit/starter.py": "SECRET = 1\n", "grader/kit/score.py": "x = 1\n",
        "grader/oracle/__init__.py": "", "grader/oracle/memory.py": "import grader.oracle.deep\n",
        "grader/oracle/deep.py": "", "grader/oracle/unused.py": "", "grader/oracle/one.py": "",
        "grader/oracle/two.py": "", "grader/oracle/hidden_two.py": "",
        "handouts/instructor.md": "threats\n",
        "labs/0-toy/lab.toml": LAB.format(n=0, files=""),
    }
    for n, name in ((1, "one"), (2, "two")):
        folder = f"labs/{n}-toy"
        tree.update({
            f"src/{name}.c": SOURCE.format(n=n, name=name),
            f"{folder}/lab.toml": LAB.format(
                n=n, files=f'"src/{name}.c", "{folder}/predictions.toml"'),
            f"{folder}/predictions.toml": f"[predict]\nx = {n}\n",
            f"{folder}/test_{name}.py": f"from grader.oracle.{name} import x\n",
            f"{folder}/hidden/test_h.py": f"from grader.oracle import hidden_{name}\n",
            f"{folder}/mutants/m.toml": "mistake = \"\"\n",
            f"handouts/lab{n}.md": f"# Lab {n}\n",
        })
    return tree


def write(root: Path) -> Path:
    """Write the toy project below `root`."""
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def build(root: Path) -> str:
    """Run make; what it printed.  A warning is an error there."""
    done = subprocess.run(["make"], cwd=root, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout
