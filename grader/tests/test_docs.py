"""What the texts cite exists: files, make targets, labs, guests, names, command lines.

The texts are README.md, guests/README.md and the handouts.  Each rule is a function
from a text to what is wrong with it, so that broken texts are tried here as well.
Commands are parsed, not run; but the kernel that guests/README.md shows is built
and booted as it says.
"""
from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

from grader import __main__ as grader_main
from grader import args, labtoml
from grader.plan import ROOT, RunError
from viz import __main__ as viz_main
from viz.walk import HOW_TO_ASK

TEXTS = [ROOT / "README.md", ROOT / "guests" / "README.md",
         *sorted((ROOT / "handouts").glob("*.md"))]
FOLDERS = ("kernel", "vmm", "guests", "viz", "grader", "labs", "handouts")
SOURCE = re.compile(r"[\w./*-]+\.(c|h|S|py|md|def|ld)")
FIGURE = re.compile(r"figures/[\w-]+\.svg")
PLACEHOLDER = re.compile(r"\bN-name\b|\bNAME\b")  # of any lab, of any name
OF_LINUX = ("arch/", "virt/")  # "what real systems do" cites its files
SHOWN_THERE = {"mine.c", "mine.ld"}  # the reader is to write them
MAKEFILE = (ROOT / "Makefile").read_text() + (ROOT / "grader/kit/starter.mk").read_text()
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.M))
GUESTS = set(" ".join(re.findall(r"^GUESTS\d+ *:= (.*)$", MAKEFILE, re.M)).split())
COMMAND = re.compile(r"/usr/bin/python3 -m (grader|viz) (.*)")


# --- The rules -------------------------------------------------------------------

def codes(text: str) -> Iterator[str]:
    """All that is set as code: the lines of blocks, and what stands between backquotes."""
    blocks = re.compile(r"^ *```[\w ]*\n(.*?)^ *```", re.M | re.S)
    for block in blocks.findall(text):
        yield from (line.strip() for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", blocks.sub("", text))


def missing_files(text: str, folder: Path) -> List[str]:
    """Links and source files that are not there, seen from the root or the text's folder."""
    links = re.findall(r"\]\(([^)#]+)\)", text)
    names = [code for code in codes(text) if SOURCE.fullmatch(code)
             or re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./*-]*", code)]
    wrong = [link for link in links if "://" not in link and not (folder / link).exists()
             and not FIGURE.fullmatch(link)]  # drawn by make handouts: test_pages.py
    return wrong + [name for name in names if name not in SHOWN_THERE
                    and not name.startswith(OF_LINUX)
                    and not any(list(base.glob(PLACEHOLDER.sub("*", name.rstrip("/"))))
                            for base in (ROOT, folder))]


def wrong_makes(text: str) -> List[str]:
    """Targets that the Makefile lacks, and labs that are not there."""
    wrong = []
    for code in codes(text):
        for target in re.findall(r"\bmake ([a-z][\w-]*)", code):
            if target not in TARGETS:
                wrong.append(f"make {target}")
        for number in re.findall(r"\bLAB=(\d+)", code):
            try:
                labtoml.find(ROOT, int(number))
            except RunError as error:
                wrong.append(str(error))
    return wrong


def wrong_commands(text: str) -> List[str]:
    """Command lines that would be refused."""
    wrong = []
    for code in codes(text):
        found = COMMAND.fullmatch(code)
        if not found:
            continue
        try:
            CHECKS[found[1]](shlex.split(found[2]))
        except (SystemExit, RunError, args.ArgError, ValueError) as error:
            wrong.append(f"{code}: {error}")
    return wrong


def check_grader(words: List[str]) -> None:
    options = grader_main._parse(words)
    if options.command != "run":
        return
    grader_main._request(options)
    args.parse_options(f"{options.option} time={options.time or '1s'}")
    for guest in options.guest:
        name = args.parse_guest(guest).name
        if name not in GUESTS and Path(name).with_suffix(".c").name not in SHOWN_THERE:
            raise ValueError(f"there is no guest {name}")


def check_viz(words: List[str]) -> None:
    viz_main.build_parser(words[0]).parse_args(words)


CHECKS = {"grader": check_grader, "viz": check_viz}


def unknown_names(text: str) -> List[str]:
    """Identifiers of the source that no file cited in the same text has."""
    cited = [path for code in codes(text) if SOURCE.fullmatch(code)
             for path in ROOT.glob(code) if path.is_file()]
    source = "\n".join(path.read_text() for path in cited)
    names = [code for code in codes(text) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)*(\(\))?", code)]
    return [name for name in names
            if not re.search(rf"\b{name.rstrip('()')}\b", source)]


# --- Our texts -------------------------------------------------------------------

@pytest.fixture(params=TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request) -> Path:
    return request.param


def test_every_file_cited_exists(document):
    assert not missing_files(document.read_text(), document.parent)


def test_every_make_target_and_lab_cited_exists(document):
    assert not wrong_makes(document.read_text())


def test_every_command_line_cited_parses(document, capsys):
    wrong = wrong_commands(document.read_text())
    assert not wrong, capsys.readouterr().err


def test_every_function_of_the_reading_order_is_where_it_says():
    assert not unknown_names((ROOT / "handouts" / "reading-order.md").read_text())


def test_the_guests_are_those_that_are_built():
    page = (ROOT / "guests" / "README.md").read_text()
    table = page[page.index("| guest |"):page.index("\n## ")]
    names = [cell.strip() for row in table.splitlines()[2:] if row.startswith("|")
             for cell in row.split("|")[1].split(",")]
    assert sorted(names) == sorted(GUESTS)


def test_the_guests_that_ask_for_walks_are_named():
    said = re.search(r"of ours (.*?) do;", HOW_TO_ASK)[1]
    files = [path.stem.replace("_", "-") for path in (ROOT / "guests").glob("*.c")
             if "guest_walk(" in path.read_text()]
    assert set(re.split(", | and ", said)) == {
        name if name in GUESTS else name.partition("-")[0] for name in files}


def test_the_entry_checks_are_those_that_can_be_broken():
    page = (ROOT / "handouts" / "formats.md").read_text()
    listed = re.findall(r"`(\w+)`", re.search(r"^What `break=` takes on `qemu-svm`: (.*)$",
                                              page, re.M)[1])
    source = (ROOT / "vmm" / "svm" / "svm_break.c").read_text()
    assert listed == re.findall(r'\{"(\w+)", break_\w+\}', source)
    listed = re.findall(r"`(\w+)`", re.search(r"On `bochs-vmx`: (.*?)\. Bochs", page)[1])
    source = (ROOT / "vmm" / "vmx" / "vmx_break.c").read_text()
    assert listed == re.findall(r'^    \{"(\w+)", VMCS_', source, re.M)


def test_the_texts_cite_enough_to_be_tried():
    said = [code for path in TEXTS for code in codes(path.read_text())]
    assert len([code for code in said if COMMAND.fullmatch(code)]) >= 8
    assert len([code for code in said if SOURCE.fullmatch(code)]) >= 40


@pytest.mark.machine
def test_the_kernel_that_is_shown_runs_as_shown(machine, tmp_path):
    page = (ROOT / "guests" / "README.md").read_text()
    for kind, name in (("c", "mine.c"), ("ld", "mine.ld")):
        block = re.search(rf"^```{kind}\n(.*?)^```", page, re.M | re.S)[1]
        (tmp_path / name).write_text(block)
    build, run = re.search(r"^```text\n(gcc .*)\n(.*)\n```", page, re.M).groups()
    subprocess.run(shlex.split(build) + ["-Wall", "-Wextra", "-Werror"], cwd=tmp_path, check=True)
    guest = grader_main._parse(shlex.split(run)[3:]).guest[0]
    made = machine((f"{tmp_path}/{guest}",))
    assert "[1 mine] hello from me\n" in made.console
    assert made.json["vms"][0]["how"] == "HALTED"


# --- Broken texts ----------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "[a page](handouts/none.md)", "![a picture](pictures/none.svg)", "`vmm/none.c`", "`none.py`",
    "`vmm/mmu/wlak*.c`", "`viz/none/`", "`walk.c`",
])
def test_a_file_that_is_not_there_is_found(text):
    assert missing_files(text, ROOT)
    assert not missing_files("[a page](../handouts/lab0.md) `vmm/mmu/walk*.c` `viz/` `guest.ld`",
                             ROOT / "guests")


@pytest.mark.parametrize("text", ["`make dmeo`", "```\nmake && make chekc\n```",
                                  "`make run LAB=99`"])
def test_a_target_that_is_not_there_is_found(text):
    assert wrong_makes(text)
    assert not wrong_makes("`sudo apt-get install -y make && make demo`, make sure")


@pytest.mark.parametrize("command", [
    "grader run --guest hello", "grader run --guest helo --out x",
    'grader run --guest "ticker hz=1" --out x', "grader run --guest ticker -- hz=1 --out x",
    "grader run --guest hello --time 2 --out x", "grader rnu", "viz timeline trace.bin",
    "viz walk trace.bin --lits", 'grader run --guest "hello --out x',
])
def test_a_command_that_would_be_refused_is_found(command):
    assert wrong_commands(f"    ```\n    /usr/bin/python3 -m {command}\n    ```\n")
    assert wrong_commands(f"say `/usr/bin/python3 -m {command}`")


def test_a_function_that_moved_is_found():
    assert unknown_names("`vmm/vmm.c`: `run_everything()`") == ["run_everything()"]
    assert not unknown_names("`vmm/vmm.c`: `run_vms()`")
