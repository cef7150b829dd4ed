"""Names and breakpoints: host and guests lie at the same addresses, so both need care.

A breakpoint is met at its virtual address, whoever runs there.  So one that is set while
the host's symbols are shown stops only in the host, one set while a guest's are shown only
in that VM; GDB shows the condition.  Host and guests start at 1 MiB alike: GDB is shown one
symbol file at a time.  Imported inside GDB only.
"""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional

import gdb  # type: ignore[import-not-found]

from grader.gdb import state
from grader.gdb.kernel import Kernel, Vm


class OnHost(gdb.Function):
    """$_on_host(): whether the processor is in the host."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__("_on_host")
        self.kernel = kernel

    def invoke(self) -> bool:
        return not state.in_guest(self.kernel)


class InGuest(gdb.Function):
    """$_in_guest(VM): whether the processor is in that VM."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__("_in_guest")
        self.kernel = kernel

    def invoke(self, number: Any) -> bool:
        if not state.in_guest(self.kernel):
            return False
        vm = self.kernel.on_cpu()
        return vm is not None and vm.number == int(number)


class View:
    """Whose symbols GDB is shown, and the breakpoints that belong to them."""

    def __init__(self, kernel: Kernel, build: Path) -> None:
        self.kernel, self.build = kernel, build
        self.vm: Optional[int] = None
        self._changing = False
        OnHost(kernel)
        InGuest(kernel)
        gdb.events.breakpoint_created.connect(self._created)

    def _created(self, point: Any) -> None:
        """Give a new breakpoint the condition of the view in which it was set."""
        kinds = (gdb.BP_BREAKPOINT, getattr(gdb, "BP_HARDWARE_BREAKPOINT", gdb.BP_BREAKPOINT))
        if self._changing or point.number < 0 or point.type not in kinds or point.condition:
            return
        if type(point) is gdb.Breakpoint:
            point.condition = "$_on_host()" if self.vm is None else f"$_in_guest({self.vm})"

    def symbol_file(self, vm: Vm) -> Optional[Path]:
        """The guest's file with symbols, if it is one of ours."""
        for path in (self.build / "obj" / "guests" / f"{vm.name}.elf64",
                     self.build / "guests" / f"{vm.name}.elf"):
            if path.is_file():
                return path
        return None

    def show(self, vm: Optional[Vm], file: Path) -> None:
        """Replace the symbols: those of a VM's guest, or the host's."""
        enabled = [point for point in gdb.breakpoints() or () if point.enabled]
        self._changing = True
        try:
            gdb.execute(f"symbol-file {file}", to_string=True)
        finally:
            self._changing = False
        self.vm = vm.number if vm else None
        for point in enabled:       # GDB switches off those whose names it lost
            point.enabled = True


def guest_break(number: int, gva: int) -> Any:
    """A breakpoint at a guest-virtual address that only that VM meets."""
    point = gdb.Breakpoint(f"*{gva:#x}", type=getattr(gdb, "BP_HARDWARE_BREAKPOINT",
                                                      gdb.BP_BREAKPOINT))
    point.condition = f"$_in_guest({number})"
    return point


class EndStop(gdb.Breakpoint):
    """Stops the host before its end, while there still is something to look at."""

    def __init__(self, kernel: Kernel, function: str, tell: Callable[[], str]) -> None:
        super().__init__(f"*{kernel.address[function]:#x}", internal=True)
        self.silent = True
        self.kernel, self.tell = kernel, tell

    def stop(self) -> bool:
        if state.in_guest(self.kernel):
            return False
        print(self.tell())
        return True
