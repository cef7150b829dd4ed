"""python3 -m grader: make runs, check the installation, show a demonstration, measure.

Exit codes: 0 all went well; 1 the run was made, but a guest failed or a budget is
broken; 2 it could not be made, or broke off; 130 interrupted; 141 nobody reads what
it prints.  What went wrong is one sentence on stderr.  The work is done in run.py,
doctor.py, demo.py and bench.py; what needs numpy is imported only where it is used, so
that doctor runs where nothing is installed.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import List, Optional

from grader import args as arguments
from grader import plan, platforms, stale
from grader.platform import Finding

OK, NOT_MADE, INTERRUPTED, UNREAD = 0, 2, 130, 141


def main(words: Optional[List[str]] = None) -> int:
    """The command line; returns the exit code."""
    options = _parse(words)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status: int = options.work(options)
        sys.stdout.flush()
        return status
    except plan.RunError as error:
        print(f"grader: {error}", file=sys.stderr)
        return NOT_MADE
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("grader", "viz"):
            raise
        print(f"grader: {sys.executable} has no module {error.name}: use /usr/bin/python3, or "
              "make doctor to see what is missing", file=sys.stderr)
        return NOT_MADE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:             # for instance | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _parse(words: Optional[List[str]]) -> argparse.Namespace:
    words = sys.argv[1:] if words is None else words
    parser = _parser(others=words[:1] != ["run"])
    options, left = parser.parse_known_args(words)
    if left:
        hint = "" if options.command != "run" else (
            "; a guest and its arguments are one word: --guest \"ticker -- hz=200\"")
        parser.error(f"not understood: {' '.join(left)}{hint}")
    return options


def _parser(others: bool) -> argparse.ArgumentParser:
    """The command line; without the other commands than run, whose modules take long to load."""
    parser = argparse.ArgumentParser(prog="python3 -m grader", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run guests on a machine"))
    if others:
        _add_others(commands)
    return parser


def _add_others(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    from grader import kit
    from grader.gdb import cli as debugging
    from grader.grading import cli
    examine = commands.add_parser("doctor", help="say what is missing, and try a boot")
    examine.add_argument("--tools", action="store_true", help="check the tools only")
    examine.set_defaults(work=_doctor)
    show = commands.add_parser("demo", help="run three guests and draw them")
    show.add_argument("--out", type=Path, default=plan.BUILD / "demo", metavar="DIR")
    show.add_argument("--seed", type=arguments.number_option, default=1)
    show.set_defaults(work=_demo)
    measure = commands.add_parser("bench", help="measure against the budgets")
    measure.add_argument("--out", type=Path, metavar="FILE", help="default: bench.json in --build")
    measure.add_argument("--exact", action="store_true",
                         help="the instruction counts only, no host times")
    measure.set_defaults(work=_bench)
    kit.add_commands(commands)
    debugging.add_commands(commands, _add_run, _request)
    cli.add_arguments(commands.add_parser("grade", help="grade a submission of a lab"))
    for command in (examine, show, measure):
        command.add_argument("--build", type=Path, default=plan.BUILD, metavar="DIR",
                             help="where the kernel and the guests were built")


def _add_run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--lab", type=int, metavar="N", help="the guests and options of labs/N-*/lab.toml")
    add("--guest", action="append", default=[], metavar="'NAME ARGS'",
        help="a guest of ours or the path of a kernel, with its arguments; repeat for more")
    add("--platform", default="qemu-svm", metavar="P",
        help=" or ".join(each.name for each in platforms.PLATFORMS))
    add("--option", default="", metavar="'KEY=VALUE ...'", help="options of the machine")
    add("--time", metavar="T", help="virtual time at which the run ends, for instance 2s")
    add("--seed", type=arguments.number_option, default=1, help="decimal or 0x...; default 1")
    add("--nonce", type=arguments.number_option, help="by default it derives from the seed")
    add("--out", type=Path, metavar="DIR", help="where the results go; run needs it without --lab")
    add("--exit-log", action="store_true", help="let the emulator log each exit to exits.log")
    add("--raw-image", action="store_true", help="boot the disk image, not the ELF")
    add("--gdb", action="store_true", help="start stopped and wait for GDB")
    add("--timeout", type=_seconds, metavar="S", help="end it after S seconds of host time")
    add("--quiet", action="store_true", help="say nothing unless something goes wrong")
    add("--emulator", default="", metavar="CMD", help="another emulator binary")
    add("--build", type=Path, default=plan.BUILD, metavar="DIR",
        help="where the kernel and the guests were built")
    parser.set_defaults(work=_run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} seconds cannot be")
    return value


def _run(options: argparse.Namespace) -> int:
    from grader import report, run
    request = _request(options)
    if request.gdb:
        print(f"when it runs, attach with: gdb -ex 'target remote {request.out}/gdb.sock'",
              flush=True)
    result = run.make(request, show_progress=not (options.quiet or options.gdb))
    return report.tell(result, options.quiet)


def _request(options: argparse.Namespace) -> plan.Request:
    if options.build == plan.BUILD:
        source = stale.newer(plan.ROOT, plan.BUILD)
        if source:
            raise plan.RunError(f"{source} is newer than what is built: run make first")
    guests, option, time, out = options.guest, options.option, options.time, options.out
    if options.lab is not None:
        from grader import labtoml
        lab = labtoml.find(plan.ROOT, options.lab)
        guests = guests or list(lab.guests)
        option, time = option or lab.option, time or lab.time
        out = out or options.build / "run" / f"lab{options.lab}-{options.platform}"
    if out is None:
        raise plan.RunError("say where the results go: --out DIR")
    return plan.Request(guests, out, options.platform, option, time, options.seed, options.nonce,
                        options.exit_log, options.raw_image, options.gdb, options.timeout,
                        options.emulator, options.build)


def _doctor(options: argparse.Namespace) -> int:
    from grader import doctor
    fine = doctor.examine(options.build, options.tools, _show_finding)
    print("all is well" if fine else "something is missing: see above")
    return OK if fine else NOT_MADE


def _show_finding(finding: Finding) -> None:
    print(f"{'ok      ' if finding.ok else 'MISSING '}{finding.text}", flush=True)


def _demo(options: argparse.Namespace) -> int:
    from grader import demo
    return demo.show(demo.request(options.out, options.seed, options.build))


def _bench(options: argparse.Namespace) -> int:
    from grader import bench
    return bench.bench(options.out or options.build / "bench.json", options.build,
                       host=not options.exact)


if __name__ == "__main__":
    sys.exit(main())
