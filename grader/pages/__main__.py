"""python3 -m grader.pages: the handouts as a site, and as PDF where Chromium is installed.

Exit codes: 0 all is there; 2 something is broken: each problem is one line on stderr, and
what can be written is written all the same.  A figure whose run meets a function that is
still to be written is named, and is no error.
"""
from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import List, Optional

from grader import plan
from grader.pages import figures, pdf, site
from grader.plan import ROOT, RunError

OK, BROKEN = 0, 2


def main(words: Optional[List[str]] = None) -> int:
    """Build the site; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m grader.pages", description=__doc__)
    parser.add_argument("--out", type=Path, default=plan.BUILD / "handouts", metavar="DIR")
    parser.add_argument("--build", type=Path, default=plan.BUILD, metavar="DIR",
                        help="where the kernel and the guests were built")
    parser.add_argument("--no-pdf", action="store_true", help="only HTML")
    options = parser.parse_args(words)
    try:
        return _build(options)
    except RunError as error:
        print(f"handouts: {error}", file=sys.stderr)
        return BROKEN


def _build(options: argparse.Namespace) -> int:
    declared = figures.load(build=options.build)
    whole = site.read(ROOT, declared)
    studio = figures.Studio(options.build / "pages" / "figures")

    def draw(figure: figures.Figure) -> Path:
        before = studio.made
        path = studio.draw(figure)
        if studio.made > before:
            print(f"drawn: {figure.name}", flush=True)
        return path

    shutil.rmtree(options.out, ignore_errors=True)
    browser = None if options.no_pdf else pdf.find_browser()
    for sentence in site.write(whole, options.out, draw, printed=browser is not None):
        print(f"handouts: {sentence}", file=sys.stderr)
    studio.forget_others()
    if browser is not None:
        _print(browser, whole, options)
    elif not options.no_pdf:
        print("no PDF: chromium is not installed")
    print(f"{len(whole.pages)} pages: open {plan.short(options.out / 'index.html')} in a browser")
    for problem in whole.problems:
        print(f"handouts: {problem}", file=sys.stderr)
    return BROKEN if whole.problems else OK


def _print(browser: str, whole: site.Site, options: argparse.Namespace) -> None:
    names = [page.name for page in whole.pages if page.name != "index"] + [site.BOOK]
    for name in names:
        pdf.print_page(browser, options.out / f"{name}.html", options.out / "pdf" / f"{name}.pdf",
                       options.build / "pages" / "pdf")


if __name__ == "__main__":
    sys.exit(main())
