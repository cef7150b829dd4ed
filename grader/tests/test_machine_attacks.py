"""Guests that attack the host's time, console and emulator; each is a few lines of C.

They are compiled here against the guests' library.  A neighbour of each attacker is
judged too: the attack must cost it nothing.
"""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Dict

import numpy as np
import pytest

from grader.tests.conftest import Run

pytestmark = pytest.mark.machine

ROOT = Path(__file__).resolve().parents[2]
CFLAGS = ("-std=gnu11 -O2 -ffreestanding -fno-pic -fno-pie -fno-stack-protector "
          "-fno-delete-null-pointer-checks -fno-asynchronous-unwind-tables -fcf-protection=none "
          "-mgeneral-regs-only -Wall -Wextra -Werror").split()
WIDTH = {64: ("-m64", "-mno-red-zone", "elf_x86_64"), 32: ("-m32", "-march=i686", "elf_i386")}
NEIGHBOURS = ("greedy", "ticker ticks=discard")

# Eight strings of console bytes or test port commands an exit, without end.
STRINGS = """
static u32 walk[1024];
static char newline[1024];
void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("walk");
    bool walks = args_number("walk", 0, 0, 1);
    for (int i = 0; i < 1024; i++) {
        walk[i] = TESTPORT_WALK;
        newline[i] = '\\n';
    }
    for (;;) {
        const void *from = walks ? (void *)walk : newline;
        u64 count = 1024;
        if (walks)
            __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(0x5e0) : "memory");
        else
            __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0xe9) : "memory");
    }
}
"""

# The timer at its highest rate, with interrupts on, off, or waiting for them.
STORM = """
static volatile u64 ticks;
static void tick(struct trap_frame *f)
{
    (void)f;
    ticks++;
    outb(0x20, 0x20);
}
void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("on halt");
    trap_set(0x20, tick);
    outb(0x43, 0x34);
    outb(0x40, 1);
    outb(0x40, 0);
    outb(0x21, 0xfe);
    if (args_number("on", 1, 0, 1))
        interrupts_on();
    for (bool halt = args_number("halt", 0, 0, 1);;)
        if (halt)
            __asm__ volatile("hlt");
}
"""

# To ring 3 and back through a TSS, as the kernels of OS courses do it.
RING3 = """
struct { u32 link, esp0, ss0, rest[23]; } tss;
static u64 gdt[6], idt[49];
static u8 kernel_stack[4096], user_stack[4096];
extern char user[], entered[];
__asm__("user: int $0x30\\n"
        "entered: movl $0x10, %eax; movl %eax, %ds; movl %eax, %es\\n"
        "call back\\n");
void back(void);
void back(void)
{
    check("back", 1, 1);
    guest_exit(0);
}
void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("ltr");
    bool ltr = args_number("ltr", 1, 0, 1);
    u32 b = (u32)&tss, h = (u32)entered;
    gdt[1] = 0x00cf9a000000ffffull;
    gdt[2] = 0x00cf92000000ffffull;
    gdt[3] = 0x00cffa000000ffffull;
    gdt[4] = 0x00cff2000000ffffull;
    gdt[5] = 103 | (u64)(b & 0xffffff) << 16 | 0x89ull << 40 | (u64)(b >> 24) << 56;
    idt[0x30] = (h & 0xffff) | 8ull << 16 | 0xee00ull << 32 | (u64)(h >> 16) << 48;
    tss.esp0 = (u32)kernel_stack + sizeof(kernel_stack);
    tss.ss0 = 0x10;
    struct { u16 limit; u32 base; } __attribute__((packed)) g = {sizeof(gdt) - 1, (u32)gdt},
                                                            i = {sizeof(idt) - 1, (u32)idt};
    __asm__ volatile("lgdt %0; lidt %1; ljmp $8, $1f; 1:" : : "m"(g), "m"(i));
    __asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss" : : "r"(0x10));
    if (ltr)
        __asm__ volatile("ltr %w0" : : "r"(0x28));
    __asm__ volatile("pushl $0x23; pushl %0; pushl $2; pushl $0x1b; pushl $user; iret"
                     : : "r"((u32)user_stack + sizeof(user_stack)));
}
"""


def built(folder: Path, name: str, source: str, width: int = 64) -> str:
    """Compile and link a guest; its path."""
    *flags, emulation = WIDTH[width]
    (folder / f"{name}.c").write_text('#include "guests/lib/guest.h"\n' + source)
    subprocess.run(["gcc", *CFLAGS, *flags, f"-I{ROOT}", "-c", f"{name}.c", "-o", f"{name}.o"],
                   cwd=folder, check=True)
    library = sorted(str(o) for o in (ROOT / f"build/obj/guests/{width}/lib").glob("*.o")
                     if o.stem != "table")
    subprocess.run(["ld", "-m", emulation, "-z", "max-page-size=4096", "-z", "noexecstack",
                    "-T", str(ROOT / "guests/guest.ld"), "-o", "linked", *library, f"{name}.o"],
                   cwd=folder, check=True)
    subprocess.run(["objcopy", "-O", "elf32-i386", "linked", f"{name}.elf"], cwd=folder,
                   check=True)
    return str(folder / f"{name}.elf")


def shares(run: Run) -> Dict[int, float]:
    """Per cent of the time that was charged, by VM."""
    charges = run.trace.select("sched_charge")
    ran = {vm: int(charges["ran"][charges.vm == vm].sum()) for vm in set(charges.vm.tolist())}
    return {vm: 100 * ns / sum(ran.values()) for vm, ns in ran.items()}


def in_thirds(run: Run) -> bool:
    return run.trace.dropped == 0 and all(abs(share - 100 / 3) <= 2
                                          for share in shares(run).values())


@pytest.mark.parametrize("walk", (0, 1))
def test_long_string_output_takes_no_time_from_others(machine, tmp_path, walk):
    guest = built(tmp_path, "strings", STRINGS)
    run = machine((f"{guest} -- walk={walk}", *NEIGHBOURS), "trace=sched slice=1ms time=60ms")
    assert len(shares(run)) == 3 and in_thirds(run), shares(run)


@pytest.mark.everywhere
def test_a_guest_that_never_exits_again_loses_the_cpu(machine, tmp_path):
    """CLI, and a jump to itself: nothing but the host's own timer ends its turn."""
    spin = tmp_path / "spin.bin"
    spin.write_bytes(b"\xfa\xeb\xfe")
    run = machine((f"{spin} boot=raw mem=1M", "ticker -- hz=1000 ticks=4"), "slice=1ms", "15ms")
    spun, ticked = run.json["vms"]
    assert (spun["how"], ticked["how"]) == ("TIME_UP", "EXITED") and not ticked["checks_failed"]
    picks = run.trace.select("sched_pick")
    assert np.count_nonzero(picks.vm == 1) > 3


def test_a_guest_that_prints_without_end_is_heard_no_more(machine, tmp_path):
    guest = built(tmp_path, "strings", STRINGS)
    run = machine((guest, "ticker -- ticks=3"), "trace=some time=300ms")
    assert 200 << 10 < len(run.console) < 264 << 10
    assert "has printed 256 KiB: no more of it is shown" in run.console
    assert run.json["vms"][1]["how"] == "EXITED" and "[2 ticker] ended" in run.console


@pytest.mark.parametrize("arguments", ("on=1", "on=0", "on=1 halt=1"))
def test_a_timer_at_its_highest_rate_takes_no_time_from_others(machine, tmp_path, arguments):
    guest = built(tmp_path, "storm", STORM)
    run = machine((f"{guest} ticks=slew -- {arguments}", *NEIGHBOURS),
                  "trace=sched slice=1ms time=45ms")
    assert len(shares(run)) == 3 and in_thirds(run), shares(run)


def test_a_32_bit_guest_goes_to_ring_3_and_back(machine, tmp_path):
    run = machine((built(tmp_path, "ring3", RING3, 32),), "time=100ms")
    assert (run.json["vms"][0]["how"], run.json["vms"][0]["code"]) == ("EXITED", 0)
    assert run.json["vms"][0]["checks_passed"] >= 1


def test_ring_3_without_a_task_state_segment_ends_that_vm_only(machine, tmp_path):
    guest = built(tmp_path, "ring3", RING3, 32)
    run = machine((f"{guest} checks=ignore -- ltr=0", "hello"), "time=200ms")
    assert [vm["how"] for vm in run.json["vms"]] == ["TRIPLE_FAULT", "EXITED"]


def test_a_death_and_a_new_life_of_16_mib_take_less_than_3_ms(machine):
    run = machine(("crash restart=1000 checks=ignore", "ticker"), "trace=some time=60ms")
    ends, births = run.trace.select("vm_end"), run.trace.select("vcpu_create")
    gone = ends.tsc[ends.vm == 1][:-1].astype("int64")
    anew = births.tsc[births.vm == 1][1:len(gone) + 1].astype("int64")
    assert len(gone) >= 3 and max(anew - gone) < 3_000_000
