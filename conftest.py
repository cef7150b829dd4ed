"""What holds for the tests of all folders: the options for the long versions and the platform.

Fixtures that run machines are in grader/tests/conftest.py.
"""
from __future__ import annotations

from typing import List

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture", action="store_true",
                     help="the seeded tests with many more seeds, and at length")
    parser.addoption("--platform", default="qemu-svm",
                     help="where tests that run machines run them (default: qemu-svm)")


@pytest.fixture(scope="session")
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether the long version is asked for."""
    return bool(request.config.getoption("--torture"))


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Leave out the tests marked `long`, unless --torture asks for them."""
    if config.getoption("--torture"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
