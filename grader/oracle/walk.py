"""An independent page walk over the RAM file: which references a processor makes, in order.

Written from the AMD64 manual, volume 2 (24593), sections 5.2-5.6 and 15.25, and
handouts/formats.md section 1.4; it shares nothing with vmm/mmu. Guest modes: off,
32-bit with 4M pages, PAE, 4-level. What it does not do: set A and D bits, model
protection keys, or know EPT entries and 5-level tables.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, List, Optional, Tuple, Union

from grader.oracle.memory import Memory, OutsideMemory
from grader.oracle.then import Then
from grader.oracle.paging import (LONG4, MODES, NX, PS, Level, Mode, P, U, W, canonical, frame,
                                  span)

WRITE, USER, EXECUTE = 1, 2, 4                      # access bits of a walk
ERROR_P, ERROR_W, ERROR_U, ERROR_RSV, ERROR_I = 1, 2, 4, 8, 16
ERROR_FINAL, ERROR_IN_WALK = 1 << 32, 1 << 33       # EXITINFO1, section 15.25.6


@dataclass(frozen=True)
class Settings:
    """The control-register bits that a walk depends on, and the physical address width."""

    wp: bool = True             # CR0.WP
    nxe: bool = True            # EFER.NXE
    pse: bool = True            # CR4.PSE
    smep: bool = False          # CR4.SMEP
    smap: bool = False          # CR4.SMAP, and RFLAGS.AC clear
    address_bits: int = 40      # QEMU's and Bochs's default for TCG and 64-bit models


@dataclass(frozen=True)
class Ref:
    """One memory reference; the fields are those of the trace's walk_ref."""

    n: int
    dim: str
    level: int
    table: int
    index: int
    entry: int
    size: int
    serves: int
    addr: int
    width: int = 8

    @property
    def address(self) -> int:
        """Host-physical address of the entry read."""
        return self.table + self.width * self.index


@dataclass
class Result:
    """A whole walk. `denials` are all (reason, level) that forbid the access."""

    refs: List[Ref] = field(default_factory=list)
    gpa: Optional[int] = None
    hpa: Optional[int] = None
    gpa_refs: int = 0
    fault: str = "NONE"
    dim: str = "GUEST"
    level: int = 0
    error: int = 0
    denials: List[Tuple[str, int]] = field(default_factory=list)


class _Fault(Exception):
    def __init__(self, fault: str, level: int, present: bool,
                 denials: Optional[List[Tuple[str, int]]] = None) -> None:
        super().__init__(fault)
        self.fault, self.level, self.present = fault, level, present
        self.denials = denials or [(fault, level)]


@dataclass(frozen=True)
class _Pass:
    """One descent through one table: whose it is, and how its entries are found and judged."""

    dim: str
    mode: Mode
    root: int
    access: int
    settings: Settings
    serves: int = 0
    locate: Callable[[int, int], int] = lambda where, level: where


class Walker:
    """Makes one walk; the references collect in `result`."""

    def __init__(self, memory: Union[Memory, Then], settings: Settings = Settings()) -> None:
        self.memory = memory
        self.settings = settings
        self.result = Result()

    def nested(self, gpa: int, root: int, access: int, serves: int = 0,
               dim: str = "NESTED") -> int:
        """gPA -> hPA through a nested table (15.25.5: always as a user; NX and W enforced)."""
        host = Settings(wp=True, nxe=True, pse=True, address_bits=self.settings.address_bits)
        step = _Pass(dim, LONG4, root & LONG4.root_mask, access | USER, host, serves)
        if gpa >> 48:
            self._fail(_Fault("NOT_PRESENT", 4, False), step)
        return self._descend(step, gpa)

    def guest(self, gva: int, mode: str, root: int, access: int,
              locate: Callable[[int, int], int]) -> int:
        """gVA -> gPA through the guest's tables; `locate` finds each entry's hPA."""
        form = MODES[mode]
        step = _Pass("GUEST", form, root & form.root_mask, access, self.settings, 0, locate)
        if form is LONG4 and not canonical(gva):
            self._fail(_Fault("NON_CANONICAL", 0, False), step)
        return self._descend(step, gva)

    def _descend(self, step: _Pass, address: int) -> int:
        table, entries = step.root, []
        for level in step.mode.levels:
            index = level.index(address)
            where = step.locate(table + index * step.mode.width, level.level)
            entry = self._read(step, level, where)
            is_page = _maps_page(step, level, entry)
            self._note(step, level, index, where, entry, is_page, address)
            try:
                _check_entry(step, level, entry, is_page)
                entries.append((level, entry))
                if is_page:
                    _check_rights(step, entries)
            except _Fault as fault:
                self._fail(fault, step)
            table = frame(step.mode, level, entry, is_page)
            if is_page:
                return table + (address & (level.page - 1))
        raise AssertionError("the last level always maps a page")

    def _read(self, step: _Pass, level: Level, where: int) -> int:
        try:
            if step.mode.width == 4:
                return self.memory.read_u32(where)
            return self.memory.read_u64(where)
        except OutsideMemory:
            self._fail(_Fault("NO_MEMORY", level.level, False), step)
            raise AssertionError("unreachable") from None

    def _note(self, step: _Pass, level: Level, index: int, where: int, entry: int,
              is_page: bool, address: int) -> None:
        width = step.mode.width
        size = level.page if is_page and entry & P else 0
        self.result.refs.append(Ref(
            len(self.result.refs) + 1, step.dim, level.level, where - index * width, index,
            entry, size, step.serves, address, width))

    def _fail(self, fault: _Fault, step: _Pass) -> None:
        """Fill in the end of a faulting walk and leave it."""
        result, access = self.result, step.access
        result.fault, result.level, result.denials = fault.fault, fault.level, fault.denials
        result.dim = step.dim
        result.error = (ERROR_P if fault.present else 0)
        result.error |= ERROR_W if access & WRITE else 0
        result.error |= ERROR_U if access & USER else 0
        result.error |= ERROR_RSV if fault.fault == "RESERVED" else 0
        if access & EXECUTE and ((step.settings.nxe and step.mode.has_nx) or step.settings.smep):
            result.error |= ERROR_I
        if step.dim == "NESTED":
            result.error |= ERROR_IN_WALK if step.serves else ERROR_FINAL
        raise fault


def _maps_page(step: _Pass, level: Level, entry: int) -> bool:
    if level.level == 1:
        return True
    return bool(level.maps and entry & PS and (step.mode.width == 8 or step.settings.pse))


def _check_entry(step: _Pass, level: Level, entry: int, is_page: bool) -> None:
    """Present, and no bit set that the manual reserves (5.3.3, 5.4.1)."""
    if not entry & P:
        raise _Fault("NOT_PRESENT", level.level, False)
    reserved = level.zero | (level.zero_page if is_page else 0)
    if step.mode.width == 8:
        reserved |= span(step.settings.address_bits, 51)
        reserved |= 0 if step.settings.nxe else NX
    if entry & reserved:
        raise _Fault("RESERVED", level.level, True)


def _check_rights(step: _Pass, entries: List[Tuple[Level, int]]) -> None:
    """A right holds if every level grants it (5.6); the leaf's frame is judged only then."""
    denials: List[Tuple[str, int]] = []
    user, settings = bool(step.access & USER), step.settings
    for level, entry in entries:
        if not level.rights:
            continue
        if user and not entry & U:
            denials.append(("USER", level.level))
        if step.access & WRITE and not entry & W and (user or settings.wp):
            denials.append(("WRITE", level.level))
        if step.access & EXECUTE and settings.nxe and step.mode.has_nx and entry & NX:
            denials.append(("EXECUTE", level.level))
    if not user and all(entry & U for level, entry in entries if level.rights):
        leaf = entries[-1][0].level
        if step.access & EXECUTE and settings.smep:
            denials.append(("EXECUTE", leaf))
        if not step.access & EXECUTE and settings.smap:
            denials.append(("USER", leaf))
    if denials:
        raise _Fault(*denials[0], True, denials)


def walk_nested(memory: Memory, gpa: int, nroot: int, access: int = 0,
                settings: Settings = Settings()) -> Result:
    """One dimension: gPA -> hPA from the nested root `nroot`."""
    return walk(memory, gpa, access, "OFF", 0, nroot, settings)


def walk_shadow(memory: Union[Memory, Then], gva: int, root: int, access: int = 0,
                settings: Settings = Settings()) -> Result:
    """One dimension: gVA -> hPA through a shadow table, as the processor walks it."""
    walker = Walker(memory, settings)
    step = _Pass("SHADOW", LONG4, root & LONG4.root_mask, access, settings)
    try:
        walker.result.hpa = walker._descend(step, gva & span(0, 47))
    except _Fault:
        pass
    return walker.result


def walk(memory: Union[Memory, Then], gva: int, access: int, mode: str, groot: int,
         nroot: Optional[int], settings: Settings = Settings()) -> Result:
    """A whole walk gVA -> hPA in the order in which the processor makes it.

    mode: OFF, LEGACY32, PAE or LONG4. groot is the guest's CR3. nroot None means
    that guest tables hold host-physical addresses. Faults end in the result,
    never as an exception. A guest's table is reached as a user's write (15.25.6).
    """
    walker = Walker(memory, settings)
    result = walker.result

    def locate(where: int, level: int) -> int:
        return where if nroot is None else walker.nested(where, nroot, WRITE, serves=level)

    try:
        result.gpa = gva if mode == "OFF" else walker.guest(gva, mode, groot, access, locate)
        result.gpa_refs = len(result.refs)
        result.hpa = (result.gpa if nroot is None else
                      walker.nested(result.gpa, nroot, access))
    except _Fault:
        pass
    return result
