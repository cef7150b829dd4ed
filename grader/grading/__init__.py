"""Grading: a submission in, a score with its reasons out.

A lab's tests import `points` and `expect` from here and take the fixture `lab`
(grader/grading/lab.py); everything else is for those who grade:
`from grader.grading import grade; grade.grade(grade.Job(...))`.
"""
from grader.grading.api import Failed, expect, points

__all__ = ["Failed", "expect", "points"]
