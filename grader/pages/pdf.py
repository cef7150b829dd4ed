"""Printing pages to PDF by headless Chromium, without a network.

A PDF is kept by what the page and its figures hold, so that only what changed is
printed again.  A browser that fails is a RunError of one sentence.
"""
from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Optional

from grader.plan import RunError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer")
LIMIT_S = 120


def find_browser() -> Optional[str]:
    """The browser that can print, None if there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def print_page(browser: str, page: Path, out: Path, kept: Path) -> None:
    """Print an HTML file into `out`; prints of an unchanged page are taken from `kept`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    key = _digest(page)
    ready = kept / f"pdf-{page.stem}-{key}.pdf"
    if not ready.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        for old in kept.glob(f"pdf-{page.stem}-????????????????.pdf"):
            old.unlink(missing_ok=True)
        _print(browser, page, ready)
    shutil.copyfile(ready, out)


def _print(browser: str, page: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as profile:
        made = Path(profile, "page.pdf")
        try:
            done = subprocess.run([browser, *FLAGS, f"--user-data-dir={profile}",
                                   f"--print-to-pdf={made}", page.resolve().as_uri()],
                                  capture_output=True, text=True, timeout=LIMIT_S, check=False,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            raise RunError(f"{browser} did not print {page.name} in {LIMIT_S} s") from None
        if done.returncode or not made.is_file():
            said = (done.stderr.strip() or "it printed nothing").splitlines()[-1]
            raise RunError(f"{browser} did not print {page.name}: {said}")
        shutil.move(str(made), out)


def _digest(page: Path) -> str:
    """Of a page and the figures that it shows."""
    text = page.read_text()
    whole = hashlib.sha256(text.encode())
    for name in sorted(set(re.findall(r'<img src="([^"]+)"', text))):
        whole.update((page.parent / name).read_bytes())
    return whole.hexdigest()[:16]
