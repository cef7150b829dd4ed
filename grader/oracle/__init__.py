"""Independent judges: each works out from the manual and the formats what a run should have done.

No oracle shares code, tables or constants with the VMM: it was written from
the AMD64 manual, handouts/formats.md and the published policy tables. Each is
shown by its tests to fail on a wrong table or a wrong trace.
"""
