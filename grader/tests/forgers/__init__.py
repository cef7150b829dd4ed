"""Forgers: submissions that try to get points, or to do harm, by other means than solving.

A .toml file each (what it may say: kit.py); the text that goes into a student's file
stands in a .c file beside it where it is long, special packings are in packing.py.
"""
