"""The numbers that a student predicted before running anything.

They are shown beside the measured ones and never graded for being right.  A file that
cannot be read is a remark, not a loss.
"""
from __future__ import annotations

from typing import Any, Dict

from grader.grading.intake import Taken
from grader.labtoml import Lab, tomllib

NAME = "predictions.toml"


def read(taken: Taken, lab: Lab) -> Dict[str, Any]:
    """key -> the student's number, for the questions of lab.toml that were answered."""
    for name, data in taken.files.items():
        if name.endswith("/" + NAME):
            try:
                table = tomllib.loads(data.decode())
            except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
                taken.problems[name] = f"is no TOML: {error}"
                return {}
            return {key: table[key] for key in lab.predict
                    if isinstance(table.get(key), (int, float))
                    and not isinstance(table[key], bool)}
    return {}
