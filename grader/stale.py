"""Whether what is built is older than its sources, as after an edit without make.

Each object is held against the files of which the compiler made it (build/obj/**/*.d);
a source whose object is missing, as after an error of the compiler, against the kernel.
Looks at times only; make, which decides what is built, is not asked.
"""
from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

KERNEL = "nestling64.elf"
LISTED = re.compile(r"^ +((?:kernel|vmm)/\S+\.[cS])(?: \\)?$", re.MULTILINE)
FOLDERS = ("kernel/", "vmm/", "guests/")


def newer(root: Path, build: Path) -> Optional[str]:
    """A source that is newer than what was built of it; None if all is built, or nothing is."""
    kernel = _time(build / KERNEL)
    if kernel is None:
        return None
    times: Dict[str, float] = {}
    for needs in sorted((build / "obj").rglob("*.d")):
        made, sources = _time(needs.with_suffix(".o")), list(_sources(needs))
        if made is None or (sources and not (root / sources[0]).exists()):
            continue    # what is left of a source that is gone: nothing is linked from it
        for name in sources:
            if _when(root, name, times) > made:
                return name
    return next((name for name, made in _not_compiled(root, build)
                 if _when(root, name, times) > (made or kernel)), None)


def _sources(needs: Path) -> Iterator[str]:
    """The files that an object depends on, as the compiler listed them."""
    text = needs.read_text(errors="replace").replace("\\\n", " ").split("\n", 1)[0]
    return (word for word in text.partition(":")[2].split() if word.startswith(FOLDERS))


def _not_compiled(root: Path, build: Path) -> Iterator[Tuple[str, Optional[float]]]:
    """Sources of the kernel that the Makefile names and the compiler did not see, and the time of
    their objects: those of a starter's prior/ are copied; None if there is none."""
    makefile = root / "Makefile"
    text = makefile.read_text(errors="replace") if makefile.is_file() else ""
    for name in LISTED.findall(text):
        made = (build / "obj" / name).with_suffix(".o")
        if not made.with_suffix(".d").is_file() or not made.is_file():
            yield name, _time(made)


def _when(root: Path, name: str, times: Dict[str, float]) -> float:
    """When a source was written last; one that is gone, or from the future, says nothing."""
    if name not in times:
        written = _time(root / name) or 0.0
        times[name] = written if written <= time.time() else 0.0
    return times[name]


def _time(path: Path) -> Optional[float]:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
