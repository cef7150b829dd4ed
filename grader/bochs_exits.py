"""Bochs's log while it is written: of a hundred lines an exit, the few that tell of it are kept.

Bochs writes to a pipe with a name instead of a file; a thread here reads it and fills
exits.log, so a run's log needs a tenth of the room and no second pass. What the lines
mean is known to grader/oracle/exitlog_bochs.py alone.
"""
from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Iterator

from grader.oracle.exitlog_bochs import KEPT

PIECE = 1 << 20


@contextmanager
def kept(pipe: Path, log: Path) -> Iterator[None]:
    """While this is open, what is written to `pipe` is filtered into `log`.

    The pipe is held open here as well, so that Bochs may open it late, never, or twice.
    """
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    os.chmod(pipe, 0o666)       # in a sandbox Bochs is another user, in a folder of its own
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)
    os.set_blocking(reader, True)
    with open(log, "wb") as target:
        thread = threading.Thread(target=_filter, args=(reader, target))
        thread.start()
        try:
            yield
        finally:
            os.close(writer)
            thread.join()
            os.close(reader)
            pipe.unlink(missing_ok=True)


def _filter(reader: int, target: BinaryIO) -> None:
    rest = b"\n"
    while True:
        piece = os.read(reader, PIECE)
        if not piece:
            return
        text = rest + piece
        target.writelines(line + b"\n" for line in KEPT.findall(text))
        rest = text[text.rfind(b"\n"):]
