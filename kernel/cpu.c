/*
 * The few processor functions that are more than one instruction.
 */
#include "kernel/cpu.h"
#include "kernel/trap.h"

#define BOCHS_DEBUG_PORT 0xe9

_Noreturn void cpu_stop(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}

bool cpu_is_bochs(void)
{
    return inb(BOCHS_DEBUG_PORT) == BOCHS_DEBUG_PORT;
}

bool rdmsr_safe(u32 msr, u64 *v)
{
    u32 lo = 0, hi = 0;
    u64 failed = 1;

    /* A #GP continues at label 2, with failed still 1. */
    __asm__ volatile("leaq 2f(%%rip), %%r8\n"
                     "movq %%r8, trap_recover(%%rip)\n"
                     "rdmsr\n"
                     "xorl %%r9d, %%r9d\n"
                     "movq %%r9, %[failed]\n"
                     "2: movq $0, trap_recover(%%rip)\n"
                     : "=a"(lo), "=d"(hi), [failed] "+m"(failed)
                     : "c"(msr)
                     : "r8", "r9", "memory");
    *v = (u64)hi << 32 | lo;
    return !failed;
}
