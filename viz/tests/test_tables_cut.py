"""Tables by records that do not reach to the end: a full buffer, a file cut off, damage.

What there is stands in the picture, and so does that it is not all.  The story that is told
is that of test_tables.py.
"""
from __future__ import annotations

from pathlib import Path

from viz import tables
from viz.tests.test_tables import MIB, PAGE, ROOT, SLOT, Story, changing
from viz.trace import load


def restarted(path: Path) -> Story:
    """Its first life ended; the second was not over when the records end."""
    story = changing(path)
    story.w.emit("vm_create", vm=1, ns=700, args="pager mmu=shadow", root=0x50_0000)
    story.w.emit("vm_slot", vm=1, gpa=0, size=16 * MIB, hpa=SLOT, access=5)
    story.page(0x1000, 4, ROOT)
    story.w.emit("shadow_root", vm=1, ns=900, groot=0x1000, root=ROOT, mode="LONG4")
    return story


def test_the_end_of_the_records_is_not_taken_for_the_vm_s(tmp_path: Path) -> None:
    """A full buffer, or a file cut off: said in the picture, and memory.bin, which is of later,
    is not read.  An end that is recorded remains one."""
    story = restarted(tmp_path / "trace.bin")
    whole = story.trace()
    assert [(stop.name, stop.ns) for stop in tables.stops(whole, 1)[2:]] == [("the end", 900)]
    whole.warn("no scheduling decision is recorded")    # a remark, no damage
    assert tables.lives(whole, 1) and tables.stops(whole, 1)[-1].name == "the end"
    story.w.dropped[0] = 47310
    full, ended = story.trace(), changing(tmp_path / "ended.bin")
    ended.w.dropped[0] = 9
    (tmp_path / "cut.bin").write_bytes((tmp_path / "trace.bin").read_bytes()[:-60])
    memory = tmp_path / "memory.bin"
    memory.write_bytes(bytes(PAGE))
    for trace in (full, load(str(tmp_path / "cut.bin"))):
        made = tables.picture(trace, memory, 1, None)
        assert "at the end of what was recorded (0.0000" in made.title
        assert made.provenance.startswith("observed: ") and not tables.lives(trace, 1)
        assert any("47310 records were dropped" in note for note in made.notes)
    assert tables.stops(ended.trace(), 1)[-1] == tables.Stop("the end", 400)


def test_of_much_damage_a_picture_tells_some(tmp_path: Path) -> None:
    trace = changing(tmp_path / "trace.bin").trace()
    for n in range(8):
        trace.warn(f"damage {n}")
    notes = tables.picture(trace, None, 1, None).notes
    assert notes[:6] == [f"damage {n}" for n in range(5)] + ["... and 3 more of the kind"]
