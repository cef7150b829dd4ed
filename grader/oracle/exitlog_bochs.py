"""Bochs's log of exits, of SVM and of VMX: what it says of them at the level debug.

Each line begins with the tick (the TSC) and the processor. What Bochs says of one exit
takes several lines, the last of which counts: details come before, and the control block
where it was entered. The log tells no RIP. Numbers of a VMfail are not in it: by the
words, it is one of controls or one of the host's state (or, with the same word, a check of
the guest's, and then an exit follows). Source: Bochs 2.7, cpu/vmx.cc
and cpu/svm.cc, as seen in its output.
"""
from __future__ import annotations

import re
from typing import List, Match

from grader.oracle.exitlog_row import INFO1, INFO2, REFUSED, TICK, Row, svm_out, vmx_out

# The lines kept for exits.log (grader/bochs_exits.py). It begins with the line's end before
# it, which is found much faster than a line's begin.
KEPT = re.compile(rb"\n(\d+[de]\[CPU0 *\] (?:(?:SVM )?VMEXIT(?!: I/O| to)|VM(?:RUN|LAUNCH|RESUME) VMC[SB] ptr|VMFAIL"
                  rb"|VMENTER FAIL|VMRUN: (?!Starting)|SVM: VMRUN|SvmInject)[^\n]*)(?=\n)")
EVENT = re.compile(rb"""^(\d+)[de]\[CPU0\ *\]\ (?:
    VM(?:RUN|LAUNCH|RESUME)\ VMC[SB]\ ptr:\ 0x(?P<block>[0-9a-f]+)
  | VMEXIT:\ EPT\ .*guest\ paddr\ 0x(?P<gpa>[0-9a-f]+)
  | VMEXIT\ reason\ =\ (?P<reason>\d+)\ .*qualification=0x(?P<qualification>[0-9a-f]+)
  | VMFAIL:\ (?!VMCS\ (?:link|guest))(?P<fail>.*)
  | SVM\ VMEXIT\ reason=(?P<code>-?\d+)\ exitinfo1=(?P<info1>[0-9a-f]+)
    \ exitinfo2=(?P<info2>[0-9a-f]+))""", re.MULTILINE | re.VERBOSE)
REFUSING = (33, 34, 41)         # exit reasons that are an entry's failure: SDM vol. 3C, 26.8
ENTRY_FAILURE = 1 << 31         # of the exit reason
EPT = (48, 49)
ERROR_CONTROLS, ERROR_HOST = 7, 8       # VM-instruction errors, 30.4
INVALID = 0xFFFFFFFF


def wrote(beginning: bytes) -> bool:
    """Whether a log that begins like this is Bochs's."""
    return re.match(rb"\d+[a-z]\[", beginning) is not None


class Parser:
    """Takes a log piece by piece, each ending with a line."""

    def __init__(self) -> None:
        self.block = self.gpa = 0
        self.entering = False       # an entry was tried, and nothing came of it yet

    def rows(self, text: bytes) -> List[Row]:
        """The exits of the next piece."""
        found = []
        for event in EVENT.finditer(text):
            row = None
            if event["block"]:
                self.block, self.entering = int(event["block"], 16), True
            elif event["gpa"]:
                self.gpa = int(event["gpa"], 16)
            elif event["fail"] is None:
                row = self._svm(event) if event["code"] else self._vmx(event)
            elif self.entering:
                row = self._fail(event)
            if row:
                found.append(row)
                self.entering = False
        return found

    def _svm(self, event: Match[bytes]) -> Row:
        code = int(event["code"]) & 0xFFFFFFFF
        info1, info2 = int(event["info1"], 16), int(event["info2"], 16)
        told = TICK | (REFUSED if code == INVALID else INFO1 | INFO2)
        return Row(code, info1, info2, 0, self.block, svm_out(code, info1), int(event[1]), told)

    def _vmx(self, event: Match[bytes]) -> Row:
        reason, info1 = int(event["reason"]), int(event["qualification"], 16)
        told = TICK | INFO1
        if reason in EPT:
            told |= INFO2
        if reason in REFUSING:
            return Row(reason | ENTRY_FAILURE, info1, 0, 0, self.block, 0, int(event[1]),
                       told | REFUSED)
        return Row(reason, info1, self.gpa, 0, self.block, vmx_out(reason, info1), int(event[1]),
                   told)

    def _fail(self, event: Match[bytes]) -> Row:
        error = ERROR_HOST if b"host" in event["fail"] else ERROR_CONTROLS
        return Row(error, 0, 0, 0, self.block, 0, int(event[1]), TICK | REFUSED)
