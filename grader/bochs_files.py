"""The files that Bochs reads and writes in a run: bochsrc, the debugger's script, a disk.

Only texts and files are made here; grader/bochs.py runs the machine. Each line of the
bochsrc that looks odd avoids a crash or a wait of Bochs 2.7:
- the bundle is the second disk: `optramimage` would tear a file of more than 128 KiB apart;
- the older of the two BIOSes: the other one waits 10 ms for more processors, and that is ten
  million instructions;
- rfb without timeout=0 waits 30 s for a viewer; without the two lines on sound Bochs at
  times crashes when it ends; mode=volatile lets runs share an image and leaves no lock.
"""
from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Tuple

from grader import args, bundle
from grader.platform import BUNDLE, MEMORY

BOCHSRC, SCRIPT, LOG, DISK, TRACE = ("bochsrc", "bochs.rc", "bochs.log", "bundle.img", "trace.raw")
TICKS_PER_S = 1_000_000_000    # an instruction takes a nanosecond, as on qemu-svm
TRACK = 16 * 63 * 512           # a cylinder: Bochs asks for whole ones
BOOT_TICKS = 300_000_000        # more than it takes to boot, and to notice that time is up
TICKS_PER_BYTE = 20             # to read the bundle
LEAVE_TICKS = 100_000_000

# The trace's length, by its header: where the first buffer begins, and how much is used.
TRACE_BYTES = "(@0x10000280 + @0x10000290)"

CONFIG = """\
display_library: rfb, options="timeout=0"
config_interface: textconfig
cpu: model={model}, count=1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=0
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-legacy, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{image}", mode=volatile, cylinders={cylinders}, heads=16, spt=63, biosdetect=none
ata0-slave: type=disk, path="{disk}", mode=volatile, cylinders={disk_cylinders}, heads=16, spt=63, biosdetect=none
boot: disk
clock: sync=none, time0=1577836800
port_e9_hack: enabled=1
com1: enabled=0
log: {log}
panic: action=fatal
error: action={errors}
info: action=ignore
debug: action=ignore, cpu0={exits}
speaker: enabled=0
sound: driver=dummy
"""


def prepare(folder: Path, model: str, image: str, exits: bool = False) -> int:
    """Write all that Bochs reads; the tick at which the machine is stopped at the latest."""
    clean(folder)
    for name in (TRACE, LOG):
        (folder / name).unlink(missing_ok=True)
    raw = (folder / BUNDLE).read_bytes()
    (folder / DISK).write_bytes(raw + bytes(-len(raw) % TRACK))
    write_bochsrc(folder, model, image, exits, exits)
    limit = tick_limit(raw)
    write_script(folder, limit)
    return limit


def tick_limit(raw: bytes) -> int:
    """More than a run with this bundle takes, unless it hangs.  One that the kernel will
    refuse takes no time: it may be damaged, as tests have it."""
    try:
        until = int(str(args.parse_options(bundle.parse(raw).cmdline).values["time"]))
    except (args.ArgError, bundle.BundleError):
        until = 0
    return until * TICKS_PER_S // 10**9 + BOOT_TICKS + TICKS_PER_BYTE * len(raw)


def write_bochsrc(folder: Path, model: str, image: str, errors: bool = False,
                  exits: bool = False) -> None:
    """errors: log what the processor objects to, for long runs that is far too much; exits:
    and what it does, that is a hundred lines an exit (grader/bochs_exits.py)."""
    (folder / BOCHSRC).write_text(CONFIG.format(
        model=model, ips=TICKS_PER_S, image=image, log=LOG, disk=DISK,
        cylinders=(folder / image).stat().st_size // TRACK,
        disk_cylinders=(folder / DISK).stat().st_size // TRACK,
        errors="report" if errors else "ignore", exits="report" if exits else "ignore"))


def write_script(folder: Path, limit: int, leave_guest: bool = False) -> None:
    """What the debugger does: stop at the machine's end or at `limit`, write memory out.

    Addresses are linear: of use only in the host's own address space, so leave_guest goes
    on to the next exit. The end of the memory in use is in RCX (kernel/hostexit.c).
    """
    lines = [f"sb {limit}", "c"]
    if leave_guest:
        lines += ["vmexitbp", f"sb {LEAVE_TICKS}", "c"]
    lines.append(f'writemem "{TRACE}" 0x10000000 {TRACE_BYTES}')
    if not leave_guest:
        lines.append(f'writemem "{MEMORY}" 0 rcx')
    (folder / SCRIPT).write_text("\n".join(lines + ["q", ""]))


def clean(folder: Path) -> None:
    """Remove what was only for Bochs; a log that says something stays."""
    for name in (BOCHSRC, SCRIPT, DISK):
        (folder / name).unlink(missing_ok=True)
    log = folder / LOG
    if log.is_file() and not log.stat().st_size:
        log.unlink()


STARTS = re.compile(r"^Time breakpoint inserted\. Delta = \d+\n", re.MULTILINE)
ENDS = re.compile(r"^(={20}|\(0\) Caught )|Next at t=\d+\n\(0\)", re.MULTILINE)
ASIDES = re.compile(r"^(\(0\)\.\[|bx_dbg_).*\n", re.MULTILINE)  # of a triple fault, for one
LIMIT = re.compile(r"^\(0\) Caught time breakpoint$", re.MULTILINE)


def split_output(said: str) -> Tuple[str, bool]:
    """From all that Bochs printed: what the machine did, and whether it reached its limit.

    The machine's own text stands between two of the debugger's; it never begins a line as
    the debugger does, since what guests print has their names before it.
    """
    start = STARTS.search(said)
    rest = said[start.end():] if start else ""
    end = ENDS.search(rest)
    own = rest[:end.start()] if end else rest
    return ASIDES.sub("", own), bool(LIMIT.search(rest))


def has_trace(folder: Path) -> bool:
    """Whether the debugger could write the trace."""
    path = folder / TRACE
    return path.is_file() and path.stat().st_size > 0


def join_memory(memory: Path, trace_address: int, size: int) -> None:
    """Make one file of the two that the debugger wrote: offset = host-physical address.

    Between the highest frame that was in use and the trace there is a hole. If the machine
    did not end by itself, nothing tells how much of its memory was in use: there is none.
    """
    trace = memory.with_name(TRACE)
    if not memory.is_file() or not memory.stat().st_size or not trace.is_file():
        memory.unlink(missing_ok=True)
        return
    with open(memory, "r+b") as target, open(trace, "rb") as source:
        target.truncate(size)
        target.seek(trace_address)
        shutil.copyfileobj(source, target, 1 << 20)
    trace.unlink()
