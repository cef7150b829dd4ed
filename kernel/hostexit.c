/*
 * How a run ends, on either emulator: QEMU's isa-debug-exit device turns the
 * status v into the exit code (v << 1) | 1; Bochs stops at "D" on port 0x8900,
 * and its debugger writes out the memory up to the address in RCX. The line
 * before it is what the harness looks for, should both be missing.
 */
#include "kernel/hostexit.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/frame.h"
#include "kernel/paging.h"

#define QEMU_EXIT  0xf4
#define BOCHS_STOP 0x8900

static void stop_bochs(void)
{
    paging_reveal();
    __asm__ volatile("outb %b0, %w1" : : "a"('D'), "d"(BOCHS_STOP), "c"(frames_top().v));
}

_Noreturn void host_exit(enum host_status status)
{
    console_print("nestling: end, status %d\n", (int)status);
    console_drain();
    outl(QEMU_EXIT, (u32)status);
    stop_bochs();
    cpu_stop();
}
