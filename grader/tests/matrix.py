"""On which platforms a test runs, and the differences between them that are right.

Without --platform a test runs on the default one; if it is marked `everywhere`, or with
--torture, on all three. What cannot hold on a platform is listed, with its reason, in
grader/platform_differences.toml: tests are skipped for nothing else.
"""
from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from grader import platforms

try:
    import tomllib
except ImportError:  # Python before 3.11
    import tomli as tomllib

DATA = Path(__file__).resolve().parents[1] / "platform_differences.toml"
ALL = tuple(platform.name for platform in platforms.PLATFORMS)
DEFAULT = ALL[0]
FIELDS = {"platforms", "what", "reason", "tests"}


@dataclass(frozen=True)
class Difference:
    """What is not the same on these platforms, why, and which tests therefore do not run."""

    platforms: Tuple[str, ...]
    what: str
    reason: str
    tests: Tuple[str, ...] = ()


def differences(path: Path = DATA) -> List[Difference]:
    """The list; ValueError where it is not as it should be."""
    found = []
    for table in tomllib.loads(path.read_text())["difference"]:
        unknown = set(table) - FIELDS
        if unknown or not set(table["platforms"]) <= set(ALL):
            raise ValueError(f"{path.name}: {unknown or table['platforms']}")
        found.append(Difference(tuple(table["platforms"]), table["what"], table["reason"],
                                tuple(table.get("tests", ()))))
    return found


def rows() -> List[str]:
    """The list as the table of handouts/platforms.md."""
    return [f"| {', '.join(each.platforms)} | {each.what} | {each.reason} |"
            for each in differences()]


def chosen(config: Any, everywhere: bool) -> Tuple[str, ...]:
    """The platforms for a test: as asked for, else the default or all."""
    asked = config.getoption("--platform")
    if asked:
        names = ALL if asked == "all" else tuple(asked.split(","))
        for name in names:
            platforms.find(name)
        return names
    return ALL if everywhere or config.getoption("--torture") else (DEFAULT,)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test that needs a platform those it runs on."""
    if "platform" not in metafunc.fixturenames:
        return
    everywhere = any(metafunc.definition.iter_markers("everywhere"))
    names = chosen(metafunc.config, everywhere)
    test = f"{metafunc.module.__name__.rsplit('.', 1)[-1]}.py::{metafunc.function.__name__}"
    metafunc.parametrize("platform", [_param(name, test) for name in names], indirect=True,
                         scope="session")


def _param(platform: str, test: str) -> Any:
    why = excused(platform, test)
    return pytest.param(platform, marks=[pytest.mark.skip(reason=why)] if why else [])


def excused(platform: str, test: str) -> Optional[str]:
    """Why a test (FILE::NAME, patterns are listed) does not run on a platform; None: it does."""
    for each in differences():
        if platform in each.platforms and any(fnmatchcase(test, name) for name in each.tests):
            return f"{platform}: {each.what}: {each.reason}"
    return None


def listed(tests: Dict[str, Any]) -> List[str]:
    """The patterns of the list that match none of these tests."""
    return [name for each in differences() for name in each.tests
            if not any(fnmatchcase(test, name) for test in tests)]
