"""The instruction decoder against binutils: thousands of seeded random instructions in each mode.

Length, validity, mnemonic, operands, sizes, segment, address and immediate must be what objdump
prints. Each instruction lies in a slot of its own, followed by NOPs, so that a wrong length shows.
"""
from __future__ import annotations

import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.tests.hostbuild import ROOT, UNIT, make

TOOL = ROOT / UNIT / "tool_insn"
COUNT = 6000
SLOT = 48
LONGEST = 15

MACHINE = {2: "i8086", 4: "i386", 8: "x86-64"}
SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"]
SIZES = {"BYTE": 1, "WORD": 2, "DWORD": 4, "QWORD": 8}

REGISTERS: dict[str, tuple[int, int]] = {}
for _n, _names in enumerate(["al ax eax rax", "cl cx ecx rcx", "dl dx edx rdx", "bl bx ebx rbx",
                             "spl sp esp rsp", "bpl bp ebp rbp", "sil si esi rsi",
                             "dil di edi rdi"]):
    for _size, _name in zip((1, 2, 4, 8), _names.split()):
        REGISTERS[_name] = (_n, _size)
for _n in range(8, 16):
    for _size, _suffix in ((1, "b"), (2, "w"), (4, "d"), (8, "")):
        REGISTERS[f"r{_n}{_suffix}"] = (_n, _size)
for _n, _name in enumerate(["ah", "ch", "dh", "bh"]):
    REGISTERS[_name] = (_n + 4, 1)

ALU = "add or adc sbb and sub xor cmp".split()
STRINGS = "movs stos lods cmps scas ins outs".split()
# Instructions that we name, by the mnemonic that objdump prints.
NAMED = {name: name for name in
         "hlt cpuid rdtsc rdtscp rdpmc vmmcall vmcall rdmsr wrmsr wbinvd invd pause monitor mwait "
         "xsetbv clts vmrun vmload vmsave stgi clgi invlpga skinit invlpg lmsw smsw in out int "
         "mov movzx movsx test xchg inc dec not neg push pop".split() + ALU + STRINGS}
NAMED |= {"movabs": "mov", "movsxd": "movsx", "int3": "int", "wbnoinvd": "wbinvd",
          "pushw": "push", "pushd": "push", "pushq": "push"}
PREFIXES = {"lock", "rep", "repz", "repnz", "data16", "data32", "addr32", "addr16", "notrack", "bnd",
            "xacquire", "xrelease", *SEGMENTS}
# The second bytes of 0f that are ours to know; others are SIMD, which no guest needs decoded.
TWO_BYTE = [*range(0x00, 0x0a), 0x0b, *range(0x1f, 0x24), *range(0x30, 0x38),
            *range(0x40, 0x50), *range(0x80, 0xb8), *range(0xb9, 0xc2), *range(0xc7, 0xd0), 0xff]
LEGACY = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]


@dataclass
class Case:
    code: bytes
    mode: int
    ours: dict[str, str]
    theirs: str = ""   # objdump's text, prefixes that it prints by themselves included
    length: int = 0    # by objdump

    def __str__(self) -> str:
        return f"mode {self.mode}: {self.code.hex(' ')}: {self.theirs!r} ({self.length} bytes)" \
               f" but decoded as {self.ours}"


@pytest.fixture(scope="module", autouse=True)
def tool() -> None:
    make(str(UNIT / "tool_insn"))


def opcode(rng: random.Random, mode: int) -> list[int]:
    no_opcode = {0x0f, *LEGACY, *(range(0x40, 0x50) if mode == 8 else ())}
    if rng.random() < 0.35:
        return [0x0f, rng.choice(TWO_BYTE)]
    return [rng.choice([b for b in range(256) if b not in no_opcode])]


def instruction(rng: random.Random, mode: int) -> bytes:
    prefixes = [rng.choice(LEGACY) for _ in range(rng.choice([0, 0, 0, 1, 1, 2]))]
    if len(set(prefixes)) != len(prefixes):
        prefixes = []
    rex = [rng.randrange(0x40, 0x50)] if mode == 8 and rng.random() < 0.5 else []
    return bytes(prefixes + rex + opcode(rng, mode)) + rng.randbytes(LONGEST)


def skipped(code: bytes, mode: int) -> bool:
    """What objdump prints differently from what processors do, or knows more of than we."""
    rest = code.lstrip(bytes(LEGACY))
    prefixes = code[:len(code) - len(rest)]
    rex = rest[0] if mode == 8 and 0x40 <= rest[0] <= 0x4f else 0
    if rex:
        rest = rest[1:]
    second = rest[1]
    if rest[0] == 0x90 and rex & 1 and 0xf3 in prefixes:
        return True   # XCHG r8 or PAUSE: the sources differ
    if rest[0] in (0x62, 0xc4, 0xc5) and (mode == 8 or second >= 0xc0):
        return True   # EVEX and VEX: processors that have no AVX say #UD
    if rest[0] == 0x8f and second & 0x38:
        return True   # XOP
    if rest[0] in (0xc6, 0xc7) and second == 0xf8:
        return True   # TSX
    if 0xd8 <= rest[0] <= 0xdf or rest[0] in (0x9b, 0xd6):
        return True   # x87: its holes are no concern of ours; WAIT is joined to what follows
    if rest[0] == 0x0f and second in (0xbc, 0xbd) and 0xf2 in prefixes:
        return True   # processors ignore this prefix here
    if rest[0] == 0x0f and second in (0x01, 0xc7, 0xae, 0xb8, 0x09, 0x1e) and (
            {0x66, 0xf2, 0xf3} & set(prefixes)):
        return True   # codes that a prefix turns into others (VMGEXIT, CET, ...)
    if rest[0] == 0x0f and second == 0x01 and rest[2] >= 0xc0:
        # Intel's extensions that no VM is offered
        return rest[2] in (0xc0, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xcf, 0xd4, 0xd5, 0xd6, 0xd7, 0xe8,
                           0xea, 0xeb, 0xec, 0xed, 0xfe, 0xff)
    if rest[0] == 0x0f and second == 0xc7:
        return rest[2] >> 3 & 7 != 1   # XSAVES, VMX, RDRAND
    if rest[0] == 0x0f and second in (0xa6, 0xa7, 0x0b, 0xb9, 0xff, 0xae, 0x00, 0x0f, 0x37):
        return True   # PadLock, UD, fences and their holes, SLDT's holes, GETSEC
    return False


def our_decodes(lines: list[str]) -> list[dict[str, str]]:
    done = subprocess.run([str(TOOL)], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, check=True)
    return [dict(word.split("=") for word in line.split()) for line in done.stdout.splitlines()]


def random_cases(mode: int, seed: int) -> list[Case]:
    rng = random.Random(seed)
    codes = [instruction(rng, mode) for _ in range(COUNT)]
    codes = [c[:LONGEST] for c in codes if not skipped(c, mode)]
    decodes = our_decodes([f"{mode} {code.hex()}" for code in codes])
    assert len(decodes) == len(codes)
    return [Case(code[:int(ours.get("len", LONGEST))], mode, ours)
            for code, ours in zip(codes, decodes)]


LINE = re.compile(r"^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*(?:\t(.*))?$")


def objdump(image: Path, mode: int) -> dict[int, tuple[int, str]]:
    """Address -> (length, text) of each line."""
    done = subprocess.run(["objdump", "-D", "-b", "binary", "-m", "i386", "-w", "--insn-width=16",
                           "-M", f"intel,{MACHINE[mode]}", str(image)],
                          text=True, capture_output=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        match = LINE.match(line)
        if match:
            found[int(match[1], 16)] = (len(match[2].split()), (match[3] or "").strip())
    return found


def is_prefix_only(text: str) -> bool:
    return all(word in PREFIXES or word.startswith("rex") for word in text.split())


def add_theirs(cases: list[Case], folder: Path) -> None:
    image = folder / "code.bin"
    image.write_bytes(b"".join(case.code.ljust(SLOT, b"\x90") for case in cases))
    lines = objdump(image, cases[0].mode)
    for number, case in enumerate(cases):
        at = number * SLOT
        while True:
            length, text = lines[at + case.length]
            case.length += length
            case.theirs = f"{case.theirs} {text}".strip()
            if not is_prefix_only(text):
                break


# --- Comparing -----------------------------------------------------------------------------------

@dataclass
class Operand:
    kind: str            # reg, mem, imm, sys
    size: int = 0
    reg: int = 0
    seg: str = ""
    base: str = ""
    index: str = ""
    scale: int = 1
    disp: int = 0
    imm: int = 0


def parse_address(text: str) -> Operand:
    """`[rax+rcx*4+0x10]` or an absolute `0x1234`."""
    found = Operand("mem")
    for sign, term in re.findall(r"([+-]?)([^+\-\[\]]+)", text):
        if term.startswith("0x"):
            found.disp += -int(term, 16) if sign == "-" else int(term, 16)
        elif "*" in term:
            found.index, scale = term.split("*")
            found.scale = int(scale)
        elif found.base:
            found.index = term
        else:
            found.base = term
    if found.index in ("riz", "eiz"):
        found.index, found.scale = "", 1
    return found


def parse_operand(text: str) -> Operand | None:
    text = text.split("#")[0].strip()
    match = re.match(r"^(?:(BYTE|WORD|DWORD|QWORD) PTR )?(?:([c-gs]s):)?(\[.*\]|0x[0-9a-f]+)$", text)
    if text in REGISTERS:
        return Operand("reg", size=REGISTERS[text][1], reg=REGISTERS[text][0])
    if re.match(r"^(cr|db|dr)\d+$", text):
        return Operand("sys", reg=int(text[2:]))
    if re.match(r"^(-?0x[0-9a-f]+|\d+)$", text):
        return Operand("imm", imm=int(text, 0))
    if match:
        found = parse_address(match[3])
        found.size = SIZES.get(match[1] or "", 0)
        found.seg = match[2] or ""
        return found
    return None


def split_text(text: str) -> tuple[str, list[Operand | None]]:
    words = text.split(None)
    while len(words) > 1 and (words[0] in PREFIXES or words[0].startswith("rex")):
        words.pop(0)
    rest = " ".join(words[1:])
    return words[0], [parse_operand(part) for part in rest.split(",")] if rest else []


def address_register(number: int, mode: int, size: int) -> str:
    if number == 0xff:
        return ""
    if number == 0xfe:
        return "rip" if size == 8 else "eip"
    return next(name for name, (reg, width) in REGISTERS.items() if (reg, width) == (number, size)
                and name not in ("ah", "ch", "dh", "bh"))


def check_memory(case: Case, want: Operand) -> None:
    ours = case.ours
    size = int(ours["addrsize"])
    mask = (1 << 8 * size) - 1
    assert address_register(int(ours["base"]), case.mode, size) == want.base, case
    assert address_register(int(ours["index"]), case.mode, size) == want.index, case
    if want.index:
        assert int(ours["scale"]) == want.scale, case
    assert (int(ours["disp"]) - want.disp) & mask == 0, case
    if want.seg:
        assert SEGMENTS[int(ours["seg"])] == want.seg, case
    else:
        assert SEGMENTS[int(ours["seg"])] == ("ss" if re.search("[sb]p$", want.base) else "ds"), case


def our_register(case: Case, place: str) -> int:
    ours = case.ours
    of_rm = (place == "dst") == (ours["rm_dst"] == "1")
    return int(ours["rm_reg"] if of_rm and ours["rm_reg"] != "255" else ours["reg"])


def check_operand(case: Case, place: str, want: Operand, size: int) -> None:
    kind = case.ours[place]
    if want.kind == "sys":
        # "CR8 can be read and written in all modes using a LOCK prefix" (vol. 3, MOV CRn)
        number = 8 if case.ours["lock"] == "1" else want.reg
        assert int(case.ours["sysreg"]) == number, case
        return
    assert kind == want.kind, (place, case)
    if kind == "reg":
        assert our_register(case, place) == want.reg, case
        assert want.size == size, case
        if size == 1 and 4 <= want.reg <= 7:
            assert (case.ours["high"] == "1") == bool(re.search(r"\b[a-d]h\b", case.theirs)), case
    elif kind == "mem":
        check_memory(case, want)
        assert want.size in (0, size), case
    else:
        mask = (1 << 8 * size) - 1
        assert (int(case.ours["imm"]) - want.imm) & mask == 0, case


STRING_SUFFIX = {"b": 1, "w": 2, "d": 4, "q": 8}


def check_string(case: Case) -> None:
    """The size from `BYTE PTR`, the segment of the source, how long the addresses are."""
    size = next(bytes_ for word, bytes_ in SIZES.items() if re.search(rf"\b{word} PTR", case.theirs))
    assert int(case.ours["opsize"]) == size, case
    source = re.search(r"([c-gs]s):\[(e|r|)si\]", case.theirs)
    if source:
        assert SEGMENTS[int(case.ours["seg"])] == source[1], case
        assert int(case.ours["addrsize"]) == {"": 2, "e": 4, "r": 8}[source[2]], case


def check_ports(case: Case, operands: list[Operand | None]) -> None:
    data, port = (0, 1) if case.ours["op"] == "in" else (1, 0)
    assert operands[data].size == int(case.ours["opsize"]), case
    place = case.ours["src" if case.ours["op"] == "in" else "dst"]
    if operands[port].kind == "imm":
        assert place == "imm" and int(case.ours["imm"]) == operands[port].imm, case
    else:
        assert place == "none" and operands[port].reg == 2, case


def check_named(case: Case, mnemonic: str, operands: list[Operand | None]) -> None:
    op = case.ours["op"]
    if op.startswith("mov_"):
        assert mnemonic == "mov" and any(o and o.kind == "sys" for o in operands), case
    else:
        assert NAMED[mnemonic] == op, case
    if op in STRINGS:
        check_string(case)
    elif op in ("in", "out"):
        check_ports(case, operands)
    elif op in ("int", "invlpga", "vmrun", "vmload", "vmsave", "skinit", "monitor", "mwait"):
        assert op != "int" or int(case.ours["imm"]) == (operands[0].imm if operands else 3), case
    else:
        sizes = [int(case.ours["opsize"])] * 2
        if op in ("movzx", "movsx"):
            sizes[1] = int(case.ours["srcsize"])
        places = [p for p in ("dst", "src") if case.ours[p] != "none"]
        if op.startswith("mov_"):
            places = ["dst", "src"]
        assert len(places) == len(operands), case
        for place, want, size in zip(places, operands, sizes):
            assert want is not None, case
            check_operand(case, place, want, size)


LOCKABLE = {"adc", "add", "and", "btc", "btr", "bts", "cmpxchg", "cmpxchg8b", "cmpxchg16b", "dec",
            "inc", "neg", "not", "or", "sbb", "sub", "xadd", "xchg", "xor"}


def register_forbidden(text: str) -> bool:
    """Control, debug and segment registers that do not exist, and MOV to CS."""
    for kind, number in re.findall(r"\b(cr|db|dr)(\d+)\b", text):
        if int(number) not in ((0, 2, 3, 4, 8) if kind == "cr" else range(8)):
            return True
    return "?" in text or re.search(r"\bmov +cs,", text) is not None


def lock_forbidden(case: Case, mnemonic: str) -> bool:
    """The manual's rule (vol. 3, 1.2.5), which objdump does not know: a memory destination of one
    of these; and AMD's LOCK MOV CR0 for CR8."""
    if 0xf0 not in case.code[:len(case.code) - len(case.code.lstrip(bytes(LEGACY)))]:
        return False
    destination = case.theirs.split(",")[0]
    if mnemonic == "mov" and re.search(r"\bcr[08]\b", case.theirs):
        return False
    return mnemonic not in LOCKABLE or "PTR" not in destination


def check_case(case: Case) -> str:
    """What was compared: bad, other, or the name."""
    mnemonic, operands = split_text(case.theirs)
    bad = ("(bad)" in case.theirs or lock_forbidden(case, mnemonic)
           or register_forbidden(case.theirs) or (mnemonic == "swapgs" and case.mode != 8))
    if bad or "error" in case.ours:
        assert bad and case.ours.get("error") == "EINVAL", case
        return "bad"
    assert case.length == int(case.ours["len"]), case
    if case.ours["op"] == "other":
        nop = mnemonic == "xchg" and operands[0] == operands[1]
        known = mnemonic in NAMED and not any(o is None for o in operands) and not nop
        assert not known, case
        return "other"
    check_named(case, mnemonic, operands)
    return case.ours["op"]


@pytest.mark.parametrize("mode", [2, 4, 8])
def test_decoder_agrees_with_objdump(mode: int, tmp_path: Path) -> None:
    cases = random_cases(mode, seed=20240 + mode)
    add_theirs(cases, tmp_path)
    counts: dict[str, int] = {}
    for case in cases:
        what = check_case(case)
        counts[what] = counts.get(what, 0) + 1
    assert counts["bad"] > 100 and counts["other"] > 500, counts
    for name in ALU + ["mov", "test", "xchg", "push", "pop", "movs", "in", "out", "mov_to_cr"]:
        assert counts.get(name, 0) >= 5, (name, counts)
