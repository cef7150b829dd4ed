"""Removing a folder that somebody hostile may have filled.

shutil.rmtree() calls itself for each level, so a thousand folders in each other stop it,
and one that may not be read stops it, too.  No link is followed.
"""
from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path


def tree(path: Path) -> None:
    """Remove a folder and all that is in it; OSError if something is left."""
    for words in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        subprocess.run([*words, "--", str(path)], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if os.path.lexists(path):
        raise OSError(errno.ENOTEMPTY, "it cannot be removed", str(path))
