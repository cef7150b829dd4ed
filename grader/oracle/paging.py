"""Page-table formats as arrays of levels, for the walk oracle.

From the AMD64 Architecture Programmer's Manual, volume 2 (24593), section 5.2
(legacy and PAE paging) and 5.3 (long mode); AMD's nested tables are long-mode tables
(section 15.25.3). Intel's are extended page tables: SDM volume 3C, section 28.2.2
(of newer editions 29.3.2), tables 28-1 to 28-6. What it does not do: read memory or
judge an access.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

P, W, U, A, D, PS = 1 << 0, 1 << 1, 1 << 2, 1 << 5, 1 << 6, 1 << 7
NX = 1 << 63
AD = A | D
R_EPT, W_EPT, X_EPT = 1 << 0, 1 << 1, 1 << 2    # EPT: what is allowed, in place of P, W, U
A_EPT, D_EPT = 1 << 8, 1 << 9
KB4, MB2, MB4, GB1 = 1 << 12, 1 << 21, 1 << 22, 1 << 30


def span(low: int, high: int) -> int:
    """A mask of the bits low..high, both included."""
    return ((1 << (high + 1)) - 1) & ~((1 << low) - 1)


@dataclass(frozen=True)
class Level:
    """One level of a table: which address bits index it, which entry bits must be zero."""

    level: int
    shift: int
    bits: int
    maps: bool = False      # with PS set an entry maps a page (level 1: always)
    rights: bool = True     # has W, U, NX and A (a PAE directory pointer has none)
    zero: int = 0           # must be zero in every present entry
    zero_page: int = 0      # must be zero in an entry that maps a page,
    zero_table: int = 0     # and in one that does not

    def index(self, address: int) -> int:
        return (address >> self.shift) & ((1 << self.bits) - 1)

    @property
    def page(self) -> int:
        """Size of the page that an entry of this level maps, in bytes."""
        return 1 << self.shift


@dataclass(frozen=True)
class Mode:
    """A paging mode: its levels from the root down, entry width, root alignment."""

    levels: Tuple[Level, ...]
    width: int
    root_mask: int
    has_nx: bool
    present: int = P        # an entry is present if one of these bits is set
    ad: int = AD            # where A and D are

    def maps_page(self, level: Level, entry: int, pse: bool = True) -> bool:
        """Whether an entry of that level maps a page if it is present; pse: CR4.PSE."""
        return level.level == 1 or bool(level.maps and entry & PS and (self.width == 8 or pse))


LONG4 = Mode(
    levels=(Level(4, 39, 9, zero=PS),
            Level(3, 30, 9, maps=True, zero_page=span(13, 29)),
            Level(2, 21, 9, maps=True, zero_page=span(13, 20)),
            Level(1, 12, 9, maps=True)),
    width=8, root_mask=span(12, 51), has_nx=True)

# The manual reserves bit 5 of PAE's directory pointers too, but QEMU takes it for A and
# sets it: a table that it has walked would be wrong for ever.
PAE = Mode(
    levels=(Level(3, 30, 2, rights=False, zero=span(1, 2) | span(6, 8) | span(52, 63)),
            Level(2, 21, 9, maps=True, zero=span(52, 62), zero_page=span(13, 20)),
            Level(1, 12, 9, maps=True, zero=span(52, 62))),
    width=8, root_mask=span(5, 31), has_nx=True)

LEGACY32 = Mode(
    levels=(Level(2, 22, 10, maps=True, zero_page=1 << 21),
            Level(1, 12, 10, maps=True)),
    width=4, root_mask=span(12, 31), has_nx=False)

EPT = Mode(
    levels=(Level(4, 39, 9, zero=span(3, 7)),
            Level(3, 30, 9, maps=True, zero_page=span(12, 29), zero_table=span(3, 6)),
            Level(2, 21, 9, maps=True, zero_page=span(12, 20), zero_table=span(3, 6)),
            Level(1, 12, 9, maps=True)),
    width=8, root_mask=span(12, 51), has_nx=False, present=R_EPT | W_EPT | X_EPT,
    ad=A_EPT | D_EPT)

NESTED: Dict[str, Mode] = {"NPT": LONG4, "EPT": EPT}    # by the trace's word for the format
MODES: Dict[str, Mode] = {"LONG4": LONG4, "PAE": PAE, "LEGACY32": LEGACY32}


def nested_of(platform: str) -> Mode:
    """The format of the nested tables of a platform's processor, by the platform's name."""
    return EPT if platform.endswith("-vmx") else LONG4


def frame(mode: Mode, level: Level, entry: int, is_page: bool) -> int:
    """Where a present entry points: the next table, or the start of its page."""
    if mode is LEGACY32:
        if is_page and level.level == 2:          # PSE-40: bits 20..13 are address 39..32
            return (entry & span(22, 31)) | (entry & span(13, 20)) << 19
        return entry & span(12, 31)
    base = entry & span(12, 51)
    return base & ~(level.page - 1) if is_page else base


def canonical(address: int) -> bool:
    """Whether bits 63..47 of a 4-level linear address are all equal (section 5.3.1)."""
    return (address >> 47) in (0, (1 << 17) - 1)
