"""Tests of the grader, its oracles included."""
