"""What a lab's test file is written with: `points` says what a test is worth, `expect` judges.

Nothing is measured here and no machine is known: the fixture `lab` is in lab.py.
A test's name, its docstring's first line and its hint are what students read.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Tuple, TypeVar, Union

WORTH = "worth"  # the attribute of a test function that holds its Worth
Test = TypeVar("Test", bound=Callable[..., Any])


@dataclass(frozen=True)
class Worth:
    """What a test is worth, where to read on, and which tests must have passed before."""

    points: float
    hint: str = ""
    needs: Tuple[str, ...] = ()


class Failed(AssertionError):
    """A test failed; the message is a sentence for the student."""


def points(number: float, *, hint: str = "",
           needs: Union[str, Iterable[str]] = ()) -> Callable[[Test], Test]:
    """The points of a test.  hint: a section of the handout.  needs: names of tests; if one of
    them fails, this one is not tried."""
    if number < 0:
        raise ValueError(f"a test cannot be worth {number} points")
    wanted = (needs,) if isinstance(needs, str) else tuple(needs)

    def mark(test: Test) -> Test:
        setattr(test, WORTH, Worth(number, hint, wanted))
        return test
    return mark


def expect(condition: object, sentence: str) -> None:
    """Fail the test with this sentence unless the condition holds."""
    if not condition:
        raise Failed(sentence)
