"""QEMU's log of exits: `-d in_asm -dfilter 0x1..0x2`.

Lines are `vmrun! ADDRESS` and `vmexit(CODE, INFO1, INFO2, RIP)!`, between them what was
injected, at times without a line's end. It reads EXITINFO2 back from the VMCB, where it
is new for some exits only. Source: QEMU 7.2, target/i386/tcg/sysemu/svm_helper.c.
"""
from __future__ import annotations

import re
from typing import List

from grader.oracle.exitlog_row import INFO1, INFO2, REFUSED, RIP, Row, svm_out

EVENT = re.compile(rb"vmrun! ([0-9a-f]{16})|vmexit\(([0-9a-f]{8}), ([0-9a-f]{16}), "
                   rb"([0-9a-f]{16}), ([0-9a-f]{16})\)!")
IOIO, NPF, INVALID = 0x7B, 0x400, 0xFFFFFFFF
WITH_INFO2 = (IOIO, NPF)


class Parser:
    """Takes a log piece by piece, each ending with a line."""

    def __init__(self) -> None:
        self.block = 0          # that was entered last

    def rows(self, text: bytes) -> List[Row]:
        """The exits of the next piece."""
        found = []
        for entered, *words in EVENT.findall(text):
            if entered:
                self.block = int(entered, 16)
                continue
            code, info1, info2, rip = [int(word, 16) for word in words]
            told = REFUSED if code == INVALID else INFO1 | RIP
            told |= INFO2 if code in WITH_INFO2 else 0
            found.append(Row(code, info1, info2, rip, self.block, svm_out(code, info1), 0, told))
        return found
