"""`python3 -m viz exits`: why a guest left, by cause, in one run or in several side by side.

With shadow paging a #PF exit says little by itself: what the VMM did about it tells whether
it was the guest's own (reflected), hidden, a write to one of its tables, or a device.  So a
cause is an exit and what was recorded until the next entry.  Counts and the virtual time from
an exit to the VM's next entry, which is the VMM's; a nanosecond is an instruction.
"""
from __future__ import annotations

import argparse
import os
import textwrap
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from viz import recorded, style
from viz.stats import table, write_text
from viz.timeline_style import parse_time
from viz.trace import WHERE, Trace, TraceError, announce, load

FORMATS = (".svg", ".png", ".pdf")
# A cause and what it is, in the order of the picture.
CAUSES: Dict[str, str] = {
    "hidden": "#PF, hidden: an entry of the shadow was missing, or narrower",
    "table": "#PF, write to a guest table, carried out by the VMM",
    "unsync": "#PF, first write to a leaf table, which is then left writable",
    "reflected": "#PF, reflected: the guest's own",
    "device": "an access outside memory: a device",
    "dropped": "a write to read-only memory, dropped by the VMM",
    "invlpg": "INVLPG",
    "cr": "MOV to or from a control register",
    "nested": "nested fault: no mapping yet, or a forbidden access",
    "other exception": "another exception",
    "io": "port access",
    "hypercall": "hypercall",
    "interrupt": "a physical interrupt, or a window for a virtual one",
    "rest": "the rest: CPUID, HLT, MSR ...",
}
BY_REASON = {"CR": "cr", "INVLPG": "invlpg", "NESTED": "nested", "IO": "io",
             "EXCEPTION": "other exception", "HYPERCALL": "hypercall", "INTR": "interrupt",
             "NMI": "interrupt", "INTR_WINDOW": "interrupt", "PREEMPTION": "interrupt"}
TIMES = ("ns, each: from the exit to the next entry, where that is the same VM's; after the others "
         "another VM ran, or the run ended")
# What was recorded behind an exit decides; the last that fits counts.
MARKS: Tuple[Tuple[str, str], ...] = (("shadow_fault", "hidden"), ("shadow_unsync", "unsync"),
                                      ("shadow_write", "table"), ("mmio", "device"))
UNTIMED = -1    # ns of an exit that no entry of the same VM follows


@dataclass
class Exits:
    """Of one run, or one VM of it, by cause where there were any: how many, how many of them the
    same VM was entered after, and the ns until then."""

    name: str
    counts: Dict[str, int] = field(default_factory=dict)
    timed: Dict[str, int] = field(default_factory=dict)
    ns: Dict[str, int] = field(default_factory=dict)

    def add(self, causes: np.ndarray, ns: np.ndarray) -> None:
        """More exits; ns as _until_entry() gives them."""
        for cause in CAUSES:
            mine = ns[causes == cause]
            if len(mine):
                self.counts[cause] = self.counts.get(cause, 0) + len(mine)
                self.timed[cause] = self.timed.get(cause, 0) + int((mine != UNTIMED).sum())
                self.ns[cause] = self.ns.get(cause, 0) + int(mine[mine != UNTIMED].sum())


@dataclass(frozen=True)
class Part:
    """What of a run is looked at: a VM or all, and between which times or checkpoints."""

    vm: Optional[int] = None
    start: Optional[str] = None
    end: Optional[str] = None


def of(trace: Trace, name: str, part: Part = Part()) -> Exits:
    """Count the exits of that part of a run."""
    if not recorded.has(trace, "exits"):
        raise TraceError(f"{trace.path}: its run had the option trace={recorded.option(trace)}, "
                         "which leaves exits out; run it again with trace=exits,memory")
    found = Exits(name)
    first, last = _moment(trace, part, part.start, 0), _moment(trace, part, part.end, trace.t1)
    if part.end is not None and last < first:
        raise TraceError(f"{trace.path}: --to {part.end} ({last / 1e9:.9f} s) lies before "
                         f"--from {part.start} ({first / 1e9:.9f} s)")
    everybody = sorted(set(trace.select("exit").vm.tolist()))
    for number in everybody if part.vm is None else [part.vm]:
        causes, ns, at = _of_vm(trace, number)
        inside = (at >= first) & (at <= last)
        found.add(causes[inside], ns[inside])
    return found


def _moment(trace: Trace, part: Part, word: Optional[str], default: int) -> int:
    """When: a time such as 20ms, or the first checkpoint of that name."""
    if word is None:
        return default
    points = trace.select("checkpoint")
    for i in range(len(points)):
        if points.text(i) == word and part.vm in (None, int(points.vm[i])):
            return int(points.ns[i])
    try:
        return trace.t0 + parse_time(word)
    except ValueError:
        raise TraceError(f"{trace.path}: {word!r} is neither a time such as 20ms nor a checkpoint "
                         "that a guest reported") from None


def _of_vm(trace: Trace, vm: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each exit's cause, how long the VMM took (or UNTIMED), and when it was."""
    exits = trace.select("exit")
    exits = exits.where(exits.vm == vm)
    causes = np.array([BY_REASON.get(word.upper(), "rest") for word in exits.word("reason")],
                      dtype=object)
    for event, cause in MARKS:
        marks = trace.select(event)
        marks = marks.where(marks.vm == vm)
        place = np.searchsorted(exits.index, marks.index) - 1
        known = place >= 0
        causes[place[known]] = cause
        if event == "shadow_fault":
            own = known & (marks["hidden"] == 0)
            causes[place[own]] = "reflected"
        if event == "mmio":
            causes[place[known & _in_memory(trace, vm, marks["gpa"])]] = "dropped"
    return causes, _until_entry(trace, vm, exits.index, exits.ns), exits.ns


def _in_memory(trace: Trace, vm: int, gpas: np.ndarray) -> np.ndarray:
    """Which of these lie in a memory slot: what is emulated there is a write that it forbids."""
    slots = trace.select("vm_slot")
    inside = np.zeros(len(gpas), dtype=bool)
    for gpa, size in zip(*(slots.where(slots.vm == vm)[name].tolist() for name in ("gpa", "size"))):
        inside |= (gpas >= gpa) & (gpas - np.uint64(gpa) < size)
    return inside


def _until_entry(trace: Trace, vm: int, index: np.ndarray, ns: np.ndarray) -> np.ndarray:
    """From each exit to the next entry; UNTIMED where that is another VM's, or there is none."""
    entries = trace.select("entry")
    place = np.searchsorted(entries.index, index)
    there = place < len(entries)
    if not there.any():
        return np.full(len(index), UNTIMED)
    place = np.minimum(place, len(entries) - 1)
    own = there & (entries.vm[place] == vm)
    return np.where(own, entries.ns[place] - ns, UNTIMED)


def caveats(trace: Trace) -> List[str]:
    """Why there may have been other exits, or other causes, than those counted."""
    lost = {"memory", "io"} & set(recorded.left_out(trace))
    remark = recorded.remark(trace) if lost else None
    return trace.caveats() + ([remark] if remark else [])


# --- As text ----------------------------------------------------------------------------------

def text(runs: Sequence[Exits], notes: Sequence[str] = ()) -> str:
    """A table: for each cause and run the number and the time; then what it lacks."""
    head = ["cause"] + [word for run in runs for word in (run.name, "ns", "each")]
    rows = [head]
    for cause in shown(runs):
        rows.append([cause] + [word for run in runs for word in _cells(run, cause)])
    sums = [(sum(run.counts.values()), sum(run.ns.values())) for run in runs]
    rows.append(["all"] + [word for count, ns in sums for word in (f"{count:,}", f"{ns:,}", "")])
    legend = [f"{cause}: {CAUSES[cause]}" for cause in shown(runs)] + [TIMES]
    legend += [f"{run.name}: {_said(run)}" for run in runs if _untimed(run)]
    legend += notes
    return f"{table(rows)}\n\n" + "\n".join(legend) + "\n"


def _untimed(run: Exits) -> int:
    return sum(run.counts.values()) - sum(run.timed.values())


def _said(run: Exits) -> str:
    return f"{_untimed(run):,} of {sum(run.counts.values()):,} exits have no such time"


def shown(runs: Sequence[Exits]) -> List[str]:
    """The causes that there are, in the order of CAUSES."""
    return [cause for cause in CAUSES if any(cause in run.counts for run in runs)]


def _cells(run: Exits, cause: str) -> Tuple[str, str, str]:
    count = run.counts.get(cause, 0)
    if not count:
        return "0", "", ""
    if not run.timed[cause]:
        return f"{count:,}", "", ""
    return f"{count:,}", f"{run.ns[cause]:,}", f"{run.ns[cause] / run.timed[cause]:,.0f}"


# --- As a picture -----------------------------------------------------------------------------

def draw(runs: Sequence[Exits], out: str, subtitle: str, notes: Sequence[str] = ()) -> None:
    """A bar for each cause and run: how many, and the VMM's time for them; and what they lack."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    causes, words = shown(runs), _bottom(runs, subtitle, notes)
    with plt.rc_context(style.matplotlib_settings()):
        height = 1.5 + (0.24 * len(runs) + 0.22) * len(causes) + 0.14 * (len(words) - 1)
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, height), sharey=True,
                                             layout="constrained", width_ratios=(1, 1))
        _bars(left, runs, causes, [{cause: run.counts.get(cause, 0) for cause in causes}
                                   for run in runs], "exits")
        _bars(right, runs, causes, [{cause: ns for cause, ns in run.ns.items() if run.timed[cause]}
                                    for run in runs], "virtual time from exit to entry, ns")
        left.set_yticks(range(len(causes)), [_wrapped(CAUSES[cause]) for cause in causes])
        left.invert_yaxis()
        figure.suptitle("Exits by cause", x=0.01, ha="left", fontsize=13, fontweight="bold")
        left.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(runs), frameon=False)
        figure.supxlabel("\n".join(words), fontsize=7.5)
        kind = os.path.splitext(out)[1][1:]
        figure.savefig(out, format=kind, dpi=130,
                       metadata={"Date": None} if kind == "svg" else None)
        plt.close(figure)


def _bottom(runs: Sequence[Exits], subtitle: str, notes: Sequence[str]) -> List[str]:
    """The lines under the bars: where they come from, and what they leave out."""
    said = [f"{run.name}: {_said(run)}: another VM ran next, or the run ended"
            for run in runs if _untimed(run)]
    return [line for words in (f"observed: {style.PROVENANCE['observed']}; {subtitle}", *said,
                               *notes) for line in textwrap.wrap(words, 160)]


def _wrapped(words: str) -> str:
    """In two lines if it is long."""
    if len(words) < 40:
        return words
    cut = words.rfind(" ", 0, len(words) // 2 + 6)
    return words[:cut] + "\n" + words[cut + 1:]


def _bars(ax, runs: Sequence[Exits], causes: Sequence[str],  # type: ignore[no-untyped-def]
          values: Sequence[Dict[str, int]], what: str) -> None:
    each = 0.8 / len(runs)
    most = max([1, *(value for found in values for value in found.values())])
    for k, (run, found) in enumerate(zip(runs, values)):
        y = [i - 0.4 + each * (k + 0.5) for i in range(len(causes))]
        x = [found.get(cause, 0) for cause in causes]
        ax.barh(y, x, each * 0.9, color=style.LIGHT.vm(k + 1), label=run.name)
        for at, cause, value in zip(y, causes, x):
            ax.text(value + most / 120, at, f"{value:,}" if cause in found else "", va="center",
                    fontsize=7.5, color=style.LIGHT.ink)
    ax.set_xlim(0, most * 1.16)
    ax.set_xlabel(what)
    ax.locator_params(axis="x", nbins=5)
    ax.grid(True, axis="x", color=style.LIGHT.line, linewidth=0.5)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


# --- The command ------------------------------------------------------------------------------

def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="TRACE", nargs="+",
                        help=f"{WHERE}; of up to four runs")
    parser.add_argument("--vm", type=int, metavar="N", help="of this VM alone (from 1)")
    parser.add_argument("--from", dest="start", metavar="WHEN",
                        help="a time such as 20ms, or the name of a guest's checkpoint")
    parser.add_argument("--to", dest="end", metavar="WHEN", help="the same")
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="the picture: .svg, .png or .pdf; without it a table is printed")


def run(args: argparse.Namespace) -> int:
    """Count, then print or draw."""
    if len(args.trace) > 4:
        raise TraceError(f"{len(args.trace)} runs: at most four fit side by side")
    traces = [load(name) for name in args.trace]
    runs, notes = [], []
    for trace, name in zip(traces, _names(traces)):
        announce(trace)
        trace.need_vms(*([] if args.vm is None else [args.vm]))
        runs += [of(trace, called, Part(vm, args.start, args.end))
                 for called, vm in _parts(trace, name, args.vm, len(traces))]
        notes += [f"{name}: {words}" for words in caveats(trace)]
    if not any(found.counts for found in runs):
        raise TraceError(_none(args))
    if args.output is None:
        write_text(None, text(runs, notes))
        return 0
    if os.path.splitext(args.output)[1].lower() not in FORMATS:
        raise TraceError(f"{args.output}: the ending must be one of {', '.join(FORMATS)}")
    draw(runs, args.output, ", ".join(dict.fromkeys(trace.header.platform for trace in traces)),
         notes)
    print(f"{args.output}: " + "; ".join(f"{found.name}: {sum(found.counts.values()):,} exits"
                                         for found in runs))
    return 0


def _none(args: argparse.Namespace) -> str:
    """That there is nothing to count, in what was asked for."""
    words = ["there is no exit"] + ([f"of VM {args.vm}"] if args.vm is not None else [])
    words += [f"from {args.start}"] if args.start is not None else []
    words += [f"to {args.end}"] if args.end is not None else []
    return " ".join(words + ["in what was recorded"])


def _parts(trace: Trace, name: str, vm: Optional[int], runs: int) -> List[Tuple[str, Optional[int]]]:
    """What of a run stands in a column: of one run alone whose VMs have memory virtualized in
    different ways each VM, up to four; else all of it, or the VM that was asked for."""
    vms = sorted(set(trace.select("vm_create").vm.tolist()))
    modes = {number: mode_of(trace, number) for number in vms}
    if vm is not None or runs > 1 or len(vms) > 4 or len(set(modes.values())) < 2:
        return [(name, vm)]
    return [(f"VM {number} ({mode})", number) for number, mode in modes.items()]


def _names(traces: Sequence[Trace]) -> List[str]:
    """What tells the runs apart: how memory is virtualized, else the file's folder."""
    modes = [mode_of(trace) for trace in traces]
    if len(set(modes)) == len(modes):
        return modes
    folders = [os.path.basename(os.path.dirname(os.path.abspath(trace.path))) for trace in traces]
    if len(set(folders)) == len(folders):
        return [f"{folder} ({mode})" for folder, mode in zip(folders, modes)]
    return [f"run {k} ({mode})" for k, mode in enumerate(modes, start=1)]


def mode_of(trace: Trace, vm: Optional[int] = None) -> str:
    """mmu= of the run's VMs, or of one, or the machine's, or the default."""
    machine = next((word[4:] for word in trace.header.cmdline.split() if word.startswith("mmu=")),
                   "nested")
    created = trace.select("vm_create")
    given = [next((word[4:] for word in created.text(i).partition(" -- ")[0].split()
                   if word.startswith("mmu=")), machine) for i in range(len(created))
             if vm in (None, int(created.vm[i]))]
    return " and ".join(dict.fromkeys(given)) or machine
