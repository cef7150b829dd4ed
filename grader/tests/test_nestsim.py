"""What a program that is asked about tables may answer, and what is refused as no answer.

A scripted program stands for a submission's; that the reference's answers are taken is shown
by lab 4's and lab 5's own tests.
"""
from __future__ import annotations

from typing import Dict, List

import pytest

from grader.oracle import walk, walksim
from grader.oracle.nestsim import ARENA, Nest, Nonsense, walk_problems

REF = "1,4,0,4000000000,0,7,0"      # dimension, level, served level, table, index, entry, size
OWN_END = "0 1 0 0 1000 4000002000 4 {count} 0 1000"     # of the guest's own tables,
END = OWN_END + " 4000000000"                            # and with the nested root
MOST_ASKED = 600                    # by somebody who comes to an end


class Scripted:
    """Answers each word always in the same way."""

    def __init__(self, **answers: str) -> None:
        self.answers: Dict[str, str] = answers
        self.asked: List[str] = []

    def ask(self, line: str) -> str:
        self.asked.append(line)
        assert len(self.asked) < MOST_ASKED, "it is asked for ever"
        return self.answers[line.split()[0]]


@pytest.mark.parametrize("answer", [
    "0:1", "3:7 3:7", "5:7 4:7", "200:7", "1ff:7 200:7", "", "7", "0:1:2", "0:-1", "0:x",
    "0:10000000000000000"])
def test_a_table_is_told_from_its_begin_to_its_end(answer):
    """An answer that goes back would be asked for without an end."""
    program = Scripted(scan=answer)
    with pytest.raises(Nonsense, match="^asked 'scan 4000000000 "):
        Nest(program).read_table(ARENA)


def test_a_table_may_be_empty_or_full():
    assert not Nest(Scripted(scan="none")).read_table(ARENA).any()
    assert Nest(Scripted(scan="0:5 1ff:7")).read_table(ARENA)[[0, 1, 511]].tolist() == [5, 0, 7]


@pytest.mark.parametrize("count, answer", [
    (4, "none"), (4, ""), (4, " ".join([REF] * 3)), (4, " ".join([REF] * 5)), (4, "1 1 1 1"),
    (4, " ".join([REF + ",0"] * 4)), (4, " ".join([REF] * 3 + ["1,4,0,4000000000,0,7,-1"])),
    (0x18, " ".join([REF] * 7)), (0x18, "none")])
def test_each_reference_of_a_walk_is_told_in_full(count, answer):
    """One that is not told could not be compared."""
    nest = Nest(Scripted(walk=END.format(count=f"{count:x}"), refs=answer))
    with pytest.raises(Nonsense, match="^asked 'refs 0' it answered"):
        nest.walk(0x1000, 0, (0, 0, 0, 0, 0))


def test_a_walk_that_is_told_in_full_is_compared():
    nest = Nest(Scripted(nested=END.format(count="4"), refs=" ".join([REF] * 4)))
    told = nest.nested(0x1000, 0)
    assert len(told.refs) == told.count == 4
    right = walk.Result()
    right.refs = [walk.Ref(n, "NESTED", 5 - n, ARENA, 0, 7, 0, 0, 0x1000) for n in range(1, 5)]
    assert walk_problems(told, right) == [
        "reference 2 should be that of the nested level 3 at hPA 0x4000000000: its level is 0x4, "
        "should be 0x3"]


@pytest.mark.parametrize("end, wrong", [
    ("1 1 1 6 1000 0 4 4 0 0 4000000000", ""),
    ("1 1 1 6 1000 7000 4 4 0 0 4000000000", "still says hPA 0x7000 and nested_size 0x0"),
    ("1 1 1 6 1000 0 4 4 0 1000 4000000000", "still says hPA 0x0 and nested_size 0x1000"),
    ("1 1 1 4 1000 0 4 4 0 0 4000000000", "error 0x4 (user), should be the nested dimension with "
                                          "0x6 (write, user)"),
    ("1 1 1 6 1000 0 4 4 0 0 0", "nested root (nroot) is 0x0, it is 0x4000000000")])
def test_a_walk_that_faults_tells_of_no_page(end, wrong):
    """That is asked of both dimensions together; one alone may leave what it found."""
    ref = "1,{},0,4000000000,0,7,0"
    told = Nest(Scripted(walk=end, refs=" ".join(map(ref.format, (4, 3, 2, 1))))).walk(0, 0, (0,) * 5)
    right = walk.Result(fault="NOT_PRESENT", dim="NESTED", level=1, error=6,
                        denials=[("NOT_PRESENT", 1)])
    right.refs = [walk.Ref(n, "NESTED", 5 - n, ARENA, 0, 7, 0, 0, 0) for n in range(1, 5)]
    found = "".join(walk_problems(told, right))
    assert wrong in found and bool(found) == bool(wrong)
    assert ("still" in wrong) <= (walk_problems(told, right, whole=False) == [])


@pytest.mark.parametrize("end", ["0 1 0", "63 1 0 0 0 0 0 0 0 0 0", "0 9 0 0 0 0 0 0 0 0 0",
                                 OWN_END.format(count="0")])
def test_a_walk_ends_in_some_way_that_there_is(end):
    with pytest.raises(Nonsense):
        Nest(Scripted(walk=end)).walk(0x1000, 0, (0, 0, 0, 0, 0))


@pytest.mark.parametrize("answer", ["ended", "ended x", "ended 63"])
def test_a_fault_ends_in_some_way_that_there_is(answer):
    with pytest.raises(Nonsense, match="^asked 'fault 1000 1 0' it answered 'ended"):
        Nest(Scripted(fault=answer)).fault(0x1000, 1)


def test_a_walk_of_the_guests_own_tables_is_told_in_full_as_well():
    sim = walksim.Sim.__new__(walksim.Sim)
    Nest.__init__(sim, Scripted(walk=OWN_END.format(count="4"), refs="none"))
    with pytest.raises(Nonsense, match="^asked 'refs 0' it answered 'none'"):
        sim.walked(0x1000, 0, (0, 0, 0, 0, 0))
