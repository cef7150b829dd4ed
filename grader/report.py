"""Says how a run went: a summary on stdout, what went wrong on stderr.

The exit codes of the command line are decided here: 0, also when the time was
up; 1 when a guest failed; 2 when the run broke off; 130 when it was interrupted.
What run.json holds is decided in grader/run.py.
"""
from __future__ import annotations

import sys
from typing import Any, Dict

from grader import collect, run
from grader.plan import short
from grader.platform import CONSOLE

PLAIN_ENDS = ("EXITED", "TIME_UP")  # the word says it all
OK, FAILED, NOT_MADE, INTERRUPTED = 0, 1, 2, 130


def tell(result: run.Result, quiet: bool) -> int:
    """Say how a run went; its exit code."""
    for warning in result.warnings:
        print(f"note: {warning}", file=sys.stderr)
    if not quiet and result.trace:
        _print_summary(result)
    if result.ok:
        return OK
    if not result.made:
        for line in collect.console_tail(result.dir / CONSOLE):
            print(f"  console: {line}", file=sys.stderr)
    print(f"grader: {result.sentence}", file=sys.stderr)
    if result.json["exit_reason"] == "interrupted":
        return INTERRUPTED
    return FAILED if result.made else NOT_MADE


def _print_summary(result: run.Result) -> None:
    said = result.json
    if result.ok:
        print(f"{result.sentence} ({said['host_s']:.1f} s of host time)")
    for vm in said["vms"]:
        _print_vm(vm)
    trace = said["trace"]
    print(f"  {short(result.dir)}: console.txt, run.json, trace.bin ({trace['records']} records, "
          f"{trace['bytes']} bytes, {trace['dropped']} dropped)")
    print(f"  repeat: {said['repeat']}")


def _print_vm(vm: Dict[str, Any]) -> None:
    how = f"{vm['how']} code {vm['code']}" if vm["how"] else "no end in the trace"
    lives = f", created {vm['generations']} times" if vm["generations"] > 1 else ""
    print(f"  VM {vm['vm']} {vm['name']:<10} {how}{lives}, "
          f"checks: {vm['checks_passed']} passed, {vm['checks_failed']} failed")
    if vm["how"] not in (*PLAIN_ENDS, None):
        print(f"    ended: {vm['why']}")
