"""How far a grading is: on a terminal one line in place, else a line a step."""
from __future__ import annotations

import sys
from typing import Optional, TextIO

WIDTH = 100


class Steps:
    """Says what is being done; nothing if quiet."""

    def __init__(self, quiet: bool = False, out: Optional[TextIO] = None) -> None:
        self.out = out or sys.stderr
        self.quiet = quiet
        self.on_tty = self.out.isatty()
        self._step = ""

    def say(self, text: str) -> None:
        """A new step."""
        self._step = text
        self._show(text)

    def more(self, text: str) -> None:
        """A detail of the step: only where it can be written over."""
        if self.on_tty:
            self._show(f"{self._step}: {text}")

    def _show(self, text: str) -> None:
        if self.quiet:
            return
        self.out.write(f"\r\x1b[K{text[:WIDTH]}" if self.on_tty else text + "\n")
        self.out.flush()

    def done(self) -> None:
        """Clear the line."""
        if self.on_tty and not self.quiet:
            self.out.write("\r\x1b[K")
            self.out.flush()
