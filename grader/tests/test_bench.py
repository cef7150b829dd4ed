"""make bench: rows and verdicts on made-up measurements, and the exact rows on a real machine."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from grader import bench, bench_host, plan
from grader import __main__ as cli
from viz import trace as viz_trace
from viz.tests.synth import TraceWriter

COUNTS = {"cpuid": 200.0, "out": 240.0, "record": 14.0, "npf": 430.0, "yield": 1400.0}
SHADOW = {"fault": 390.0, "upper": 790.0, "map64": 39000.0, "cr3": 690.0, "hidden": 495.0}
HOST = {"clean": 12.0, "incremental": 1.0, "first_exit": 0.3, "hello_vmx": 0.8, "draw_s": 2.0,
        "draw_mb": 180.0}
VMX = 240.0


def run_bench(monkeypatch: pytest.MonkeyPatch, out: Path, exact: Dict[str, float],
              host: Dict[str, float], *words: str, vmx: float = VMX,
              shadow: Dict[str, float] = SHADOW) -> int:
    """The command line with measurements that are given."""
    traced = {name: value + 50 for name, value in exact.items()}
    traced.update({name: exact[name] for name in ("cpuid", "record")})
    monkeypatch.setattr(bench, "exact", lambda folder, build: bench.judge(traced, exact))
    monkeypatch.setattr(bench, "shadow",
                        lambda folder, build: bench.judge(shadow, shadow, rows=bench.SHADOW))
    monkeypatch.setattr(bench, "counts", lambda request: {**COUNTS, "cpuid": vmx})
    monkeypatch.setattr(bench_host, "measure", lambda folder, say: dict(host))
    return cli.main(["bench", "--out", str(out), *words])


def test_all_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                  capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "bench.json"
    assert run_bench(monkeypatch, out, COUNTS, HOST) == 0
    rows: List[Dict[str, Any]] = json.loads(out.read_text())
    assert [list(row) for row in rows] == [["name", "value", "unit", "budget", "anchor"]] * 20
    first = rows[0]
    assert (first["value"], first["unit"], first["budget"]) == (200, "instructions", 200)
    assert first["anchor"]["floor"]["value"] == 86 and first["anchor"]["kvm"]["value"] == 2993
    assert "KVM" in first["anchor"]["kvm"]["source"]
    assert (rows[1]["value"], rows[1]["budget"]) == (240, 300) and "bochs-vmx" in rows[1]["name"]
    assert rows[3]["anchor"] == {}
    assert rows[2]["value"] == 240 and rows[2]["anchor"]["traced"]["value"] == 290
    assert "traced" not in first["anchor"]
    shown = capsys.readouterr()
    assert all(row["name"] in shown.out for row in rows)
    assert "OVER BUDGET" not in shown.out and "over budget" not in shown.err


@pytest.mark.parametrize("source", [*COUNTS, *SHADOW, *HOST])
def test_each_row_can_break(source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                            capsys: pytest.CaptureFixture[str]) -> None:
    row = next(row for row in bench.EXACT + bench.SHADOW + bench.HOST if row.source == source)
    exact = {**COUNTS, **({source: row.budget + 0.01} if source in COUNTS else {})}
    host = {**HOST, **({source: row.budget + 0.01} if source in HOST else {})}
    shadow = {**SHADOW, **({source: row.budget + 0.01} if source in SHADOW else {})}
    out = tmp_path / "bench.json"
    assert run_bench(monkeypatch, out, exact, host, shadow=shadow) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines()[-1] == f"grader: over budget: {row.name}"
    broken = [line for line in shown.out.splitlines() if "OVER BUDGET" in line]
    assert len(broken) == 1 and broken[0].startswith(row.name)
    assert len(json.loads(out.read_text())) == 20


def test_vmx_is_held_to_what_svm_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    less = {**COUNTS, "cpuid": 100.0}
    assert run_bench(monkeypatch, out, less, HOST, vmx=150.0) == 0
    assert run_bench(monkeypatch, out, less, HOST, vmx=151.0) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"grader: over budget: {bench.VMX_ROW.name}"


def test_each_scheduler_has_its_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COUNTS, "yield", 1499.0)
    budgets = {name: budget for name, _, budget in bench.SCHEDULERS}
    for name, budget in budgets.items():
        monkeypatch.setattr(bench, "SCHEDULERS", [
            (each, words, budget if each != name else 1498) for each, words, budget in
            bench.SCHEDULERS])
        assert run_bench(monkeypatch, tmp_path / "bench.json", COUNTS, HOST) == 1
        assert f"A to B to A through {name}" in capsys.readouterr().err.splitlines()[-1]


def test_exact_leaves_out_the_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    assert run_bench(monkeypatch, out, COUNTS, {}, "--exact") == 0
    assert [row["unit"] for row in json.loads(out.read_text())] == ["instructions"] * 14


def test_runs_must_agree() -> None:
    assert bench.same([COUNTS, dict(COUNTS)]) == COUNTS
    with pytest.raises(plan.RunError, match="differently"):
        bench.same([COUNTS, {**COUNTS, "out": 241.0}])


def made_up_trace(path: Path, skip: str = "", ends: tuple = (1, 2)) -> viz_trace.Trace:
    """What a run of bench and yielder leaves, as far as it is read."""
    writer = TraceWriter(path)
    writer.emit("trace_start", ns=0, pcpus=1, buffer=1 << 20)
    for ns, (name, value) in enumerate(COUNTS.items(), 1000):
        if name == "record" != skip:
            writer.emit("note", ns=ns, value=int(1000 * value), text=bench.NOTE)
        elif name != skip:
            writer.emit("checkpoint", vm=1, ns=ns, value=int(value), text=name)
            writer.emit("checkpoint", vm=2, ns=ns, value=7, text=name)
    for ns, vm in enumerate(ends, 2000):
        writer.emit("vm_end", vm=vm, ns=ns, how="EXITED", code=0, text="exited")
    return viz_trace.load(str(writer.save()))


def test_counts_of_a_trace(tmp_path: Path) -> None:
    assert bench.read_counts(made_up_trace(tmp_path / "whole.bin")) == COUNTS


@pytest.mark.parametrize("name", list(COUNTS))
def test_a_missing_count_is_no_count(name: str, tmp_path: Path) -> None:
    with pytest.raises(plan.RunError, match=f"nothing of: {name}"):
        bench.read_counts(made_up_trace(tmp_path / "part.bin", skip=name))


def test_the_partner_must_outlive_bench(tmp_path: Path) -> None:
    with pytest.raises(plan.RunError, match="yielder"):
        bench.read_counts(made_up_trace(tmp_path / "early.bin", ends=(2, 1)))


def test_the_live_trace_is_searched_for_an_exit(tmp_path: Path) -> None:
    def memory(event: str, **fields: Any) -> Path:
        writer = TraceWriter(tmp_path / "live.bin")
        writer.emit("trace_start", ns=0, pcpus=1, buffer=1 << 20)
        writer.emit(event, vm=1, ns=5, **fields)
        path = tmp_path / "memory.bin"
        with open(path, "wb") as file:
            file.seek(bench_host.TRACE_ADDRESS)  # a hole: takes no room
            file.write(writer.save().read_bytes())
        return path

    assert not bench_host.has_exit(tmp_path / "absent.bin")
    assert not bench_host.has_exit(memory("entry", rip=1))
    assert bench_host.has_exit(memory("exit", reason="CPUID", rip=1))


@pytest.mark.machine
def test_exact_rows_of_a_real_machine(tmp_path: Path) -> None:
    found = {each.row.source: each for each in bench.exact(tmp_path, plan.BUILD)}
    assert set(found) == set(COUNTS)
    for each in found.values():
        assert each.value > (each.row.floor or 0), each.row.name
        assert each.with_trace is None or each.with_trace > each.value, each.row.name
    assert found["cpuid"].value < found["npf"].value < found["yield"].value


def test_in_a_starter_the_rows_about_drawing_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("clean_build", "incremental_build", "first_exit", "hello"):
        monkeypatch.setattr(bench_host, name, lambda *places: 1.0)
    monkeypatch.setattr(bench_host, "EVENTS_MAKER", tmp_path / "absent.py")
    said: List[str] = []
    found = bench_host.measure(tmp_path, said.append)
    assert list(found) == ["clean", "incremental", "first_exit", "hello_vmx"]
    assert sum("the rows about drawing are left out" in line for line in said) == 1
