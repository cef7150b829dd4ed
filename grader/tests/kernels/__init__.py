"""Small kernels of the tests' own, and how they are built: gcc and ld, as the tree itself is."""
from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(name: str, base: int, folder: Path) -> Path:
    """The flat binary of NAME.S for the load address `base`, in `folder`."""
    out = folder / f"{name}.bin"
    part = folder / f"{name}.o"
    for command in (
            ["gcc", "-m32", "-Wa,--fatal-warnings", "-c", "-o", str(part), str(HERE / f"{name}.S")],
            ["ld", "-m", "elf_i386", "-Ttext", hex(base), "-e", "_start", "--oformat", "binary",
             "-o", str(out), str(part)]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
    return out
