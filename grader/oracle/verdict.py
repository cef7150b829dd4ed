"""An oracle's verdict on a run, printed: what else is to be said, what is wrong, and a last word."""
from __future__ import annotations

from typing import Any, List

TELL = 20                                   # of a long list, so many are told one by one


def first(texts: List[str]) -> List[str]:
    """As many as are told, and how many more there are."""
    more = len(texts) - TELL
    return texts if more <= 0 else texts[:TELL] + [f"and {more} more"]


def tell(oracle: str, trace: Any, wrong: List[str], notes: List[str]) -> int:
    """Print it; the exit status: 0 all is as it should be, 1 something is not."""
    for text in trace.warnings:
        print(f"trace: {text}")
    if trace.dropped:
        print(f"trace: {trace.dropped} records were dropped, verdicts may be wrong")
    for text in notes + first(wrong):
        print(f"{oracle}: {text}")
    print(f"{oracle}: {'right' if not wrong else f'WRONG in {len(wrong)} places'}")
    return 1 if wrong else 0
