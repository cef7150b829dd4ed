"""make doctor: what is here, what is missing, how to get it, and does a machine boot?

One line a finding.  The tools come from grader/packages.txt, the platforms'
own findings from their check(); the smoke boot runs one guest for at most a
second of virtual time.  Nothing is installed here; see grader/setup.sh.
"""
from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List

from grader import plan, platforms
from grader.platform import CONSOLE, Finding

PACKAGES = Path(__file__).with_name("packages.txt")
SMOKE_GUEST = "hello"
PROBE_S = 60
DEBIAN_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Tool:
    """One line of packages.txt: package names, a shell command that succeeds if it is there."""

    package: str
    probe: str
    purpose: str


def read_tools(path: Path = PACKAGES) -> List[Tool]:
    """The tools that Nestling needs; ValueError names a line that cannot be read."""
    tools = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = re.split(r" {2,}", line.strip())
        if len(columns) != 3:
            raise ValueError(f"{path.name}:{number}: not three columns: {line}")
        tools.append(Tool(*columns))
    return tools


def check_tool(tool: Tool) -> Finding:
    """Whether a tool is there, and what it says of its version."""
    environment = {**os.environ, "PYTHON": sys.executable}
    try:
        result = subprocess.run(["sh", "-c", tool.probe], text=True, capture_output=True,
                                timeout=PROBE_S, env=environment, check=False,
                                stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return Finding(False, f"{tool.package}: does not answer ({tool.probe})")
    if result.returncode:
        return Finding(False, f"{tool.package} is missing ({tool.purpose}): {_advice(tool)}")
    said = (result.stdout or result.stderr).strip().split("\n")[0]
    return Finding(True, f"{tool.package}: {said or 'there'}")


def _advice(tool: Tool) -> str:
    """How to get it; Debian's packages are for Debian's Python alone."""
    name = tool.package.split("/")[0]
    if name.startswith("python3-") and sys.executable != DEBIAN_PYTHON:
        return f"this is {sys.executable}; use {DEBIAN_PYTHON}, or install it for this one"
    return f"make setup, or apt-get install {name}"


def check_machine(build: Path) -> Finding:
    """Boot one guest for up to a second of virtual time, if there is a kernel."""
    if not (build / "nestling.elf").is_file():
        return Finding(True, "the kernel is not built yet: run make, then make doctor again "
                       "for a trial boot")
    try:
        from grader import collect, run
    except ImportError as error:
        return Finding(False, f"trial boot: {error}")
    with tempfile.TemporaryDirectory(prefix="nestling-doctor-") as folder:
        try:
            result = run.make(plan.Request([SMOKE_GUEST], Path(folder), time="1s", build=build))
        except plan.RunError as error:
            return Finding(False, f"trial boot: {error}")
        if result.json["status"] == run.STATUS_TODO:
            return Finding(True, f"trial boot: it boots; still to be written: {result.sentence}")
        if not result.ok or result.trace is None:
            said = "; ".join(collect.console_tail(Path(folder) / CONSOLE, 3))
            return Finding(False, f"trial boot: {result.sentence} (console: {said})")
        return Finding(True, f"trial boot: {result.sentence}, in {result.json['host_s']:.1f} s, "
                       f"{result.json['trace']['records']} records")


def examine(build: Path, tools_only: bool = False,
            show: Callable[[Finding], None] = lambda finding: None) -> bool:
    """Check everything and show each finding at once; whether all is well."""
    fine = True
    for tool in read_tools():
        fine &= _tell(check_tool(tool), show)
    if tools_only:
        return fine
    for platform in platforms.PLATFORMS:
        for finding in platform.check():
            fine &= _tell(Finding(finding.ok, f"{platform.name}: {finding.text}"), show)
    return _tell(check_machine(build), show) and fine


def _tell(finding: Finding, show: Callable[[Finding], None]) -> bool:
    show(finding)
    return finding.ok
