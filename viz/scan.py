"""Finding the records in a buffer, damaged ones included.

Records have different lengths, so each must be read to find the next; that
chase is one short loop over a byte string, all checking is done by numpy in
chunks.  Where the chain breaks, the scan looks for the next place from which
four records in a row make sense, and says which bytes it skipped.
Format: handouts/formats.md, section 1.2.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

import numpy as np

from viz.schema import Schema

CHUNK = 1 << 16  # records followed between two checks ...
FIRST_CHUNK = 1 << 8  # ... fewer after damage
WINDOW = 1 << 16  # words searched at a time for a new start ...
FIRST_WINDOW = 1 << 10  # ... fewer at first
LONGEST = 2 + 255
DEPTH = 4  # records that must make sense in a row
MAX_REPAIRS = 10_000
DAY_SECONDS = 86_400


class Shape:
    """What a record header may look like on one CPU, as lookup tables."""

    def __init__(self, schema: Schema, cpu: int, whole: bool = True) -> None:
        self.known = np.zeros(65536, bool)
        self.has_text = np.zeros(65536, bool)
        self.need = np.zeros(65536, np.int64)
        for event in schema.by_number.values():
            self.known[event.number] = True
            self.has_text[event.number] = event.text is not None
            self.need[event.number] = len(event.fields)
        self.cpu = cpu
        self.incomplete = schema.damaged
        self.whole = whole  # the buffer's end is that of a record, not of a cut file

    def fits(self, meta: np.ndarray) -> np.ndarray:
        """Whether each second word of a header can be one of this buffer."""
        event, count = _event(meta), _count(meta)
        return self.known[event] & self.same_cpu(meta) & (count >= self.need[event])

    def same_cpu(self, meta: np.ndarray) -> np.ndarray:
        """Whether the records are of the buffer's CPU."""
        return ((meta >> np.uint64(40)) & np.uint64(0xFF)) == np.uint64(self.cpu)

    def exact(self, meta: np.ndarray) -> np.ndarray:
        """As fits(), and no word more than the event's fields (texts excepted)."""
        event = _event(meta)
        flags = meta >> np.uint64(56)
        right = self.has_text[event] | (_count(meta) == self.need[event])
        return self.fits(meta) & right & (flags <= np.uint64(1))

    def learn(self, meta: np.ndarray) -> None:
        """Take events between two known ones for real: the schema lost their lines."""
        fits, event = self.fits(meta), _event(meta)
        between = ~fits[1:-1] & fits[:-2] & fits[2:] & self.same_cpu(meta[1:-1])
        numbers = np.unique(event[1:-1][between & (event[1:-1] > 0)])
        self.known[numbers] = True
        self.has_text[numbers] = True  # of any length


@dataclass
class Found:
    """Word positions of the records of one buffer, and what was wrong."""

    positions: np.ndarray
    gaps: List[Tuple[int, int]] = field(default_factory=list)  # skipped, in words
    odd: List[int] = field(default_factory=list)  # kept, but not of a known form
    lengths: Dict[int, int] = field(default_factory=dict)  # payload words, where corrected
    half_written: int = -1  # position of a record whose second word is still 0
    cut: int = -1  # position of a record that runs past the end
    given_up: int = -1  # position after which too much is damaged


def scan(words: np.ndarray, shape: Shape) -> Found:
    """All records of a buffer, given as an array of u64 words."""
    size = len(words)
    steps = words.view(np.uint8)[6::8].tobytes()
    found = Found(np.empty(0, np.int64))
    parts: List[np.ndarray] = [np.empty(0, np.int64)]
    place, chunk = 0, CHUNK
    if shape.incomplete and size > 1:
        shape.learn(words[_follow(steps, 0, size, CHUNK)[0] + 1])
    while 0 <= place < size - 1:
        chain, following = _follow(steps, place, size, chunk)
        bad = _first_bad(words, chain, shape)
        parts.append(chain[:bad])
        if bad == len(chain):
            place, chunk = following, min(4 * chunk, CHUNK)
        else:
            place, chunk = _repair(words, chain, bad, shape, found, parts), FIRST_CHUNK
    if place == size - 1:
        found.cut = place
    found.positions = np.concatenate(parts)
    return found


def _follow(steps: bytes, place: int, size: int, chunk: int) -> Tuple[np.ndarray, int]:
    """Up to `chunk` positions of the chain from `place`, and where it goes on."""
    chain = array("q")
    add = chain.append
    last = size - 1
    for _ in range(chunk):
        if place >= last:
            break
        add(place)
        place += 2 + steps[place + 1]
    return np.frombuffer(chain, np.int64), place


def _first_bad(words: np.ndarray, chain: np.ndarray, shape: Shape) -> int:
    meta = words[chain + 1]
    bad = ~shape.fits(meta)
    bad[-1] |= chain[-1] + 2 + _count(meta[-1:])[0] > len(words)
    bad |= _swallows(words, chain, meta, shape)
    return int(np.argmax(bad)) if bad.any() else len(chain)


def _swallows(words: np.ndarray, chain: np.ndarray, meta: np.ndarray, shape: Shape) -> np.ndarray:
    """Records with words to spare that look like the record meant to follow."""
    event = _event(meta)
    result = ~shape.has_text[event] & (_count(meta) > shape.need[event])
    where = np.flatnonzero(result)
    if len(where):
        inner = chain[where] + 2 + shape.need[event[where]]
        inside = inner + 1 < len(words)
        inner = np.where(inside, inner, 0)
        result[where] = inside & shape.exact(words[inner + 1]) & \
            (words[inner] >= words[chain[where]])
    return result


def _repair(words: np.ndarray, chain: np.ndarray, bad: int, shape: Shape, found: Found,
            parts: List[np.ndarray]) -> int:
    """Deal with the record chain[bad]; where to go on, or -1 to stop."""
    place = int(chain[bad])
    meta = words[place + 1:place + 2]
    if int(meta[0]) == 0:  # these eight bytes are written in one store, and last
        found.half_written = place
        return -1
    if len(found.gaps) + len(found.odd) > MAX_REPAIRS:
        found.given_up = place
        return -1
    following = place + 2 + int(_count(meta)[0])
    swallows = _swallows(words, chain[bad:bad + 1], meta, shape)[0]
    if not swallows and _sense_at(words, following, shape):
        return _keep(place, following, place, found, parts)
    owners = [place] + [int(p) for p in chain[bad - 1:bad]] * (bad > 0)
    if bad and not shape.exact(words[chain[bad - 1:bad] + 1])[0]:
        owners.reverse()
    for owner in owners:
        end = _true_end(words, owner, shape)
        if end > 0:
            found.lengths[owner] = end - owner - 2
            return _keep(owner, end, place, found, parts)
    return _resync(words, place, shape, found)


def _keep(owner: int, end: int, place: int, found: Found, parts: List[np.ndarray]) -> int:
    """Take `owner` for a record that ends at `end`, though it looks odd."""
    found.odd.append(owner)
    if owner == place:  # the record before it is in the list already
        parts.append(np.array([owner]))
    return end


def _true_end(words: np.ndarray, owner: int, shape: Shape) -> int:
    """Where a record ends whose length alone is wrong; -1 if it is none."""
    event = int(_event(words[owner + 1:owner + 2])[0])
    if not shape.known[event] or not shape.same_cpu(words[owner + 1:owner + 2])[0]:
        return -1
    first = owner + 2 + int(shape.need[event])
    last = owner + LONGEST if shape.has_text[event] else first
    if first == len(words) and shape.whole:
        return first
    sense = _sense(words, first, min(last + 1, len(words) - 1), shape)
    return first + int(np.argmax(sense)) if sense.any() else -1


def _resync(words: np.ndarray, lost_from: int, shape: Shape, found: Found) -> int:
    """The next word from which records make sense, noting the gap; -1 for none."""
    low, window = lost_from + 1, FIRST_WINDOW
    while low < len(words) - 1:
        sense = _sense(words, low, min(low + window, len(words) - 1), shape)
        if sense.any():
            place = low + int(np.argmax(sense))
            found.gaps.append((lost_from, place))
            return place
        low, window = low + window, min(4 * window, WINDOW)
    found.cut = lost_from
    return -1


def _sense_at(words: np.ndarray, place: int, shape: Shape) -> bool:
    if place >= len(words) - 1:
        return place == len(words)
    return bool(_sense(words, place, place + 1, shape)[0])


def _sense(words: np.ndarray, low: int, high: int, shape: Shape) -> np.ndarray:
    """For each word of low..high: do DEPTH records in a row start here?"""
    size = len(words)
    top = max(min(high + DEPTH * LONGEST, size - 1), low)
    here = np.arange(low, top)
    meta = words[low + 1:top + 1]
    one = shape.exact(meta)
    following = here + 2 + _count(meta)
    at_end = following == size
    within = following < top
    target = np.where(within, following - low, 0)
    ordered = words[low:top][target] >= words[low:top]
    good = one
    for _ in range(DEPTH - 1):
        good = one & (at_end | (within & ordered & good[target]))
    return good[:max(high - low, 0)]


def _event(meta: np.ndarray) -> np.ndarray:
    return (meta & np.uint64(0xFFFF)).astype(np.int64)


def _count(meta: np.ndarray) -> np.ndarray:
    return ((meta >> np.uint64(48)) & np.uint64(0xFF)).astype(np.int64)


def order_times(tsc: np.ndarray, clock_hz: int) -> Tuple[np.ndarray, np.ndarray]:
    """Times that never run backwards, and the indices that had to be changed.

    As few records as possible are taken to be wrong: those outside a longest
    non-decreasing subsequence, and those a day or more away from the larger
    part.  A wrong record gets the time of the one before it.
    """
    if not len(tsc):
        return tsc, np.empty(0, np.int64)
    wrong = np.zeros(len(tsc), bool)
    if (tsc[1:] < tsc[:-1]).any():
        wrong = ~_longest_ordered(tsc)
    _drop_far(tsc, wrong, DAY_SECONDS * clock_hz)
    if not wrong.any():
        return tsc, np.empty(0, np.int64)
    good = np.flatnonzero(~wrong)
    before = np.searchsorted(good, np.arange(len(tsc)), side="right") - 1
    return tsc[good[np.maximum(before, 0)]], np.flatnonzero(wrong)


def _drop_far(tsc: np.ndarray, wrong: np.ndarray, limit: int) -> None:
    good = np.flatnonzero(~wrong)
    jumps = np.flatnonzero(np.diff(tsc[good]) > np.uint64(min(limit, 2**63)))
    if len(jumps):
        bounds = np.concatenate([[0], jumps + 1, [len(good)]])
        best = int(np.argmax(np.diff(bounds)))
        wrong[good[:bounds[best]]] = True
        wrong[good[bounds[best + 1]:]] = True


def _longest_ordered(tsc: np.ndarray) -> np.ndarray:
    """Mask of a longest non-decreasing subsequence (patience sorting)."""
    tops: List[int] = []
    owners: List[int] = []
    previous = array("q", bytes(8 * len(tsc)))
    for i, value in enumerate(tsc.tolist()):
        pile = bisect_right(tops, value)
        previous[i] = owners[pile - 1] if pile else -1
        if pile == len(tops):
            tops.append(value)
            owners.append(i)
        else:
            tops[pile] = value
            owners[pile] = i
    mask = np.zeros(len(tsc), bool)
    i = owners[-1]
    while i >= 0:
        mask[i] = True
        i = previous[i]
    return mask
