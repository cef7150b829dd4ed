"""Nestling's drawing tools: decode a trace, draw walks and timelines, report.

Everything here reads `trace.bin` as handouts/formats.md describes it and knows
no event in advance: names and fields come from the trace's own schema text.
"""
