"""diff: equal traces, and each kind of first difference explained in words."""

from __future__ import annotations

import pytest

from viz.diff import Comparison, explain
from viz.tests import synth
from viz.trace import load


def make(tmp_path, name, change=lambda records: records, **options):
    """A trace of 40 notes, of which `change` may alter the (ns, value) list."""
    w = synth.TraceWriter(tmp_path / name, **options)
    for ns, value in change([(10 * i, i) for i in range(40)]):
        event = "note" if value % 3 else "host_irq"
        fields = {"value": value, "text": f"n{value}"} if value % 3 else {"vector": value}
        w.emit(event, ns=ns, **fields)
    return load(str(w.save()))


def words(a, b, *ignore):
    return " ".join(explain(Comparison(a, b, ignore), width=200).split())


def test_equal_traces_are_the_same(tmp_path, run_path, viz):
    a, b = make(tmp_path, "a"), make(tmp_path, "b")
    assert Comparison(a, b).same and "All 40 records are the same" in words(a, b)
    assert viz("diff", run_path, run_path).returncode == 0


def test_a_changed_field_is_named_with_both_values(tmp_path, viz):
    a = make(tmp_path, "a")
    b = make(tmp_path, "b", lambda r: r[:20] + [(200, 23)] + r[21:])
    point = Comparison(a, b).point
    assert point.at == 20 and point.reasons == ["value: 20 in A, 23 in B",
                                                   "text: n20 in A, n23 in B"]
    text = words(a, b)
    assert "The first 20 records are the same, up to 190 ns" in text and "Record 21" in text
    assert "After that the same events follow" in text
    done = viz("diff", tmp_path / "a", tmp_path / "b")
    assert done.returncode == 1 and "value: 20 in A, 23 in B" in done.stdout


def test_a_longer_trace_is_said_to_go_on(tmp_path):
    a, b = make(tmp_path, "a"), make(tmp_path, "b", lambda r: r[:30])
    assert "There B ends; A goes on for 10 records" in words(a, b)
    assert "There A ends; B goes on for 10 records" in words(b, a)


def test_inserted_records_are_recognised(tmp_path):
    a = make(tmp_path, "a")
    b = make(tmp_path, "b", lambda r: r[:16] + [(155, 3), (156, 6)] + r[16:])
    comparison = Comparison(a, b)
    assert comparison.point.at == 16 and comparison.meeting() == (0, 2)
    assert "the event: A has host note" in words(a, b) and "Then B has 2 more" in words(a, b)


def test_a_shift_of_time_is_found_and_may_be_ignored(tmp_path):
    a = make(tmp_path, "a")
    b = make(tmp_path, "b", lambda r: [(ns + (1 if value >= 9 else 0), value) for ns, value in r])
    assert Comparison(a, b).point.at == 9
    assert "the time (ns): 90 in A, 91 in B" in words(a, b)
    assert Comparison(a, b, ("time",)).same


@pytest.mark.parametrize("what, option", [("nonce", dict(nonce=1)), ("seed", dict(seed=2)),
                                          ("cmdline", dict(cmdline="x")),
                                          ("platform", dict(platform="y"))])
def test_headers_differ_unless_ignored(tmp_path, what, option):
    a, b = make(tmp_path, "a"), make(tmp_path, "b", **option)
    comparison = Comparison(a, b)
    assert not comparison.same and comparison.point is None
    assert comparison.headers[0].startswith(what)
    assert Comparison(a, b, (what,)).same


def test_events_are_matched_by_name(tmp_path):
    """The same run, traced by a kernel that numbers one event otherwise."""
    a = make(tmp_path, "a")
    raw = bytearray((tmp_path / "a").read_bytes().replace(b"event 3 host_irq", b"event 9 host_irq"))
    for place in a.payload_index[a.event == 3].tolist():
        raw[8 * place - 8] = 9
    (tmp_path / "b").write_bytes(raw)
    b = load(str(tmp_path / "b"))
    assert b.event.tolist() != a.event.tolist() and b.warnings == []
    assert Comparison(a, b).same


def test_the_last_payload_bit_of_a_million_records_counts(tmp_path, million):
    raw = bytearray(million.read_bytes())
    raw[-1] ^= 0x80
    (tmp_path / "b").write_bytes(raw)
    a, b = load(str(million)), load(str(tmp_path / "b"))
    assert Comparison(a, b).point.at == len(a) - 1
    assert "It is the last record of both." in words(a, b)


def test_the_counts_name_only_events_that_differ(tmp_path):
    a, b = make(tmp_path, "a"), make(tmp_path, "b", lambda r: r[:39])
    rows = [line.split() for line in explain(Comparison(a, b)).splitlines()]
    assert ["host_irq", "14", "13", "-1"] in rows
    assert not any(row[:1] == ["note"] for row in rows)
