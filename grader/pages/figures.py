"""The figures of the handouts: declared in handouts/figures.toml, drawn from real runs.

A run is kept by what went into it (image, guests, options, seed, emulator), a drawing
by its runs, its command and viz's sources: a second `make handouts` draws nothing.
What the entries mean stands at the top of figures.toml.  Errors are a FigureError of
one sentence; a run that meets a function still to be written is a NotYet, so that
students can build the site from their own kernel.
"""
from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

from grader import labtoml, plan, run
from grader.labtoml import tomllib
from grader.plan import ROOT, RunError

DECLARED = ROOT / "handouts" / "figures.toml"
SCRIPTS = "handouts/draw"
# Commands of viz, and how many runs each may draw.
COMMANDS = {"walk": (1,), "timeline": (1, 2, 3), "exits": (1, 2, 3, 4), "tables": (1,)}
INTERACTIVE = ("timeline", "walk")  # drawn as a page to zoom in or step through, too
KEPT = (run.TRACE, run.CONSOLE, run.RUN_JSON, run.EXIT_LOG)
RUN_KEYS = {"guests": list, "option": str, "time": str, "seed": int, "exit_log": bool, "lab": int,
            "platform": str}
FIGURE_KEYS = {"run": dict, "runs": list, "draw": str, "alt": str, "caption": str,
               "landscape": bool}


class FigureError(RunError):
    """A figure is declared wrongly or cannot be drawn; the message is one sentence."""


class NotYet(FigureError):
    """The run met a function that a student has still to write."""


@dataclass(frozen=True)
class Figure:
    """One table of figures.toml."""

    name: str
    runs: Tuple[plan.Request, ...]
    draw: Tuple[str, ...]
    alt: str
    caption: str = ""
    landscape: bool = False

    @property
    def script(self) -> Optional[Path]:
        """The script that draws it; None: viz does."""
        return ROOT / SCRIPTS / self.draw[0] if self.draw[0].endswith(".py") else None


# --- Reading figures.toml ----------------------------------------------------------

def load(path: Path = DECLARED, build: Path = plan.BUILD) -> Dict[str, Figure]:
    """All figures declared, by name."""
    try:
        tables = tomllib.loads(path.read_text())
    except OSError as error:
        raise FigureError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FigureError(f"{path}: {error}") from None
    return {name: _figure(f"{path.name}: [{name}]", name, table, build)
            for name, table in tables.items()}


def _figure(where: str, name: str, table: Any, build: Path) -> Figure:
    _check(where, table, FIGURE_KEYS, ("draw", "alt"))
    if "run" in table and "runs" in table:
        raise FigureError(f"{where}: run or runs, not both")
    words = tuple(shlex.split(table["draw"]))
    if not words or not (words[0] in COMMANDS or words[0].endswith(".py")):
        raise FigureError(f"{where}: draw must begin with {', '.join(COMMANDS)} or a script")
    given = [table["run"]] if "run" in table else table.get("runs", [])
    runs = tuple(_request(where, each, build) for each in given)
    figure = Figure(name, runs, words, table["alt"], table.get("caption", ""),
                    table.get("landscape", False))
    if figure.script is None and len(runs) not in COMMANDS[words[0]]:
        raise FigureError(f"{where}: viz {words[0]} draws {COMMANDS[words[0]][-1]} runs at most, "
                          f"not {len(runs)}")
    if figure.script is not None and not figure.script.is_file():
        raise FigureError(f"{where}: there is no script {SCRIPTS}/{words[0]}")
    return figure


def _request(where: str, table: Any, build: Path) -> plan.Request:
    _check(where + " run", table, RUN_KEYS, ())
    guests, option = table.get("guests"), table.get("option")
    time, out = table.get("time"), Path()
    if ("lab" in table) == (guests is not None):
        raise FigureError(f"{where}: a run has guests or a lab")
    if "lab" in table:
        lab = labtoml.find(ROOT, table["lab"])
        guests = lab.guests
        option, time = lab.option if option is None else option, time or lab.time
    return plan.Request(tuple(guests), out, table.get("platform", "qemu-svm"), option or "",
                        time or "100ms", table.get("seed", 1), exit_log=table.get("exit_log", False),
                        build=build)


def _check(where: str, table: Any, keys: Dict[str, type], needed: Iterable[str]) -> None:
    if not isinstance(table, dict):
        raise FigureError(f"{where}: not a table")
    for key, value in table.items():
        if key not in keys:
            raise FigureError(f"{where}: unknown key {key}")
        if type(value) is not keys[key]:
            raise FigureError(f"{where}: {key} is not of type {keys[key].__name__}")
    for key in needed:
        if not table.get(key):
            raise FigureError(f"{where}: {key} is missing")


# --- Making runs and drawings --------------------------------------------------------

class Studio:
    """Makes runs and draws; keeps both in a folder, by what went into them."""

    def __init__(self, folder: Path, build: Path = plan.BUILD) -> None:
        self.folder, self.build = folder, build
        self.used: Set[Path] = set()
        self.made = 0  # runs and drawings that were not there yet
        self._viz = _digest(*sorted((ROOT / "viz").rglob("*.py")))

    def draw(self, figure: Figure) -> Path:
        """The picture of a figure, drawn if it is not there yet; beside it its page, if it has one."""
        folders = [self._run(figure, request) for request in figure.runs]
        script = _digest(figure.script) if figure.script else ""
        key = _key(self._viz, script, *figure.draw, *(folder.name for folder in folders))
        path = self.folder / f"{figure.name}-{key}.svg"
        wanted = [path, path.with_suffix(".html")] if figure.draw[0] in INTERACTIVE else [path]
        for each in wanted:
            self.used.add(each)
            if not each.is_file():
                self._draw(figure, folders, each)
                self.made += 1
        return path

    def forget_others(self) -> None:
        """Remove what no figure has used: runs of earlier kernels, drawings of earlier ones."""
        for path in self.folder.glob("*-????????????????*"):
            if path not in self.used:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _run(self, figure: Figure, request: plan.Request) -> Path:
        """The folder of a run, made if it is not there yet."""
        planned = plan.make(request)
        version = planned.platform.version(request.emulator)
        key = _key(hashlib.sha256(planned.bundle).hexdigest(), planned.image_sha256, version,
                   str(request.exit_log))
        folder = self.folder / f"run-{key}"
        self.used.add(folder)
        if not folder.is_dir():
            self._make_run(figure, request, folder)
            self.made += 1
        return folder

    def _make_run(self, figure: Figure, request: plan.Request, folder: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            result = run.make(plan.Request(**{**request.__dict__, "out": Path(scratch, "run")}))
            if result.json["exit_reason"] == "todo":
                raise NotYet(result.sentence)
            if not result.made or result.trace is None:
                raise FigureError(f"figure {figure.name}: {result.sentence}")
            for path in result.dir.iterdir():
                if path.name not in KEPT:
                    path.unlink()
            _move(result.dir, folder)

    def _draw(self, figure: Figure, folders: List[Path], path: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            out = Path(scratch, path.name)
            made = subprocess.run(_command(figure, folders, out), cwd=ROOT, text=True, check=False,
                                  capture_output=True, stdin=subprocess.DEVNULL,
                                  env={**os.environ, "PYTHONPATH": str(ROOT)})
            if made.returncode or not out.is_file():
                said = (made.stderr.strip() or "it drew nothing").splitlines()[-1]
                raise FigureError(f"figure {figure.name}: {figure.draw[0]}: {said}")
            _move(out, path)


def _command(figure: Figure, folders: List[Path], out: Path) -> List[str]:
    first, *rest = figure.draw
    if figure.script is None:
        traces = [str(folder.resolve() / run.TRACE) for folder in folders]
        return [sys.executable, "-m", "viz", first, *traces, *rest, "-o", str(out.resolve())]
    return [sys.executable, str(figure.script), *rest, "-o", str(out.resolve()),
            *(str(folder.resolve()) for folder in folders)]


def _move(source: Path, target: Path) -> None:
    """Put it in its place in one step; another process may have been faster."""
    try:
        source.rename(target)
    except OSError:
        if not target.exists():
            raise


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()
