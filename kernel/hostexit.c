/*
 * How a run ends, on either emulator: QEMU's isa-debug-exit device turns the
 * status v into the exit code (v << 1) | 1; Bochs stops at "D" on port 0x8900.
 * The line before it is what the harness looks for, should both be missing.
 */
#include "kernel/hostexit.h"
#include "kernel/console.h"
#include "kernel/cpu.h"

#define QEMU_EXIT  0xf4
#define BOCHS_STOP 0x8900

_Noreturn void host_exit(enum host_status status)
{
    console_print("nestling: end, status %d\n", (int)status);
    console_drain();
    outl(QEMU_EXIT, (u32)status);
    outb(BOCHS_STOP, 'D');
    cpu_stop();
}
