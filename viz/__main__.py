"""`python3 -m viz COMMAND ...`: one command line for all drawing tools.

Each command is a module of viz with add_arguments(parser) and run(args) -> int;
only the one asked for is imported.  An input that cannot be read is one line on
stderr and exit status 2; what a partial trace lacks is said there too, and the
status is 0.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Dict, List, NamedTuple, Optional

from viz.header import TraceError


class Command(NamedTuple):
    """What `viz --help` and `viz COMMAND --help` say about a command."""

    summary: str
    examples: str


COMMANDS: Dict[str, Command] = {
    "walk": Command("draw a page walk, every reference numbered", """\
  viz walk trace.bin -o walk.svg            the longest walk that did not fault
  viz walk trace.bin --list                 which walks there are, and how each ended
  viz walk trace.bin --n 4 -o fault.png     the fourth of them
  viz walk trace.bin -o walk.html           a page to step through it: keys, play, print
  viz walk trace.bin --vm 1 --gva 0x10e000 --explain
                                            VM 1's walk of one address, in words

Guest levels go down, nested levels across; the circles number the memory references in the
processor's order. A walk is recorded when a guest asks for it through the test port, as this does:
  python3 -m grader run --guest "walker -- size=4k,2m,1g" --time 100ms --out build/mine"""),
    "quiz": Command("ask about a real walk, some of which is hidden", """\
  viz quiz trace.bin                        eight questions, in the terminal
  viz quiz trace.bin --n 4 --seed 7 -o quiz.html
                                            others, of the fourth walk, as a page

Indexes, addresses, flags, page sizes, counts, permissions and faults are asked for; each answer
is explained, with the manual's section. The same seed asks the same. Which walks there are:
viz walk trace.bin --list."""),
    "tables": Command("guest, shadow and host tables side by side, and what changed", """\
  viz tables build/run/lab4-qemu-svm --list the stops: the guest's checkpoints, and the end
  viz tables build/run/lab4-qemu-svm --stop end -o tables.svg
                                            VM 1's tables there; what changed since the one before
  viz tables trace.bin --vm 2 --rows 200 -o tables.html
                                            another VM, as a page

What is observed comes from the records (trace=memory); at the end of a run, of a VM that still
lives, the tables themselves are read out of memory.bin, if the records tell all of it. Pages in
a row are one row."""),
    "timeline": Command("draw who ran when, and why", """\
  viz timeline trace.bin -o timeline.svg    a picture to print
  viz timeline trace.bin -o timeline.html   a page to zoom, select and measure in
  viz timeline trace.bin --from 20ms --to 45ms --vm 1 --vm 3 -o part.png
                                            a part of the time, and of the VMs
  viz timeline bvt.bin credit.bin -o both.html
                                            two or three traces on one time axis

Run, ready (pale) and blocked (low, grey) alternate in a VM's lane; below them exits and
timer ticks. Above the pCPU's lane stands why the scheduler chose. Zoom in until single
exits show: 1 ms of virtual time is 1,000,000 instructions, on each platform."""),
    "stats": Command("totals of each VM: run time, exits, ticks, switches", """\
  viz stats trace.bin                       a table
  viz stats trace.bin --json -o stats.json  the same for a program
  viz stats trace.bin --json | jq '.vms[] | {name, share}'"""),
    "exits": Command("why a guest left, by cause; up to four runs side by side", """\
  viz exits trace.bin                       a table: how often, and how long the VMM took
  viz exits shadow.bin nested.bin -o exits.svg
                                            the same guests in two ways, as bars
  viz exits trace.bin --from begin --to end between two checkpoints of a guest

With shadow paging #PF exits are told apart by what the VMM did: hidden, reflected, a write to a
guest table. The runs must have recorded exits and memory (trace=all, or trace=exits,memory)."""),
    "report": Command("one HTML page about a run, to read, print or hand in", """\
  viz report build/run/lab0-qemu-svm -o report.html
                                            a run's folder: its run.json is used as well
  viz report trace.bin -o report.html       a trace alone
  viz report build/demo --index -o build/demo/index.html
                                            the start page that `make demo` writes"""),
    "export": Command("convert a trace for other programs", """\
  viz export trace.bin --to perfetto -o trace.json
                                            open the file at ui.perfetto.dev: nothing is
                                            uploaded, the page works on your machine
  viz export trace.bin --to csv -o trace.csv
  viz export trace.bin --to csv --event exit -o exits.csv
                                            one event only, a column for each of its fields"""),
    "diff": Command("where two traces part, in words", """\
  viz diff monday.bin tuesday.bin           exit status 0: the same, 1: they differ
  viz diff a.bin b.bin --ignore nonce       what may differ

Two runs with the same seed, guests and options are the same, byte for byte. Where they part
tells what a change of seed, argument or code did first; --ignore time compares what happened
and not when."""),
}

EPILOG = """\
A trace is the trace.bin that a run leaves (`make run`, `make demo`); the run's folder may
stand for it.  Traces that are cut off or damaged are read as far as they go; what is missing is said on
stderr, and in the pictures of a whole run (timeline, exits, tables, report).

examples:
  viz stats build/demo/trace.bin
  viz timeline build/demo/trace.bin -o timeline.html
  viz COMMAND --help                        more examples, all options

viz stands for /usr/bin/python3 -m viz, in the folder of the Makefile."""


def build_parser(chosen: Optional[str]) -> argparse.ArgumentParser:
    """The parser, with the arguments of the command `chosen` filled in."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="viz", description="Draw and inspect Nestling traces.",
                                     epilog=EPILOG, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.summary, formatter_class=raw,
                                  description=f"Command {name}: {command.summary}.",
                                  epilog="examples:\n" + command.examples)
        if name == chosen:
            module = importlib.import_module(f"viz.{name}")
            module.add_arguments(sub)
            sub.set_defaults(carry_out=module.run)
    return parser


def main(argv: Optional[List[str]] = None) -> int:
    """Run one command; the exit status: 0 done, 1 traces differ, 2 cannot be done."""
    words = sys.argv[1:] if argv is None else argv
    chosen = next((word for word in words if word in COMMANDS), None)
    try:
        args = build_parser(chosen).parse_args(words)
        status = args.carry_out(args)
        sys.stdout.flush()
        return status
    except TraceError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "viz":
            raise
        return _refuse(f"{sys.executable} has no module {error.name}: use /usr/bin/python3, "
                       "or make doctor to see what is missing")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(f"{error.filename or 'output'}: {error.strerror or error}")


def _refuse(sentence: str) -> int:
    print("viz: " + " ".join(sentence.split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
