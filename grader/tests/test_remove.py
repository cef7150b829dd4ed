"""A folder that a submission has filled is removed, whatever is in it."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from grader import remove

DEEP = 2000         # more than Python calls itself
DIG = "import os\nfor _ in range(%d):\n    os.mkdir('d')\n    os.chdir('d')" % DEEP


def test_folders_in_each_other_end_nobody(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    subprocess.run([sys.executable, "-c", DIG], cwd=tmp_path / "deep", check=True)
    remove.tree(tmp_path / "deep")
    assert not (tmp_path / "deep").exists()


def test_what_must_not_be_read_is_removed_and_no_link_followed(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    for folder in (mine / "closed/inner", others):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    (others / "file").chmod(0o400)
    (mine / "link").symlink_to(others)
    (mine / "closed").chmod(0)
    remove.tree(mine)
    assert not mine.exists() and (others / "file").stat().st_mode & 0o777 == 0o400


def test_what_is_left_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("rm", "chmod"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        os.chmod(tmp_path / name, 0o755)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="it cannot be removed"):
        remove.tree(tmp_path / "folder")
