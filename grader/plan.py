"""Planning a run: everything that can be wrong is found before a machine starts.

Turns a Request (what the user asked for) into a Plan (the bundle's bytes and
the kernel image).  Errors are a RunError: one sentence.  Nothing is written
and no emulator is started here; see grader/run.py.
"""
from __future__ import annotations

import hashlib
import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple

from grader import args, bundle, platforms
from grader.platform import Platform, Watch

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
BUILD_ID_DIGITS = 32
U64 = 1 << 64


class RunError(Exception):
    """The run cannot be made; the message is one sentence."""


@dataclass(frozen=True)
class Request:
    """A run as the user asks for it."""

    guests: Sequence[str]
    out: Path
    platform: str = "qemu-svm"
    option: str = ""
    time: Optional[str] = None
    seed: int = 1
    nonce: Optional[int] = None
    exit_log: bool = False
    raw_image: bool = False
    gdb: bool = False
    timeout: Optional[float] = None  # host seconds; None: by virtual time
    emulator: str = ""
    build: Path = BUILD
    wrap: Tuple[str, ...] = ()  # words before the emulator's command: a sandbox
    watch: Optional[Watch] = None  # looks on; may end the run by raising Stop
    before: Optional[Callable[[Path], None]] = None  # called when the folder is filled


@dataclass(frozen=True)
class Plan:
    """A run of which all is known but how it ends."""

    request: Request
    platform: Platform
    nonce: int
    options: args.Options
    image: Path
    image_sha256: str
    bundle: bytes
    guests: Tuple[Tuple[str, str], ...]  # name, args

    @property
    def until_ns(self) -> int:
        """The virtual time at which the run ends at the latest."""
        return int(str(self.options.values["time"]))


def make(request: Request) -> Plan:
    """Check a request and prepare what it needs; RunError if it cannot be made."""
    try:
        platform = platforms.find(request.platform)
        options = args.parse_options(_option_text(request))
        parsed = [args.parse_guest(text) for text in request.guests]
    except (args.ArgError, KeyError) as error:
        raise RunError(str(error.args[0])) from None
    if request.gdb and not platform.takes_gdb:
        raise RunError(f"{platform.name} has no connection for GDB (Debian's Bochs is built with a "
                       "debugger of its own instead); qemu-svm has. viz walk and grader.oracle "
                       "read what a run leaves, on any platform")
    if not parsed:
        raise RunError("a run needs at least one guest: --guest NAME")
    _check_number("seed", request.seed)
    nonce = derive_nonce(request.seed) if request.nonce is None else request.nonce
    _check_number("nonce", nonce)
    image = request.build / (platform.raw_kernel if request.raw_image else platform.kernel)
    if not image.is_file():
        raise RunError(f"there is no kernel image {short(image)}: run make first")
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    images = tuple(_guest_image(guest, request.build) for guest in parsed)
    try:
        raw = bundle.build(bundle.Bundle(
            nonce, request.seed, platform.clock_hz, platform.name, options.text,
            digest[:BUILD_ID_DIGITS], images))
    except bundle.BundleError as error:
        raise RunError(f"the run does not fit its bundle: {error}") from None
    return Plan(request, platform, nonce, options, image, digest, raw,
                tuple((each.name, each.args) for each in images))


def derive_nonce(seed: int) -> int:
    """The nonce of a run that is given none: always the same for a seed."""
    raw = hashlib.sha256(f"nestling nonce {seed}".encode()).digest()
    return int.from_bytes(raw[:8], "little")


def find_guest(name: str, build: Path) -> Path:
    """The file of a guest: one of ours by its name, or a path."""
    for ending in (".elf", ".bin"):
        path = build / "guests" / (name + ending)
        if "/" not in name and path.is_file():
            return path
    if Path(name).is_file():
        return Path(name)
    known = ", ".join(guest_names(build)) or "none is built: run make"
    raise RunError(f"there is no guest '{name}' and no such file; there are: {known}")


def guest_names(build: Path) -> List[str]:
    """The names of our own guests that are built."""
    return sorted({path.stem for ending in ("elf", "bin")
                   for path in (build / "guests").glob(f"*.{ending}")})


def repeat_command(plan: Plan) -> str:
    """The command that makes this run again."""
    request = plan.request
    words = [sys.executable or "python3", "-m", "grader", "run", "--platform", request.platform,
             "--seed", hex(request.seed), "--nonce", hex(plan.nonce)]
    if plan.options.text:
        words += ["--option", plan.options.text]
    for guest in request.guests:
        words += ["--guest", guest]
    words += [flag for flag, given in (("--exit-log", request.exit_log),
                                       ("--raw-image", request.raw_image)) if given]
    if request.emulator:
        words += ["--emulator", request.emulator]
    if request.build != BUILD:
        words += ["--build", short(request.build)]
    return shlex.join(words + ["--out", short(request.out)])


def _option_text(request: Request) -> str:
    return f"{request.option} time={request.time}" if request.time else request.option


def _guest_image(guest: args.Guest, build: Path) -> bundle.Image:
    path = find_guest(guest.name, build)
    return bundle.Image(path.stem, guest.args, path.read_bytes())


def _check_number(name: str, value: int) -> None:
    if not 0 <= value < U64:
        raise RunError(f"{name} {value:#x} does not fit 64 bits")


def short(path: Path) -> str:
    """The path as a user would type it: relative where it lies below the current folder."""
    full, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(full, here) if full.startswith(here + os.sep) else str(path)
