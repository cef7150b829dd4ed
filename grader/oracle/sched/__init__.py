"""The schedulers of lab 3 a second time, from the reference text and not from the C code.

Each is written for a reader who checks it against the text: plain lists that are searched
and sorted, exact Python integers, no cleverness. `replay.py` feeds them the calls that a
trace holds. What it does not do: run fast, or serve 10,000 VMs.
"""
