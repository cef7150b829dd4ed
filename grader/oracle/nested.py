"""What nested tables allow, page by page, and whether it is what was asked for.

Tables are found as in isolation.py and read as in walk.py, in either format; a right holds
if the entries of all levels grant it. AMD64 manual, volume 2, 15.25.5; Intel SDM, volume 3C,
28.2.2 and 28.2.5. What it does not do: know which mappings there should be.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

from grader.oracle import walk
from grader.oracle.isolation import Reach
from grader.oracle.mmu.entries import rights as entry_rights
from grader.oracle.paging import EPT, Mode

WRITE, EXECUTE = walk.WRITE, walk.EXECUTE
KB4 = 4096
WRITE_BACK = 6                                  # the memory type that RAM has
TELL = 4
NAMES = {0: "r--", WRITE: "rw-", EXECUTE: "r-x", WRITE | EXECUTE: "rwx"}
Wanted = Dict[int, Tuple[int, int]]             # gPA -> hPA, access


@dataclass(frozen=True)
class Mapping:
    """Where a page of guest memory is, and what may be done with it."""

    hpa: int
    size: int
    rights: str             # "rwx" with - for what is not allowed
    leaf: int               # the entry that maps it


def rights(form: Mode, entries: Sequence[int]) -> str:
    """What the entries of all levels together allow. A nested walk of NPT is a user's."""
    there = all(entry & form.present for entry in entries)
    read, write, user, execute = map(all, zip(*(entry_rights(form, entry) for entry in entries)))
    return "".join(name if there and user and granted else "-"
                   for name, granted in zip("rwx", (read, write, execute)))


def mappings(memory: Any, root: int, form: Mode) -> Tuple[Dict[int, Mapping], List[str]]:
    """Every page that the root reaches, by gPA; what is wrong with the tables themselves."""
    reach = Reach(memory, root, form)
    found: Dict[int, Mapping] = {}
    problems = list(reach.problems)
    for page in reach.pages:
        made = walk.walk_nested(memory, page.gpa, root, 0, form=form)
        entries = [ref.entry for ref in made.refs]
        if made.fault in ("RESERVED", "NO_MEMORY"):
            problems.append(f"the entry of level {made.level} for gPA {page.gpa:#x} is "
                            f"{entries[-1]:#x}: {WRONG[made.fault]}")
        found[page.gpa] = Mapping(page.hpa, page.size, rights(form, entries), entries[-1])
    return found, problems


WRONG = {"RESERVED": "it has a bit or a combination of bits that this level does not know",
         "NO_MEMORY": "it leads to where there is no memory"}


def differences(memory: Any, root: int, form: Mode, wanted: Wanted) -> List[str]:
    """Where the tables are not exactly what was asked for, in words."""
    found, problems = mappings(memory, root, form)
    for gpa in sorted({*found, *wanted}):
        if gpa not in wanted:
            problems.append(f"gPA {gpa:#x} is mapped to hPA {found[gpa].hpa:#x}; it should not be "
                            "mapped")
        elif gpa not in found:
            problems.append(f"gPA {gpa:#x} should be mapped to hPA {wanted[gpa][0]:#x}, and is not")
        else:
            problems += page_problems(gpa, found[gpa], *wanted[gpa], form)
    return problems if len(problems) <= TELL else [*problems[:TELL],
                                                   f"and {len(problems) - TELL} more"]


def page_problems(gpa: int, page: Mapping, hpa: int, access: int, form: Mode) -> List[str]:
    """What is wrong with the mapping of one page of 4 KiB."""
    problems = []
    if page.size != KB4:
        problems.append(f"gPA {gpa:#x} is mapped by a page of {page.size:#x} bytes")
    if page.hpa != hpa:
        problems.append(f"gPA {gpa:#x} is mapped to hPA {page.hpa:#x}, should be {hpa:#x}")
    if page.rights != NAMES[access]:
        problems.append(f"gPA {gpa:#x} may be used {page.rights}, should be {NAMES[access]} "
                        f"(all levels together; the last entry is {page.leaf:#x})")
    if form is EPT and page.leaf >> 3 & 7 != WRITE_BACK:
        problems.append(f"gPA {gpa:#x} has memory type {page.leaf >> 3 & 7}; memory is write-back, "
                        f"type {WRITE_BACK}")
    return problems
