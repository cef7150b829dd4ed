"""Totals: against a plain recount of the same records, and on small traces by hand."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest

from viz.spans import decided_spans, guest_spans, run_spans
from viz.stats import compute, format_ns, format_text
from viz.tests import synth
from viz.trace import load


def recount(trace):
    """Run time and exits by a plain loop over records; after a VM's end the host runs."""
    ran, exits, since = defaultdict(int), Counter(), None
    for i in range(len(trace)):
        record = trace.record(i)
        if record["event"] == "sched_pick":
            if since:
                ran[since[0]] += record["ns"] - since[1]
            since = (record["vm"], record["ns"])
        if record["event"] == "vm_end" and since and since[0] == record["vm"]:
            ran[since[0]] += record["ns"] - since[1]
            since = ("host", record["ns"])
        if record["event"] == "exit":
            exits[record["vm"], record["reason"]] += 1
    if since:
        ran[since[0]] += trace.t1 - since[1]
    return ran, exits


def test_run_times_and_exits_equal_a_plain_recount(run_trace):
    stats, (ran, exits) = compute(run_trace), recount(run_trace)
    assert {vm.vm: vm.run_ns for vm in stats.vms} == {v: ran[v] for v in (1, 2, 3)}
    assert (stats.idle_ns, stats.host_ns) == (ran[0], ran["host"])
    got = {(vm.vm, reason): n for vm in stats.vms for reason, n in vm.exits.items()}
    assert got == dict(exits) and len(got) >= 5
    rest = (stats.idle_ns + stats.host_ns) / sum(ran.values())
    assert abs(sum(vm.share for vm in stats.vms) + rest - 1) < 1e-9


def two(tmp_path):
    w = synth.TraceWriter(tmp_path / "two.bin")
    w.emit("vm_create", vm=1, ns=0, args="a").emit("vm_create", vm=2, ns=0, args="b")
    w.emit("sched_pick", vm=1, ns=100)
    w.emit("entry", vm=1, ns=110).emit("exit", vm=1, ns=150, reason="HLT")
    w.emit("sched_block", vm=1, ns=160)
    w.emit("sched_pick", vm=2, ns=200, prev=1).emit("entry", vm=2, ns=220)
    w.emit("sched_wake", vm=1, ns=260)
    w.emit("exit", vm=2, ns=300, reason="INTR")
    w.emit("sched_pick", vm=0, ns=400, prev=2)
    w.emit("vm_end", vm=2, ns=450, how="EXITED", code=3, why="because")
    w.emit("sched_pick", vm=1, ns=500, prev=0)
    w.emit("note", ns=600)
    return w


def test_times_by_hand(tmp_path):
    one, other = compute(load(str(two(tmp_path).save()))).vms
    assert (one.run_ns, one.guest_ns, one.blocked_ns, one.alive_ns) == (200, 40, 100, 600)
    assert one.ready_ns == 600 - 200 - 100
    assert (other.run_ns, other.guest_ns, other.alive_ns) == (200, 80, 450)
    assert (one.switches, other.switches) == (2, 1)
    assert (one.how, other.how, other.code, other.why) == ("", "EXITED", 3, "because")
    assert one.share == other.share == 0.4


def test_spans_of_two_cpus_do_not_mix(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin", cpus=2)
    for i in range(4):
        w.emit("sched_pick", vm=i + 1, pcpu=i % 2, ns=i * 100)
        w.emit("entry", vm=i + 1, pcpu=i % 2, ns=i * 100 + 10)
        w.emit("exit", vm=i + 1, pcpu=i % 2, ns=i * 100 + 150)
    trace = load(str(w.save()))
    runs = run_spans(trace)
    assert runs.start.tolist() == [0, 100, 200, 300] and runs.end.tolist() == [200, 300, 450, 450]
    inside = guest_spans(trace)
    assert sorted(zip(inside.vm.tolist(), (inside.end - inside.start).tolist())) == [
        (vm, 140) for vm in (1, 2, 3, 4)]


def test_an_entry_without_its_exit_is_no_time_in_the_guest(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    w.emit("entry", vm=1, ns=0).emit("exit", vm=2, ns=10)
    w.emit("entry", vm=1, ns=20).emit("entry", vm=1, ns=30).emit("exit", vm=1, ns=35)
    inside = guest_spans(load(str(w.save())))
    assert (inside.start.tolist(), inside.end.tolist()) == ([30], [35])


def test_ticks_are_summed_over_generations_and_their_sum_is_checked(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    for due, delivered, discarded in ((5, 3, 1), (2, 2, 0)):
        w.emit("vm_create", vm=1, args="x")
        w.emit("timer_program", vm=1, policy="MERGE", view="APPARENT")
        w.emit("timer_due", vm=1, due=due, delivered=delivered, discarded=discarded,
               backlog=due - delivered - discarded)
    (vm,) = compute(load(str(w.save()))).vms
    assert vm.ticks == {"due": 7, "delivered": 5, "backlog": 1, "discarded": 1}
    assert (vm.policy, vm.view, vm.generations, vm.ticks_wrong) == ("MERGE", "APPARENT", 2, 0)
    w.emit("timer_due", vm=1, due=3, delivered=2)
    assert compute(load(str(w.save()))).vms[0].ticks_wrong == 1


def test_an_unsealed_or_wrong_check_is_a_failed_one(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    w.emit("vm_create", vm=1)
    for value, expected, sealed in ((1, 1, 1), (1, 1, 0), (1, 2, 1)):
        w.emit("check", vm=1, value=value, expected=expected, sealed=sealed, name="n")
    (vm,) = compute(load(str(w.save()))).vms
    assert (vm.checks_passed, vm.checks_failed) == (1, 2)


def test_without_scheduling_records_nothing_is_made_up(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    w.emit("vm_create", vm=1).emit("exit", vm=1, ns=9)
    stats = compute(load(str(w.save())))
    (vm,) = stats.vms
    assert (vm.share, vm.run_ns, vm.ready_ns, vm.switches, stats.idle_ns) == (None,) * 5
    assert vm.exits == {"NONE": 1} and any("unknown" in line for line in stats.warnings)


def test_the_host_takes_an_ended_vm_apart_on_its_own_time(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    w.emit("vm_create", vm=1, ns=0, args="a").emit("sched_pick", vm=1, ns=100)
    w.emit("vm_end", vm=1, ns=150, how="TRIPLE_FAULT").emit("vm_destroy", vm=1, ns=170)
    w.emit("vm_create", vm=1, ns=200, generation=1, args="a").emit("sched_pick", vm=1, ns=250)
    w.emit("vm_end", vm=1, ns=260, how="EXITED").emit("sched_pick", vm=0, ns=300, prev=1)
    w.emit("vm_end", vm=1, ns=320).emit("note", ns=350)
    trace = load(str(w.save()))
    stats, runs, decided = compute(trace), run_spans(trace), decided_spans(trace)
    assert runs.start.tolist() == decided.start.tolist() == [100, 250, 300]
    assert runs.end.tolist() == [150, 260, 350] and decided.end.tolist() == [250, 300, 350]
    (vm,) = stats.vms
    assert (vm.run_ns, stats.host_ns, stats.idle_ns) == (60, 140, 50)
    assert vm.share == 60 / 250 and vm.ends == {"EXITED": 2, "TRIPLE_FAULT": 1}


def test_figures_end_where_the_buffer_was_full(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    w.emit("vm_create", vm=1, ns=0, args="a").emit("sched_pick", vm=1, ns=100)
    w.emit("note", ns=150).emit("panic", ns=900, message="x")
    w.dropped[0] = 5
    stats = compute(load(str(w.save())))
    assert (stats.known_to_ns, stats.vms[0].run_ns, stats.vms[0].alive_ns) == (150, 50, 150)
    assert stats.vms[0].ended == "no end in trace" and stats.panics == ["x"]
    assert "PANIC of the host kernel: x" in format_text(stats)
    assert "the buffer was full at 150 ns" in format_text(stats)


@pytest.mark.parametrize("option", ["trace=walks", "trace=some", "trace=sched"])
def test_what_was_not_recorded_is_no_zero(viz, tmp_path, option):
    w = synth.TraceWriter(tmp_path / "t.bin", cmdline=option)
    w.emit("vm_create", vm=1, ns=0, args="a").emit("note", ns=100)
    path = w.save()
    table, told = viz("stats", path), json.loads(viz("stats", path, "--json").stdout)
    (vm,) = told["vms"]
    assert "exits" in told["not_recorded"] and vm["exits"] is None and vm["guest_ns"] is None
    assert (vm["ticks"] is None) == (option != "trace=some")
    assert f"note: not recorded, by the run's option {option}" in table.stdout
    assert "0 ns" not in table.stdout.split("VM 1 a")[1].split("\n")[0]


def test_the_help_names_every_field_of_the_json(viz, run_path):
    help_text = viz("stats", "--help").stdout
    told = json.loads(viz("stats", run_path, "--json").stdout)
    names = set(re.findall(r"\w+", help_text.split("the fields of --json")[1]))
    assert {*told, *told["vms"][0], *told["vms"][0]["ticks"]} <= names


def test_the_command_prints_a_table_and_json(viz, run_path, run_trace, tmp_path):
    table = viz("stats", run_path)
    assert table.returncode == 0 and table.stderr == ""
    assert "VM 3 greedy" in table.stdout and "delivered" in table.stdout
    out = tmp_path / "stats.json"
    assert viz("stats", run_path, "--json", "-o", out).returncode == 0
    told = json.loads(out.read_text())
    assert told["records"] == len(run_trace) and told["nonce"] == "0x123456789abcdef0"
    assert [vm["name"] for vm in told["vms"]] == ["ticker", "ticker", "greedy"]
    assert sum(told["events"].values()) == len(run_trace)


def test_times_are_written_with_units():
    assert [format_ns(n) for n in (0, 999, 1500, 2_500_000, 3 * 10**9)] == [
        "0 ns", "999 ns", "1.5 us", "2.5 ms", "3 s"]
