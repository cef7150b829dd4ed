"""The lab kit: starters, mutants, packages for graders, grading of a whole class.

Each module of COMMANDS adds its command to `python3 -m grader`.  A starter holds only
those that its students need, so a module that is not there adds nothing.  Nothing here
judges a submission; that is the business of grader/grading/.
"""
from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

COMMANDS = ("starter", "handin", "mutants", "autograder", "gradeall", "score",
            "experiment")


def add_commands(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the commands of the modules that are there to the parser's."""
    for name in COMMANDS:
        if Path(__file__).with_name(name + ".py").is_file():
            importlib.import_module(f"grader.kit.{name}").add(commands)
