"""The test port's words as the grader knows them: names, numbers, and the seal of a check.

Source: handouts/formats.md, section 5.
"""
from __future__ import annotations

NAMES = {1: "nonce", 2: "seed", 3: "check", 4: "checkpoint", 5: "exit", 6: "walk", 7: "yield",
         8: "VM number", 9: "generation", 10: "harvest"}
MASK = (1 << 64) - 1


def mix(a: int, b: int, c: int) -> int:
    """formats.md's mix(), on unsigned 64-bit numbers."""
    x = a
    for word in (b, c):
        x = (x ^ word) * 0x9E3779B97F4A7C15 & MASK
        x ^= x >> 29
    x = x * 0xBF58476D1CE4E5B9 & MASK
    return x ^ x >> 32


def seal(nonce: int, name: int, value: int, expected: int) -> int:
    """The seal of a self-check."""
    return mix(nonce ^ name, value, expected)


def check_name(packed: int) -> str:
    """A packed name as the VMM traces it."""
    raw = packed.to_bytes(8, "little").split(b"\0", 1)[0]
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in raw)
