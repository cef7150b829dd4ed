"""The canary pages of the guest keeper, in the machine's RAM.

From gPA 2 MiB on, word w of page p is mix(seed of that VM, p, w), as guests/README.md
says; mix and the seed are those of handouts/formats.md, section 5.
"""
from __future__ import annotations

from typing import Any

import numpy as np

FIRST, PAGE, WORDS = 2 << 20, 4096, 512
GOLDEN, LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


def mix(first: Any, *others: Any) -> np.ndarray:
    """formats.md 5, over arrays."""
    with np.errstate(over="ignore"):
        x = np.asarray(first, np.uint64)
        for other in others:
            x = (x ^ np.asarray(other, np.uint64)) * GOLDEN
            x = x ^ (x >> np.uint64(29))
        x = x * LAST
        return x ^ (x >> np.uint64(32))


def changed(run: Any, vm: int) -> int:
    """Words of a living keeper's pages that are not what they should be."""
    said, slots = run.trace.select("checkpoint"), run.trace.select("vm_slot")
    mine = np.flatnonzero(said.vm == vm)
    assert [said.text(int(i)) for i in mine] == ["pages"], "the keeper has not filled its pages"
    pages = int(said["value"][mine[0]])
    base = int(slots["hpa"][slots.vm == vm][0])
    words = np.frombuffer(run.memory.read_bytes(base + FIRST, pages * PAGE), np.uint64)
    seed = mix(run.trace.header.seed, vm, 0)
    right = mix(seed, np.arange(pages)[:, None], np.arange(WORDS)[None, :])
    return int(np.count_nonzero(words.reshape(pages, WORDS) != right))
