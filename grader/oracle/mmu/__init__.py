"""The composition oracle: what a guest can reach, held against what it should.

From the guest's own tables, its memory slots and the RAM file follows, without the VMM's
help, where each gVA must lead (guest.py); every entry of the tables that the processor
uses (entries.py) is held against that (shadow.py, nested.py). judge.py joins all VMs.
"""
