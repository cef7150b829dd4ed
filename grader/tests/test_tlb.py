"""The TLB model against another one: ordered dictionaries, one a set, that forget their first.

Both get the same seeded calls, of every kind, on arrays of every shape; what each call
gives and the sums must agree.  A few answers are known without any model.
"""
from __future__ import annotations

import random
import subprocess
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import pytest

from grader.plan import ROOT
from grader.tests.hostbuild import make

SHIFT = (12, 21, 30)
NAMES = ("4k", "2m", "1g")
Shape = Dict[int, Tuple[int, int]]      # size -> sets, ways
Call = Tuple[object, ...]


@pytest.fixture(scope="module")
def tool() -> Path:
    make("build/sim/tlbsim")
    return ROOT / "build/sim/tlbsim"


def ask(tool: Path, shape: Shape, calls: List[Call]) -> Tuple[List[str], Dict[str, int]]:
    """What the model says to each call, and its sums."""
    words = [f"{NAMES[size]}={sets}x{ways}" for size, (sets, ways) in shape.items()]
    lines = "".join(" ".join(map(str, call)) + "\n" for call in calls)
    done = subprocess.run([str(tool), "-v", *words], input=lines, text=True, capture_output=True,
                          check=True)
    *said, sums = done.stdout.split("\n")[:-1]
    return said, {name: int(value) for name, value in (word.split("=") for word in sums.split())}


class Other:
    """Sets as ordered dictionaries: the first key was used least recently."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.sets: Dict[Tuple[int, int], "OrderedDict[Tuple[int, int], None]"] = {}
        self.sums: Counter = Counter(hits=0, misses=0, evicted=0, flushed=0)

    def _place(self, size: int, address: int) -> "OrderedDict[Tuple[int, int], None]":
        number = (address >> SHIFT[size]) % self.shape[size][0]
        return self.sets.setdefault((size, number), OrderedDict())

    def _having(self, root: int, address: int) -> Optional[int]:
        for size in sorted(self.shape):
            if self.shape[size][0] and (root, address >> SHIFT[size]) in self._place(size, address):
                return size
        return None

    def lookup(self, root: int, address: int) -> str:
        size = self._having(root, address)
        if size is None:
            self.sums["misses"] += 1
            return "miss"
        self.sums["hits"] += 1
        self._place(size, address).move_to_end((root, address >> SHIFT[size]))
        return NAMES[size]

    def insert(self, root: int, address: int, size: int) -> str:
        while not self.shape.get(size, (0, 0))[0]:
            size -= 1
        place, key = self._place(size, address), (root, address >> SHIFT[size])
        if key not in place and len(place) == self.shape[size][1]:
            place.popitem(last=False)
            self.sums["evicted"] += 1
        place[key] = None
        place.move_to_end(key)
        return NAMES[size]

    def drop(self, root: Optional[int], address: Optional[int] = None) -> None:
        for (size, _), place in self.sets.items():
            gone = [key for key in place if root in (None, key[0]) and
                    (address is None or key[1] == address >> SHIFT[size])]
            self.sums["flushed"] += len(gone)
            for key in gone:
                del place[key]

    def call(self, kind: str, *words: int) -> Optional[str]:
        if kind == "a":
            found = self.lookup(words[0], words[1])
            if found == "miss":
                self.insert(*words)
            return found
        if kind in "li":
            return self.lookup(*words) if kind == "l" else self.insert(*words)
        self.drop(words[0] if words else None, words[1] if len(words) > 1 else None)
        return None


SHAPES: List[Shape] = [
    {0: (1, 1)}, {0: (1, 8)}, {0: (16, 1), 1: (4, 2)}, {0: (8, 4), 1: (4, 4), 2: (1, 4)},
    {0: (4, 2), 1: (0, 0), 2: (2, 2)}, {0: (64, 3), 1: (32, 3), 2: (2, 1)}]


def random_calls(rng: random.Random, count: int) -> List[Call]:
    """Few enough pages and roots that all kinds of calls meet what is there."""
    calls: List[Call] = []
    for _ in range(count):
        kind = rng.choices("alipfr", (60, 15, 15, 8, 0.3, 1))[0]
        root = rng.randrange(3)
        size = rng.choices((0, 1, 2), (6, 3, 1))[0]
        address = (rng.randrange(4) << 30) + (rng.randrange(3) << 21) + (rng.randrange(24) << 12) \
            + rng.randrange(4096)
        given: Dict[str, Call] = {"f": (), "r": (root,), "l": (root, address), "p": (root, address)}
        calls.append((kind, *given.get(kind, (root, address, size))))
    return calls


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_models_agree(tool: Path, shape: Shape, request: pytest.FixtureRequest) -> None:
    seeds = 200 if request.config.getoption("--torture") else 2
    for seed in range(seeds):
        calls = random_calls(random.Random(f"{shape} {seed}"), 3000)
        other = Other(shape)
        expected = [said for said in (other.call(*call) for call in calls) if said is not None]
        said, sums = ask(tool, shape, calls)
        first = next((i for i, pair in enumerate(zip(said, expected)) if pair[0] != pair[1]), None)
        assert first is None and len(said) == len(expected), f"seed {seed}, answer {first}"
        assert sums == dict(other.sums), f"seed {seed}"
        assert all(sums.values())       # every kind of thing happened


def sweep(pages: int, times: int, size: int = 0) -> List[Call]:
    """Touch so many pages, one after the other, so many times."""
    return [("a", 1, page << SHIFT[size], size) for _ in range(times) for page in range(pages)]


@pytest.mark.parametrize("pages, misses", [(63, 63), (64, 64), (65, 650)])
def test_the_reach_is_a_cliff(tool: Path, pages: int, misses: int) -> None:
    """64 entries, LRU: a loop over one page more misses every time."""
    _, sums = ask(tool, {0: (1, 64)}, sweep(pages, 10))
    assert sums["misses"] == misses and sums["hits"] == 10 * pages - misses


def test_larger_pages_reach_further(tool: Path) -> None:
    small = [("a", 1, page << 12, 0) for _ in range(4) for page in range(2048)]
    large = [("a", 1, page << 12, 1) for _ in range(4) for page in range(2048)]
    shape = {0: (16, 4), 1: (8, 4)}
    assert ask(tool, shape, small)[1]["misses"] == 4 * 2048
    assert ask(tool, shape, large)[1]["misses"] == 4        # 8 MiB are four pages of 2M
    assert ask(tool, {0: (16, 4)}, large)[1]["misses"] == 4 * 2048  # splintered


def test_address_spaces_do_not_meet(tool: Path) -> None:
    calls: List[Call] = [("a", 1, 0x1000, 0), ("a", 2, 0x1000, 0), ("r", 1), ("l", 2, 0x1000),
                         ("l", 1, 0x1000), ("p", 2, 0x1FFF), ("l", 2, 0x1000)]
    assert ask(tool, {0: (1, 4)}, calls)[0] == ["miss", "miss", "4k", "miss", "miss"]


@pytest.mark.parametrize("words, calls", [
    (["4k=3x2"], ""), (["2m=4x4"], ""), (["4k=4x0"], ""), (["4k=4"], ""), (["8k=4x4"], ""),
    (["4k=4x4"], "x 1 2\n"), (["4k=4x4"], "a 1 2\n"), (["4k=4x4"], "a 1 2 3\n")])
def test_nonsense_is_refused(tool: Path, words: List[str], calls: str) -> None:
    done = subprocess.run([str(tool), *words], input=calls, text=True, capture_output=True)
    assert done.returncode == 2 and done.stderr.startswith("tlbsim: ")
