"""The report and the start page: true, complete, self-contained, safe to open."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from viz import html_page, report
from viz.report import index, render
from viz.report_facts import gather
from viz.tests import synth
from viz.trace import TraceError

FACTS = {"platform": "qemu-svm", "emulator": "QEMU 7.2", "exit_reason": "ended", "status": 0,
         "seed": "0x1", "nonce": "0x123456789abcdef0", "repeat": "python3 -m grader run --seed 1",
         "vms": [{"vm": 1, "name": "ticker", "how": "EXITED", "code": 0}]}
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags nest, and collects ids, links, sources and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.ids, self.links, self.sources = [], [], [], []
        self.tags, self.words = set(), ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if "href" in attributes else []
        if tag == "img":
            self.sources.append(attributes["src"])
            assert attributes["alt"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def assert_only_our_script(page: str) -> None:
    """One script, ours, and a policy that names it by its hash and allows no other."""
    (script,) = re.findall(r"<script[^>]*>(.*?)</script>", page, re.S)
    assert script == (html_page.TEMPLATES / "walk_steps.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert f"script-src 'sha256-{digest}';" in page


@pytest.fixture()
def folder(tmp_path, run_path) -> Path:
    shutil.copy(run_path, tmp_path / "trace.bin")
    (tmp_path / "run.json").write_text(json.dumps(FACTS))
    (tmp_path / "console.txt").write_bytes(b"booted\n\x1b[31m<b>colour\xff\n")
    return tmp_path


def checks_of(path) -> dict:
    return {check.name: check.ok for check in gather(str(path)).checks}


@pytest.fixture(scope="module")
def page(run_path, tmp_path_factory) -> str:
    """A report, made once: its figures take a second."""
    here = tmp_path_factory.mktemp("demo")
    shutil.copy(run_path, here / "trace.bin")
    (here / "run.json").write_text(json.dumps(FACTS))
    return render(gather(str(here)))


def test_the_report_is_one_sound_page_that_needs_nothing_else(page):
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert all(link.startswith(("#", "data:")) for link in parsed.links)
    assert len(parsed.sources) == 1 and "svg" in parsed.tags
    assert all(s.startswith("data:image/svg+xml;base64,") for s in parsed.sources)
    assert_only_our_script(page)
    assert re.findall(r"url\((?!data:)|@import", page) == []


def test_the_report_states_what_the_stats_say(page, run_path):
    run, words = gather(str(run_path)), Page(page).words
    for vm in run.stats.vms:
        assert f"{100 * vm.share:.2f} %" in words
        assert all(str(count) in words for count in vm.exits.values())
    for fact in ("QEMU 7.2", "python3 -m grader run --seed 1", "sched=rr slice=10ms", "observed",
                 "computed", "ticker -- hz=100"):
        assert fact in words
    assert "prefers-color-scheme: dark" in page and "@media print" in page


def test_sound_runs_hold_together(folder):
    assert set(checks_of(folder).values()) == {True} and len(checks_of(folder)) == 5


@pytest.mark.parametrize("change", [dict(seed="0x2"), dict(nonce=7),
                                    dict(vms=[dict(vm=1, how="KILLED")])])
def test_a_run_json_that_contradicts_the_trace_is_noticed(folder, change):
    (folder / "run.json").write_text(json.dumps({**FACTS, **change}))
    assert checks_of(folder)["run.json and the trace agree"] is False


@pytest.mark.parametrize("event, fields, broken", [
    ("timer_due", dict(due=9, delivered=1), "delivered + backlog + discarded = due"),
    ("check", dict(value=1, expected=2, sealed=1, name="x"), "The guests' self-checks passed"),
    ("vm_destroy", dict(leaked=3), "Destroyed VMs gave all frames back")])
def test_what_is_broken_is_told(tmp_path, event, fields, broken):
    w = synth.TraceWriter(tmp_path / "t.bin")
    w.emit("vm_create", vm=1, args="x").emit("sched_pick", vm=1).emit(event, vm=1, **fields)
    result = checks_of(w.save())
    assert result[broken] is False and result["The trace is complete"] is True
    assert [ok for name, ok in result.items() if name != broken].count(False) == 0


def test_self_checks_are_listed_with_their_last_values(tmp_path):
    w = synth.TraceWriter(tmp_path / "t.bin")
    for value, expected, sealed in ((1, 1, 1), (1, 1, 0), (16, 2, 1)):
        w.emit("check", vm=2, value=value, expected=expected, sealed=sealed, name="canary")
    w.emit("check", vm=1, value=3, expected=3, sealed=1, name="a")
    first, second = gather(str(w.save())).self_checks
    assert (first["vm"], first["name"], first["passed"], first["failed"]) == (1, "a", 1, 0)
    assert second == {"vm": 2, "name": "canary", "passed": 1, "failed": 2, "value": "0x10",
                      "expected": "0x2", "sealed": True}


def test_missing_and_damaged_parts_are_said(folder):
    raw = (folder / "trace.bin").read_bytes()
    used = int.from_bytes(raw[656:664], "little")
    (folder / "trace.bin").write_bytes(raw[:len(raw) - used // 2])
    (folder / "run.json").write_text("{")
    index(str(folder), str(folder / "index.html"))
    words = Page((folder / "index.html").read_text()).words
    assert "the rest is missing" in words and "run.json cannot be read" in words
    assert "This picture is missing" in words


@pytest.mark.parametrize("text", ["", "[]", "null", "{\"vms\": 3}", "\xff", "[" * 10000,
                                  "{\"vms\": [1, {\"vm\": [], \"how\": {}}], \"seed\": []}"])
def test_no_run_json_ends_in_a_traceback(folder, text):
    (folder / "run.json").write_bytes(text.encode("latin-1"))
    index(str(folder), str(folder / "index.html"))
    Page((folder / "index.html").read_text())


def test_a_folder_without_a_trace_is_refused(tmp_path):
    with pytest.raises(TraceError, match="holds no trace.bin"):
        gather(str(tmp_path))


def test_what_a_guest_writes_stays_text(tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    w = synth.TraceWriter(tmp_path / "trace.bin", cmdline=evil, platform="<blink>")
    w.emit("vm_create", vm=1, args=evil).emit("check", vm=1, name=evil)
    w.emit("panic", message=evil).emit("sched_pick", vm=1).emit("vm_end", vm=1, why=evil)
    w.save()
    (tmp_path / "console.txt").write_text(evil)
    (tmp_path / "run.json").write_text(json.dumps({**FACTS, "repeat": evil}))
    index(str(tmp_path), str(tmp_path / "index.html"))
    for text in ((tmp_path / "index.html").read_text(), render(gather(str(tmp_path)))):
        parsed = Page(text)
        assert "blink" not in parsed.tags and evil in parsed.words
        assert_only_our_script(text)
        assert all(s.startswith("data:") for s in parsed.sources)


def test_the_start_page_links_what_is_there(folder):
    for name in ("walk.svg", "timeline.svg", "timeline.html"):
        (folder / name).write_text("<svg/>")
    (folder / "sub dir").mkdir()
    out = folder / "sub dir" / "index.html"
    index(str(folder), str(out))
    parsed = Page(out.read_text())
    links = {link for link in parsed.links if not link.startswith(("#", "data:"))}
    assert links == {f"../{name}" for name in ("walk.svg", "timeline.svg", "timeline.html",
                                               "trace.bin", "console.txt", "run.json")}
    assert parsed.sources == ["../timeline.svg"] and "svg" in parsed.tags
    assert "VM 3 greedy" in parsed.words and "\x1b" not in parsed.words


def test_the_command_writes_both_pages(viz, folder, tmp_path):
    for extra, name in (([], "r.html"), (["--index"], "i.html")):
        done = viz("report", folder, *extra, "-o", tmp_path / name)
        assert (done.returncode, done.stderr) == (0, "")
        line, = done.stdout.splitlines()
        assert line.startswith(f"{tmp_path / name}: ") and str(folder) in line
        Page((tmp_path / name).read_text())
