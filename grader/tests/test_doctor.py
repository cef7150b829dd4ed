"""make doctor and make setup: both read one list, and say what is missing.

setup.sh runs here against made-up dpkg-query, apt-get and apt-cache; nothing is
installed.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import pytest

from grader import doctor
from grader.doctor import Tool, check_tool
from grader.plan import ROOT
from grader.platform import BUNDLE, Machine
from grader.qemu_svm import QemuSvm
from grader.tests.test_run_cli import Cli

FAKE_APT = """#!/bin/sh
printf '%s\n' "$(basename "$0") $*" >> "$FAKE_LOG"
case "$(basename "$0")" in
dpkg-query) for p in $FAKE_INSTALLED; do echo "$p installed"; done
            for p in $FAKE_HALF; do echo "$p config-files"; done ;;
apt-cache) case " $FAKE_ARCHIVE " in *" $2 "*) exit 0 ;; *) exit 1 ;; esac ;;
apt-get) [ "$1" != update ] || exit "${FAKE_UPDATE:-0}" ;;
id) echo "${FAKE_UID:-0}" ;;
sudo) "$@" ;;
esac
"""


class Setup:
    """setup.sh on a machine whose packages are made up."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        for name in ("dpkg-query", "apt-cache", "apt-get", "id"):
            self.add(name)
        for name in ("sh", "awk", "grep", "tr", "dirname", "basename", "env", "cat"):
            (self.bin / name).symlink_to(f"/usr/bin/{name}")

    def add(self, name: str) -> None:
        (self.bin / name).write_text(FAKE_APT)
        (self.bin / name).chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess:
        self.log.write_text("")
        return subprocess.run(
            ["/bin/sh", str(ROOT / "grader" / "setup.sh")], text=True, capture_output=True,
            check=False, stdin=subprocess.DEVNULL,
            env={"PATH": str(self.bin), "FAKE_LOG": str(self.log), "PYTHON": "/nonexistent",
                 **environment})

    @property
    def calls(self) -> List[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def names() -> List[str]:
    return [tool.package.split("/")[0] for tool in doctor.read_tools()]


def test_with_nothing_missing_dpkg_is_asked_once_and_apt_never(setup):
    result = setup.run(FAKE_INSTALLED=" ".join(names()))
    assert (result.returncode, result.stdout) == (0, "setup: nothing is missing\n")
    assert [call.split()[0] for call in setup.calls] == ["dpkg-query"]


def test_only_what_is_missing_is_installed_without_recommends(setup):
    installed = [name for name in names() if name not in ("gdb", "chromium")]
    result = setup.run(FAKE_INSTALLED=" ".join(installed), FAKE_HALF="gdb",
                       FAKE_ARCHIVE=" ".join(names()))
    assert result.returncode == 0, result.stderr
    install = [call for call in setup.calls if call.startswith("apt-get install")]
    assert len(install) == 1 and install[0].endswith(" gdb chromium")
    assert "--no-install-recommends" in install[0]


def test_the_other_name_is_taken_where_the_release_has_it(setup):
    installed = [name for name in names() if not name.startswith("chromium")]
    result = setup.run(FAKE_INSTALLED=" ".join(installed), FAKE_ARCHIVE="chromium-browser")
    assert result.returncode == 0
    assert setup.calls[-1].endswith(" chromium-browser")
    assert "no package chromium-driver/chromium-chromedriver" in result.stderr
    assert setup.run(FAKE_INSTALLED=" ".join([*installed, "chromium-browser", "chromium-driver"])
                     ).stdout == "setup: nothing is missing\n"


def test_a_tool_from_elsewhere_counts(setup):
    installed = [name for name in names() if name != "gdb"]
    (setup.bin / "gdb").write_text("#!/bin/sh\nexit 0\n")
    (setup.bin / "gdb").chmod(0o755)
    assert "nothing is missing" in setup.run(FAKE_INSTALLED=" ".join(installed)).stdout


def test_no_network_for_the_lists_is_no_end(setup):
    installed = [name for name in names() if name != "gdb"]
    result = setup.run(FAKE_INSTALLED=" ".join(installed), FAKE_ARCHIVE="gdb", FAKE_UPDATE="100")
    assert result.returncode == 0 and setup.calls[-1].endswith(" gdb")


def test_who_is_not_root_needs_sudo(setup):
    installed = " ".join(name for name in names() if name != "gdb")
    result = setup.run(FAKE_INSTALLED=installed, FAKE_ARCHIVE="gdb", FAKE_UID="1000")
    assert result.returncode != 0 and "run this as root: " in result.stderr
    setup.add("sudo")
    result = setup.run(FAKE_INSTALLED=installed, FAKE_ARCHIVE="gdb", FAKE_UID="1000")
    assert result.returncode == 0
    assert any(call.startswith("sudo ") and "install" in call for call in setup.calls)


def test_every_tool_has_a_reason_and_a_probe():
    tools = doctor.read_tools()
    assert len(tools) == len({tool.package for tool in tools}) >= 15
    assert all(tool.probe and tool.purpose for tool in tools)


def test_a_line_with_too_few_columns_is_named(tmp_path):
    path = tmp_path / "packages.txt"
    path.write_text("# comment\ngcc  gcc --version\n")
    with pytest.raises(ValueError, match="packages.txt:2: not three columns"):
        doctor.read_tools(path)


def test_a_tool_that_is_there_and_one_that_is_not():
    there = check_tool(Tool("tool", "echo version 7; echo more", "tests"))
    assert there.ok and there.text == "tool: version 7"
    missing = check_tool(Tool("a/b", "exit 3", "drawing"))
    assert not missing.ok
    assert "a/b is missing (drawing): make setup, or apt-get install a" == missing.text
    assert check_tool(Tool("python", "$PYTHON -c 'import sys; print(sys.executable)'", "x")).text \
        == f"python: {sys.executable}"


def test_another_python_is_not_told_to_install_debians_packages(monkeypatch):
    numpy = Tool("python3-numpy", "exit 1", "decodes")
    monkeypatch.setattr(sys, "executable", "/opt/python3")
    assert check_tool(numpy).text.endswith("(decodes): this is /opt/python3; use "
                                           "/usr/bin/python3, or install it for this one")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert check_tool(numpy).text.endswith("make setup, or apt-get install python3-numpy")


def test_doctor_runs_where_no_library_is_installed(tmp_path):
    """-S hides the libraries of the system, numpy among them."""
    result = subprocess.run([sys.executable, "-S", "-m", "grader", "doctor", "--build",
                             str(tmp_path)], cwd=ROOT, text=True, capture_output=True, check=False,
                            env={**os.environ, "PYTHONNOUSERSITE": "1"})
    assert "Traceback" not in result.stderr
    assert "trial boot" in result.stdout


@pytest.mark.parametrize("mode, fine, said", [
    ("ended", True, "trial boot: all guests have ended"),
    ("todo", True, "trial boot: it boots; still to be written: lab 1: vcpu_run is not written yet"),
    ("panic", False, "trial boot: the host kernel panicked"),
])
def test_a_machine_that_boots_is_well_even_if_a_lab_is_still_to_be_written(
        tmp_path, monkeypatch, mode, fine, said):
    cli = Cli(tmp_path)
    cli.emulator.rename(tmp_path / QemuSvm.emulator)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NESTLING_FAKE", mode)
    found = doctor.check_machine(cli.build)
    assert found.ok == fine and found.text.startswith(said)


def fake_version(cli: Cli, monkeypatch: pytest.MonkeyPatch, text: str) -> Dict[bool, str]:
    monkeypatch.setenv("NESTLING_FAKE_VERSION", text)
    return {finding.ok: finding.text for finding in QemuSvm().check(str(cli.emulator))}


def remarks(folder: Path, version: str, bundle: bytes) -> List[str]:
    """What is said of a run with these words in its bundle, on a QEMU of that version."""
    said = {"version": f"QEMU emulator {version}"}
    (folder / BUNDLE).write_bytes(b"NEST ... sched=rr " + bundle)

    class Old(QemuSvm):
        def version(self, emulator: str = "") -> str:
            return said["version"]
    return Old().remarks(Machine(folder, "nestling.elf"))


def test_what_a_qemu_lacks_is_said(tmp_path, monkeypatch):
    cli = Cli(tmp_path)
    lost = fake_version(cli, monkeypatch, "QEMU emulator version 10.0.2 (Debian)")
    assert "does not intercept reads of CR3" in lost[True] and False not in lost
    fine = fake_version(cli, monkeypatch, "QEMU emulator version 7.2.22")
    assert "CR3" not in fine[True] and False not in fine
    assert remarks(tmp_path, "version 10.0.2", b"mmu=shadow") != []
    assert remarks(tmp_path, "version 10.0.2", b"mmu=nested") == []
    assert remarks(tmp_path, "version 9.2.1", b"mmu=shadow") == []
    assert "older than" in fake_version(cli, monkeypatch, "QEMU emulator version 4.2.1")[False]
    assert "does not answer" in fake_version(cli, monkeypatch, "no emulator")[False]
