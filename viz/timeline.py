"""`viz timeline`: who ran when, as a still picture or as a page to zoom and measure in.

Only the command line and the choice of the drawing are here; what is shown comes
from timeline_data.py, the pictures from timeline_static.py and timeline_html.py, several
traces on one axis from timeline_pair.py.
"""

from __future__ import annotations

import argparse
from typing import Iterable, List, Optional, Sequence, Tuple

from viz import timeline_pair
from viz import timeline_style as style
from viz.timeline_data import Timeline, extract
from viz.trace import WHERE, Trace, TraceError, announce, load

FORMATS = ("svg", "png", "pdf", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("traces", metavar="TRACE", nargs="+",
                        help=f"{WHERE}; two or three stand on one time axis")
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
    traces = [load(path) for path in args.traces]
    lines = draw_together(traces, args.output, args.start, args.end, args.vm)
    for trace in traces:
        announce(trace)
    first, last = _window(lines, args.start, args.end)
    lanes = ", ".join(f"VM {vm}" for vm in _chosen(lines[0], args.vm)) or "no VM"
    of = "" if len(lines) == 1 else f" under {', '.join(timeline_pair.names(lines))}"
    print(f"{args.output}: timeline of {lanes}{of}; {style.show_time(first)} to "
          f"{style.show_time(last)}, of {sum(map(len, traces)):,} records")
    return 0


def draw(trace: Trace, out_path: str, start: Optional[int] = None, end: Optional[int] = None,
         vms: Optional[Iterable[int]] = None) -> Timeline:
    """Draw start..end (ns of virtual time) of a trace; the format by the name's ending.

    Returns all that could be drawn.  TraceError, in one line, when there is nothing to draw
    or a choice does not exist.
    """
    return draw_together([trace], out_path, start, end, vms)[0]


def draw_together(traces: Sequence[Trace], out_path: str, start: Optional[int] = None,
                  end: Optional[int] = None,
                  vms: Optional[Iterable[int]] = None) -> List[Timeline]:
    """The same of several traces, one below the other, over the span that all of them have."""
    kind = out_path.rsplit(".", 1)[-1].lower()
    if kind not in FORMATS:
        raise TraceError(f"{out_path}: a timeline is drawn as one of .{', .'.join(FORMATS)}")
    if len(traces) > timeline_pair.MOST:
        raise TraceError(f"{len(traces)} traces: at most {timeline_pair.MOST} go on one time axis")
    for trace in traces:
        if not len(trace):
            raise TraceError(f"{trace.path}: no record that can be read, so no timeline")
    lines = [extract(trace) for trace in traces]
    first, last = _window(lines, start, end)
    wanted = None if vms is None else list(vms)
    chosen = [_chosen(line, wanted) for line in lines]
    if len(lines) > 1:
        save = timeline_pair.save_page if kind == "html" else timeline_pair.save
        save(lines, out_path, first, last, chosen)
    elif kind == "html":
        from viz import timeline_html
        timeline_html.save(lines[0], out_path, first, last, chosen[0])
    else:
        from viz import timeline_static
        timeline_static.save(lines[0], out_path, first, last, chosen[0])
    return lines


def _window(lines: Sequence[Timeline], start: Optional[int], end: Optional[int]) -> Tuple[int, int]:
    """The span to draw: inside the traces, and at least 1 ns long."""
    low, high = max(line.start for line in lines), min(line.end for line in lines)
    if low > high:
        raise TraceError("these traces have no virtual time in common, so no axis")
    first = low if start is None else max(start, low)
    last = high if end is None else min(end, high)
    if first > last or (first == last and low != high):
        raise TraceError(f"{lines[0].trace.path}: nothing between --from and --to; the trace lasts "
                         f"from {style.show_time(low, 9)} to {style.show_time(high, 9)}")
    return first, max(last, first + 1)


def _chosen(line: Timeline, vms: Optional[Iterable[int]]) -> List[int]:
    if vms is None:
        return list(line.names)
    wanted = sorted(set(vms))
    line.trace.need_vms(*wanted)
    return wanted
