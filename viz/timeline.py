"""`viz timeline`: who ran when, as a still picture or as a page to zoom and measure in.

Only the command line and the choice of the drawing are here; what is shown comes
from timeline_data.py, the pictures from timeline_static.py and timeline_html.py.
"""

from __future__ import annotations

import argparse
from typing import Iterable, List, Optional, Tuple

from viz import timeline_style as style
from viz.timeline_data import Timeline, extract
from viz.trace import Trace, TraceError, announce, load

FORMATS = ("svg", "png", "pdf", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", help="trace.bin of a run")
    parser.add_argument("-o", "--output", required=True, metavar="FILE",
                        help="the picture (.svg, .png, .pdf) or page (.html) to write")
    parser.add_argument("--from", dest="start", type=_time, metavar="T",
                        help="begin here: 250ms, 1.5s or a number of ns (default: all)")
    parser.add_argument("--to", dest="end", type=_time, metavar="T", help="end here")
    parser.add_argument("--vm", type=int, action="append", metavar="N",
                        help="draw only this VM's lane; may be repeated")


def _time(text: str) -> int:
    try:
        return style.parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(args: argparse.Namespace) -> int:
    trace = load(args.trace)
    line = draw(trace, args.output, args.start, args.end, args.vm)
    announce(trace)
    first, last = _window(line, args.start, args.end)
    lanes = ", ".join(f"VM {vm}" for vm in _chosen(line, args.vm)) or "no VM"
    print(f"{args.output}: timeline of {lanes}; {style.show_time(first)} to {style.show_time(last)}, "
          f"of {len(trace):,} records")
    return 0


def draw(trace: Trace, out_path: str, start: Optional[int] = None, end: Optional[int] = None,
         vms: Optional[Iterable[int]] = None) -> Timeline:
    """Draw start..end (ns of virtual time) of a trace; the format by the name's ending.

    Returns all that could be drawn.  TraceError, in one line, when there is nothing to draw
    or a choice does not exist.
    """
    kind = out_path.rsplit(".", 1)[-1].lower()
    if kind not in FORMATS:
        raise TraceError(f"{out_path}: a timeline is drawn as one of .{', .'.join(FORMATS)}")
    if not len(trace):
        raise TraceError(f"{trace.path}: no record that can be read, so no timeline")
    line = extract(trace)
    first, last = _window(line, start, end)
    chosen = _chosen(line, vms)
    if kind == "html":
        from viz import timeline_html
        timeline_html.save(line, out_path, first, last, chosen)
    else:
        from viz import timeline_static
        timeline_static.save(line, out_path, first, last, chosen)
    return line


def _window(line: Timeline, start: Optional[int], end: Optional[int]) -> Tuple[int, int]:
    """The span to draw: inside the trace, and at least 1 ns long."""
    first = line.start if start is None else max(start, line.start)
    last = line.end if end is None else min(end, line.end)
    if first > last or (first == last and line.start != line.end):
        raise TraceError(f"{line.trace.path}: nothing between --from and --to; the trace lasts "
                         f"from {style.show_time(line.start, 9)} to "
                         f"{style.show_time(line.end, 9)}")
    return first, max(last, first + 1)


def _chosen(line: Timeline, vms: Optional[Iterable[int]]) -> List[int]:
    wanted = list(line.names) if vms is None else sorted(set(vms))
    missing = [vm for vm in wanted if vm not in line.names]
    if missing:
        known = style.listed(str(vm) for vm in line.names)
        raise TraceError(f"{line.trace.path}: there is no VM {missing[0]} (there are: {known})")
    return wanted
