"""What the tests of viz share: one synthetic run, and a way to call the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from viz.tests import synth
from viz.trace import Trace, load

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run",
         "--remote-debugging-pipe", "--window-size=1400,1100")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace of 100 ms of three VMs, the second of which sleeps between its ticks."""
    return synth.three_vms(tmp_path_factory.mktemp("run") / "trace.bin", 100, sleeps=True)


@pytest.fixture(scope="session")
def run_trace(run_path: Path) -> Trace:
    return load(str(run_path))


@pytest.fixture(scope="session")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.million_events(tmp_path_factory.mktemp("million") / "trace.bin")


@pytest.fixture(scope="session")
def viz() -> Callable[..., subprocess.CompletedProcess]:
    """Call `python3 -m viz` as a user would."""
    def call(*words: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "viz", *map(str, words)], cwd=ROOT,
                              capture_output=True, text=True, timeout=120)
    return call


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window and without a network."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common import utils

    class Numeric(Service):
        """Reached by number: a bare Debian has no /etc/hosts that knows localhost."""

        service_url = property(lambda self: f"http://127.0.0.1:{self.port}")

        def is_connectable(self) -> bool:
            return utils.is_connectable(self.port, "127.0.0.1")

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS + (f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(service=Numeric(driver), options=options)
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.emulateNetworkConditions", {
        "offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0})
    yield chrome
    chrome.quit()
