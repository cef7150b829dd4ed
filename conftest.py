"""What holds for the tests of all folders: the options for the long versions and the platform,
and in which order several processes (pytest -n) take them.

Fixtures that run machines are in grader/tests/conftest.py.
"""
from __future__ import annotations

from typing import Any, List

import pytest

# Each test of these takes long and shares nothing within its file: any process may take it.
ALONE = ("test_lab_reference", "test_lab_forgers", "test_lab_mutants", "test_pages",
         "test_machine_hostile", "test_autograder")
# But these share starters, for which figures are drawn once: one process, before all others.
TOGETHER = "is_in_the_starter"
# Files that take long.  What is left for the end are the short ones, so that none waits long.
LONG_FILES = ("test_machine_ticks", "test_gdb_machine", "test_machine_shares",
              "test_grading_whole", "test_bochs", "test_fuzz", "test_pages_browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--torture", action="store_true",
                     help="the seeded tests with many more seeds, and at length")
    parser.addoption("--platform", default="",
                     help="where tests that run machines run them: names, comma-separated, or all "
                     "(default: qemu-svm; tests marked everywhere, and with --torture: all)")


@pytest.fixture(scope="session")
def torture(request: pytest.FixtureRequest) -> bool:
    """Whether the long version is asked for."""
    return bool(request.config.getoption("--torture"))


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Long files first; leave out the tests marked `long`, unless --torture asks for them."""
    order = {name: number for number, name in enumerate(ALONE + LONG_FILES)}
    items.sort(key=lambda item: -1 if TOGETHER in item.nodeid else
               order.get(item.path.stem, len(order)))
    if config.getoption("--torture"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Processes take a file each, which shares its runs, or one test of those in ALONE."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        """A unit of work is a file or a test."""

        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if TOGETHER in nodeid:
                return TOGETHER
            return nodeid if file.rpartition("/")[2][:-len(".py")] in ALONE else file

    return ByFile(config, log)
