"""The commands `gdb` and `monitor` of python3 -m grader: their words, and what --help says.

Light on purpose: what needs numpy is imported when a command is carried out, so that
`grader doctor` runs where nothing is installed.
"""
from __future__ import annotations

import argparse
from typing import Any, Callable

from grader import plan

GDB = """Starts the machine stopped, with GDB attached, the host kernel's symbols, and commands
that know VMs (in GDB: help nestling; with examples: handouts/debugging.md).  The emulator ends
with GDB, and what was recorded until then is kept.  Ctrl-C interrupts the machine, not GDB."""

MONITOR = """Starts the machine stopped, with QEMU's monitor in this terminal.

  cont                 start it             stop             stop it, wherever it is
  info registers       the processor        quit, Ctrl-C     end the machine
  xp /4gx 0x1b7000     physical memory; x, info mem and info tlb ignore nested tables
  help                 all commands of QEMU

A stop falls anywhere, not at the same instruction each time: for that, make gdb with a
breakpoint.  In GDB, `monitor COMMAND` gives the same commands."""


def add_commands(commands: Any, add_run: Callable[[argparse.ArgumentParser], None],
                 request: Callable[[argparse.Namespace], plan.Request]) -> None:
    """Add both; they take what `run` takes."""
    for name, help_line, text, work in (
            ("gdb", "a machine, stopped, under GDB", GDB, _gdb),
            ("monitor", "a machine, stopped, with QEMU's monitor", MONITOR, _monitor)):
        parser = commands.add_parser(name, help=help_line, description=text,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
        add_run(parser)
        parser.add_argument("-ex", "--ex", action="append", default=[], dest="commands",
                            metavar="CMD", help="a command to carry out; repeat for more")
        parser.add_argument("--batch", nargs="?", const="", metavar="FILE",
                            help="carry out the commands (of FILE), then end; needs no terminal")
        parser.set_defaults(work=lambda options, work=work: work(
            request(_out_of_the_way(options)), options))


def _out_of_the_way(options: argparse.Namespace) -> argparse.Namespace:
    """A session must not overwrite what the last `make run` left."""
    if options.out is None:
        what = "guests" if options.lab is None else f"lab{options.lab}"
        options.out = options.build / "gdb" / f"{what}-{options.platform}"
    return options


def _gdb(request: plan.Request, options: argparse.Namespace) -> int:
    from grader.gdb import session
    return session.debug(request, session.Wish(options.commands, options.batch, options.timeout))


def _monitor(request: plan.Request, options: argparse.Namespace) -> int:
    from grader.gdb import monitor
    return monitor.talk(request, monitor.lines_of(options.commands, options.batch))
