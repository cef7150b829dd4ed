"""An independent page walk over the RAM file: which references a processor makes, in order.

Written from the AMD64 manual, volume 2 (24593), sections 5.2-5.6 and 15.25, Intel's SDM,
volume 3C, sections 27.2.1 and 28.2 (EPT, with A and D bits in use), and handouts/formats.md
section 1.4; it shares nothing with vmm/mmu. Guest modes: off, 32-bit with 4M pages, PAE,
4-level. A processor with EPT holds PAE's directory pointers since CR3 was written (SDM volume
3A, 4.4.1): reading them is no reference of a walk. What it does not do: set A and D bits,
model protection keys, or know 5-level tables.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple, Union

from grader.oracle.memory import Memory, OutsideMemory
from grader.oracle.then import Then
from grader.oracle.paging import (AD, EPT, LONG4, MODES, NX, R_EPT, W_EPT, X_EPT, Level, Mode,
                                  U, W, canonical, frame, span)

WRITE, USER, EXECUTE = 1, 2, 4                      # access bits of a walk
ERROR_P, ERROR_W, ERROR_U, ERROR_RSV, ERROR_I = 1, 2, 4, 8, 16
ERROR_FINAL, ERROR_IN_WALK = 1 << 32, 1 << 33       # EXITINFO1, section 15.25.6
# The exit qualification of an EPT violation (SDM table 27-7): bits 0 to 2 the access, 3 to 5
# what the entries allow, in EPT's own order.
READING, WRITING, FETCHING, ALLOWED_SHIFT = 1, 2, 4, 3
GVA_KNOWN, GVA_ITSELF = 1 << 7, 1 << 8
ACCESS_NAMES = {WRITE: "write", USER: "user", EXECUTE: "execute"}
ERROR_NAMES = {ERROR_P: "present", ERROR_W: "write", ERROR_U: "user", ERROR_RSV: "reserved",
               ERROR_I: "fetch", ERROR_FINAL: "final", ERROR_IN_WALK: "in the walk"}
QUALIFICATION_NAMES = {READING: "read", WRITING: "write", FETCHING: "fetch", 8: "may be read",
                       16: "may be written", 32: "may be executed", GVA_KNOWN: "gVA known",
                       GVA_ITSELF: "final"}
NO_TYPES = (2, 3, 7)                                # memory types that there are not


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
    ad: int = AD            # the bits that are A and D in this entry

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

    def error_words(self, error: int) -> str:
        """An error code of a walk with this end, or the exit qualification, bit by bit."""
        by_ept = self.dim == "NESTED" and any(ref.ad == EPT.ad for ref in self.refs)
        return _bits(error, QUALIFICATION_NAMES if by_ept else ERROR_NAMES)


def access_words(access: int) -> str:
    """The bits of an access; reading is none of them."""
    return _bits(access, ACCESS_NAMES) if access & ~USER else \
        f"{access:#x} ({'user, ' if access else ''}a read)"


def _bits(value: int, names: Dict[int, str]) -> str:
    said = ", ".join(name for bit, name in names.items() if value & bit)
    return f"{value:#x} ({said})" if said else f"{value:#x}"


class _Fault(Exception):
    def __init__(self, fault: str, level: int, present: bool,
                 denials: Optional[List[Tuple[str, int]]] = None, allowed: int = 0) -> None:
        super().__init__(fault)
        self.fault, self.level, self.present = fault, level, present
        self.allowed = allowed
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

    def __init__(self, memory: Union[Memory, Then], settings: Settings = Settings(),
                 form: Mode = LONG4) -> None:
        self.memory = memory
        self.settings = settings
        self.form = form            # of the nested tables
        self.result = Result()

    def nested(self, gpa: int, root: int, access: int, serves: int = 0,
               dim: str = "NESTED") -> int:
        """gPA -> hPA through a nested table (NPT, 15.25.5: as a user; NX and W enforced)."""
        host = Settings(wp=True, nxe=True, pse=True, address_bits=self.settings.address_bits)
        step = _Pass(dim, self.form, root & self.form.root_mask, access | USER, host, serves)
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
            index, done = level.index(address), len(self.result.refs)
            where = step.locate(table + index * step.mode.width, level.level)
            entry = self._read(step, level, where)
            is_page = step.mode.maps_page(level, entry, step.settings.pse)
            self._note(step, level, index, where, entry, is_page, address)
            if self.form is EPT and step.dim == "GUEST" and not level.rights:
                del self.result.refs[done:]
            try:
                _check_entry(step, level, entry, is_page)
                entries.append((level, entry))
                if is_page:
                    (_check_ept if step.mode is EPT else _check_rights)(step, entries)
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
        size = level.page if is_page and entry & step.mode.present else 0
        self.result.refs.append(Ref(
            len(self.result.refs) + 1, step.dim, level.level, where - index * width, index,
            entry, size, step.serves, address, width, step.mode.ad))

    def _fail(self, fault: _Fault, step: _Pass) -> None:
        """Fill in the end of a faulting walk and leave it."""
        result = self.result
        result.fault, result.level, result.denials = fault.fault, fault.level, fault.denials
        result.dim = step.dim
        result.error = (_qualification if step.mode is EPT else _error_code)(step, fault)
        raise fault


def _error_code(step: _Pass, fault: _Fault) -> int:
    error = ERROR_P if fault.present else 0
    error |= ERROR_W if step.access & WRITE else 0
    error |= ERROR_U if step.access & USER else 0
    error |= ERROR_RSV if fault.fault == "RESERVED" else 0
    if step.access & EXECUTE and ((step.settings.nxe and step.mode.has_nx) or step.settings.smep):
        error |= ERROR_I
    if step.dim == "NESTED":
        error |= ERROR_IN_WALK if step.serves else ERROR_FINAL
    return error


def _qualification(step: _Pass, fault: _Fault) -> int:
    """SDM table 27-7; a misconfiguration has none. A guest's table is read and written."""
    if fault.fault == "RESERVED":
        return 0
    if step.serves:
        return READING | WRITING | fault.allowed << ALLOWED_SHIFT | GVA_KNOWN
    access = FETCHING if step.access & EXECUTE else WRITING if step.access & WRITE else READING
    return access | fault.allowed << ALLOWED_SHIFT | GVA_KNOWN | GVA_ITSELF


def _check_entry(step: _Pass, level: Level, entry: int, is_page: bool) -> None:
    """Present, and no bit set that the manual reserves (5.3.3, 5.4.1; SDM 28.2.3.1)."""
    if not entry & step.mode.present:
        raise _Fault("NOT_PRESENT", level.level, False)
    reserved = level.zero | (level.zero_page if is_page else level.zero_table)
    if step.mode.width == 8:
        reserved |= span(step.settings.address_bits, 51)
        reserved |= 0 if step.settings.nxe or step.mode is EPT else NX
    if entry & reserved or step.mode is EPT and _misconfigured(entry, is_page):
        raise _Fault("RESERVED", level.level, True)


def _misconfigured(entry: int, is_page: bool) -> bool:
    """SDM 28.2.3.1: to be written but not read; a memory type that is none."""
    return entry & (R_EPT | W_EPT) == W_EPT or is_page and entry >> 3 & 7 in NO_TYPES


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


def _check_ept(step: _Pass, entries: List[Tuple[Level, int]]) -> None:
    """SDM 28.2.3.2: what an access needs is one bit, which every level must grant."""
    needs = [("EXECUTE", X_EPT)] if step.access & EXECUTE else []
    needs += [("WRITE", W_EPT)] if step.access & WRITE else []
    denials = [(name, level.level) for name, bit in needs or [("READ", R_EPT)]
               for level, entry in entries if not entry & bit]
    if denials:
        allowed = R_EPT | W_EPT | X_EPT
        for _, entry in entries:
            allowed &= entry
        raise _Fault(*denials[0], True, denials, allowed)


def walk_nested(memory: Memory, gpa: int, nroot: int, access: int = 0,
                settings: Settings = Settings(), form: Mode = LONG4) -> Result:
    """One dimension: gPA -> hPA from the nested root `nroot`, in tables of that format."""
    return walk(memory, gpa, access, "OFF", 0, nroot, settings, form)


def find(memory: Memory, gpa: int, nroot: int, access: int, serves: int,
         form: Mode = LONG4) -> Result:
    """The same as a part of a longer walk: it serves that guest level, or (0) its end."""
    walker = Walker(memory, form=form)
    try:
        walker.result.hpa = walker.nested(gpa, nroot, access, serves)
    except _Fault:
        pass
    return walker.result


def walk(memory: Union[Memory, Then], gva: int, access: int, mode: str, groot: int,
         nroot: Optional[int], settings: Settings = Settings(), form: Mode = LONG4) -> Result:
    """A whole walk gVA -> hPA in the order in which the processor makes it.

    mode: OFF, LEGACY32, PAE or LONG4. groot is the guest's CR3. nroot None means
    that guest tables hold host-physical addresses; form is that of the nested tables.
    Faults end in the result, never as an exception. A guest's table is reached as by
    a write, of a user (15.25.6; SDM 28.2.3.2).
    """
    walker = Walker(memory, settings, form)
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
