"""Our two-dimensional walks are the ones that Bochs makes: reference by reference.

For each platform of Bochs one run of the guest `watched` serves all tests here: seeded
pages of 4K, 2M and 1G over nested pages of 4K, 2M and 1G, each touched once while Bochs's
debugger logs what the emulated processor does to memory. The last touch is not like the
walk before it, on purpose: the debugger changes an entry in between.
With --torture many more pages, from several seeds.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Sequence, Tuple

import pytest

from grader import bochs_walks, platforms
from grader.bochs_walks import Layout, Poke, Watched
from grader.oracle import touches
from grader.oracle.paging import AD
from grader.oracle.touches import Touch
from viz.walk_data import Walk, WalkRef

pytestmark = pytest.mark.machine

PAGES, PAE_PAGES, MANY = 52, 13, 60
K4, M2, G1 = 1 << 12, 1 << 21, 1 << 30
IGNORED = 1 << 11           # a bit that means nothing in entries of NPT and of EPT
# By size of the guest's and of the nested pages: references until the gPA is known, and in all.
LENGTHS = {(K4, K4): (20, 24), (K4, M2): (16, 19), (K4, G1): (12, 14),
           (M2, K4): (15, 19), (M2, M2): (12, 15), (M2, G1): (9, 11),
           (G1, K4): (10, 14), (G1, M2): (8, 11), (G1, G1): (6, 8)}
# The same for PAE, whose directory pointers are read in every walk, or are in the processor.
PAE_LENGTHS = {
    "bochs-svm": {(K4, K4): (15, 19), (K4, M2): (12, 15), (K4, G1): (9, 11),
                  (M2, K4): (10, 14), (M2, M2): (8, 11), (M2, G1): (6, 8)},
    "bochs-vmx": {(K4, K4): (10, 14), (K4, M2): (8, 11), (K4, G1): (6, 8),
                  (M2, K4): (5, 9), (M2, M2): (4, 7), (M2, G1): (3, 5)}}


@pytest.fixture(scope="module", params=["bochs-svm", "bochs-vmx"])
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
           ) -> Tuple[Any, Layout]:
    """A platform, and where in it things lie."""
    bochs = platforms.find(request.param)
    return bochs, bochs_walks.learn(bochs, tmp_path_factory.mktemp("learn"))


@pytest.fixture(scope="module")
def watched(layout: Tuple[Any, Layout], tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """The run; at its last touch the root's first entry is another."""
    bochs, where = layout
    last = (Poke(where.root, where.root_entry | IGNORED), Poke(where.root, where.root_entry))
    return bochs_walks.make(bochs, tmp_path_factory.mktemp("watched"), 1, PAGES, where,
                            {4 * PAGES - 1: last})


def pairs(watched: Watched) -> Iterator[Tuple[Walk, Touch]]:
    """Each walk with what Bochs did, but for the doctored one."""
    return zip(watched.walks[:-1], watched.touches[:-1])


def sizes(walk: Walk) -> Tuple[int, set]:
    """Of the guest's page (0: there is none), and of all nested pages in use."""
    guest = next((ref.size for ref in reversed(walk.refs) if ref.dim == "GUEST"), 0)
    return guest, {ref.size for ref in walk.refs if ref.dim == "NESTED" and ref.size}


Pairs = Iterable[Tuple[Walk, Touch]]


def differences(found: Pairs, slots: Sequence[Tuple[int, int]]) -> Dict[int, List[str]]:
    wrong = {walk.number: touches.compare(walk, touch, slots) for walk, touch in found}
    return {number: words for number, words in wrong.items() if words}


def lengths(found: Pairs) -> Dict[Tuple[int, int], Tuple[int, int]]:
    """By pair of page sizes: references until the gPA is known, and how many Bochs made."""
    seen = {}
    for walk, touch in found:
        guest, nested = sizes(walk)
        if not walk.faulted and len(nested) == 1:
            reads = [access for access in touch.walk if not access.write]
            seen[guest, nested.pop()] = (walk.gpa_refs, len(reads))
    return seen


def test_every_reference_is_one_that_bochs_makes(watched: Watched) -> None:
    assert len(watched.walks) == len(watched.touches) == 4 * PAGES
    assert differences(pairs(watched), watched.slots) == {}


def test_all_nine_pairs_of_page_sizes_and_mixed_ones(watched: Watched) -> None:
    assert lengths(pairs(watched)) == LENGTHS
    assert any(len(sizes(walk)[1]) > 1 for walk, _ in pairs(watched))


def test_the_24_references_as_bochs_tells_them(watched: Watched) -> None:
    """Without our walk: 4 x (4 nested + 1 guest) + 4 nested, by where the entries lie."""
    touch = next(touch for walk, touch in pairs(watched)
                 if sizes(walk) == (K4, {K4}) and not walk.faulted)
    reads = [access for access in touch.walk if not access.write]
    in_guest = [any(low <= access.address < high for low, high in watched.slots)
                for access in reads]
    assert in_guest == ([False] * 4 + [True]) * 4 + [False] * 4
    assert [access.level for access in reads] == [4, 3, 2, 1, 4, 4, 3, 2, 1, 3, 4, 3, 2, 1, 2,
                                                  4, 3, 2, 1, 1, 4, 3, 2, 1]


def test_walks_that_fault_end_where_bochs_ends(watched: Watched) -> None:
    ends = {(walk.fault_dim, walk.fault) for walk, _ in pairs(watched) if walk.faulted}
    assert ends == {("GUEST", "NOT_PRESENT"), ("GUEST", "WRITE"), ("NESTED", "NOT_PRESENT")}


def test_a_walk_made_on_a_fault_is_the_one_that_faulted(watched: Watched) -> None:
    met = [(walk, touch) for walk, touch in pairs(watched)
           if walk.faulted and walk.fault_dim == "NESTED"]
    assert met
    for walk, touch in met:
        fault = next(each for each in watched.faults if each.record > walk.record)
        assert (fault.gva, fault.access) == (walk.gva, walk.access)
        reads = [access for access in touch.walk if not access.write]
        # By then the processor has set A and D in the guest's entries.
        assert [(ref.table + 8 * ref.index, ref.level, ref.before & ~AD) for ref in fault.refs] == \
            [(access.address, access.level, access.value & ~AD) for access in reads]


# Wrong flags of a 1 GiB page; how the walk ends, with which error, by which exit code.
# Of EPT's violation Bochs says 0xaa: that the guest's table was read, too, it leaves out.
INVALID = {"bochs-svm": (0x20E7, "RESERVED", 0x20000000F, 0x20000000F, 0x400),
           "bochs-vmx": (0x00B2, "RESERVED", 0, 0, 49)}
READ_ONLY = {"bochs-svm": (0x00E5, "WRITE", 0x200000007, 0x200000007, 0x400),
             "bochs-vmx": (0x00B5, "WRITE", 0xAB, 0xAA, 48)}


@pytest.mark.parametrize("kind", [INVALID, pytest.param(READ_ONLY, marks=pytest.mark.long)])
def test_a_nested_entry_that_forbids(layout: Tuple[Any, Layout], kind: dict, tmp_path: Path
                                     ) -> None:
    """A misconfiguration, a violation: the walk ends at the very entry, as Bochs's exit says."""
    bochs, where = layout
    flags, fault, error, said, code = kind[bochs.name]
    found = bochs_walks.make_broken(bochs, tmp_path, 1, where, flags)
    walk, touch = found.faults[-1], found.touches[-1]
    assert (walk.fault_dim, walk.fault, walk.error) == ("NESTED", fault, error)
    assert len(walk.refs) == 2 and walk.refs[-1].before & 0xFFFF == flags
    assert touches.compare(walk, touch, found.slots) == []
    written = [access.value for access in touch.accesses if access.write]
    assert said in written and code in written
    assert touches.compare(found.walks[-1], touch, found.slots)     # made before it was written


def test_pae_walks(layout: Tuple[Any, Layout], tmp_path: Path) -> None:
    """With NPT the directory pointers are references like others; with EPT they are none."""
    bochs, where = layout
    found = bochs_walks.make(bochs, tmp_path, 1, PAE_PAGES, where, name="watched-pae")
    together = list(zip(found.walks, found.touches))
    assert len(found.walks) == len(found.touches) == 4 * PAE_PAGES
    assert differences(together, found.slots) == {}
    assert lengths(together) == PAE_LENGTHS[bochs.name]
    assert {walk.mode for walk in found.walks} == {"PAE"}


# --- The oracle can fail ------------------------------------------------------------------

def test_an_entry_changed_behind_our_back_is_told(watched: Watched) -> None:
    walk, touch = watched.walks[-1], watched.touches[-1]
    wrong = touches.compare(walk, touch, watched.slots)
    nested_roots = sum(ref.dim == "NESTED" and ref.level == 4 for ref in walk.refs)
    assert len(wrong) == nested_roots > 1
    assert wrong[0].startswith("reference 1: entry 0x")


def change(walk: Walk, n: int, **fields: Any) -> Walk:
    refs: List[WalkRef] = list(walk.refs)
    refs[n] = replace(refs[n], **fields)
    return replace(walk, refs=refs)


Doctor = Callable[[Walk], Walk]
DOCTORED: Dict[str, Tuple[Doctor, str]] = {
    "address": (lambda walk: change(walk, 6, index=walk.refs[6].index ^ 1), "reference 7: address"),
    "table": (lambda walk: change(walk, 4, table=walk.refs[4].table + K4), "reference 5: address"),
    "level": (lambda walk: change(walk, 2, level=3), "reference 3: level 3"),
    "dimension": (lambda walk: change(walk, 9, dim="NESTED"), "reference 10: dimension NESTED"),
    "entry": (lambda walk: change(walk, 19, before=walk.refs[19].before ^ 0x20),
              "reference 20: entry"),
    "order": (lambda walk: replace(walk, refs=[walk.refs[1], walk.refs[0], *walk.refs[2:]]),
              "reference 2: address"),
    "one less": (lambda walk: replace(walk, refs=walk.refs[:-1]), "Bochs made 24"),
    "one more": (lambda walk: replace(walk, refs=walk.refs + walk.refs[-1:]), "Bochs made 24"),
    "hPA": (lambda walk: replace(walk, hpa=walk.hpa ^ 8), "the data: "),
    "gVA": (lambda walk: replace(walk, gva=walk.gva ^ K4), "the data: "),
}


@pytest.mark.parametrize("what", DOCTORED)
def test_a_doctored_walk_is_told(watched: Watched, what: str) -> None:
    walk, touch = next((walk, touch) for walk, touch in pairs(watched)
                       if walk.total == 24 and not walk.faulted and not walk.access & 4)
    doctor, words = DOCTORED[what]
    wrong = touches.compare(doctor(walk), touch, watched.slots)
    assert any(words in text for text in wrong), wrong


def test_missing_a_and_d_bits_are_told(watched: Watched) -> None:
    walk, touch = next((walk, touch) for walk, touch in pairs(watched)
                       if not walk.faulted and walk.access == 1)
    writes = [access for access in touch.accesses if access.write and access.of_table]
    assert writes[-1].value & 0x60 == 0x60
    without = Touch(tuple(access for access in touch.accesses if access is not writes[-1]))
    assert "A and D" in touches.compare(walk, without, watched.slots)[0]


# --- Many -----------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.parametrize("name", ["watched", "watched-pae"])
@pytest.mark.parametrize("seed", range(2, 5))
def test_many_walks(layout: Tuple[Any, Layout], seed: int, name: str,
                    tmp_path_factory: pytest.TempPathFactory) -> None:
    bochs, where = layout
    found = bochs_walks.make(bochs, tmp_path_factory.mktemp("many"), seed, MANY, where, name=name)
    assert len(found.walks) == len(found.touches) == 4 * MANY
    assert differences(zip(found.walks, found.touches), found.slots) == {}, f"seed {seed}"
