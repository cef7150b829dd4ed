/*
 * behind: an instruction that exits is over when it is emulated, with all that
 * comes with that. STI holds interrupts off for one instruction: an interrupt
 * that waits comes right behind the next, exit or not. And with RFLAGS.TF set
 * the debug exception comes right behind it. For each kind of instruction
 * both are tried, and the address at which the guest was interrupted is checked.
 * AMD64 Manual vol. 2, 13.1.4 (single step); vol. 3, STI.
 */
#include "guests/lib/guest.h"

#define TICK_HZ 1000
#define FLAG_TF (1ul << 8)

static unsigned long stopped_at; /* where an interrupt or a debug exception came; 0: nowhere */

static void on_tick(struct trap_frame *frame)
{
    stopped_at = stopped_at ? stopped_at : frame->ip;
    pic_eoi(PIT_LINE);
}

/* The first one ends the single-stepping. */
static void on_debug(struct trap_frame *frame)
{
    stopped_at = stopped_at ? stopped_at : frame->ip;
    frame->flags &= ~FLAG_TF;
}

#define CHANGES "rax", "rbx", "rcx", "rdx", "cc", "memory"

/* Two functions: what is tried, behind STI and behind setting TF. They return the
 * address of what stands behind the instruction. */
#define TRIED(name, instruction)                                                                   \
    static unsigned long sti_##name(void)                                                          \
    {                                                                                              \
        unsigned long behind;                                                                      \
        __asm__ volatile("xorl %%eax, %%eax; sti; " instruction "; 1: cli; leaq 1b(%%rip), %0"     \
                         : "=S"(behind)                                                            \
                         :                                                                         \
                         : CHANGES);                                                               \
        return behind;                                                                             \
    }                                                                                              \
    static unsigned long step_##name(void)                                                         \
    {                                                                                              \
        unsigned long behind;                                                                      \
        __asm__ volatile("xorl %%eax, %%eax; pushfq; orl $0x100, (%%rsp); popfq; " instruction     \
                         "; 1: nop; leaq 1b(%%rip), %0"                                            \
                         : "=S"(behind)                                                            \
                         :                                                                         \
                         : CHANGES);                                                               \
        return behind;                                                                             \
    }

TRIED(nop, "nop") /* it does not exit: for comparison */
TRIED(out, "outb %%al, $0x80")
TRIED(in, "inb $0x80, %%al")
TRIED(cpuid, "cpuid")
TRIED(vmmcall, "vmmcall")
TRIED(vmcall, "vmcall")

struct kind {
    const char *sti_name, *step_name;
    unsigned long (*sti)(void), (*step)(void);
};

static const struct kind kinds[] = {
    {"stinop", "stepnop", sti_nop, step_nop},
    {"stiout", "stepout", sti_out, step_out},
    {"stiin", "stepin", sti_in, step_in},
    {"sticpuid", "stpcpuid", sti_cpuid, step_cpuid},
};

/* A call to a hypervisor, in AMD's and in Intel's words; where there is none, it is undefined. */
static const struct kind amd_call = {"stivmm", "stepvmm", sti_vmmcall, step_vmmcall};
static const struct kind intel_call = {"stivmm", "stepvmm", sti_vmcall, step_vmcall};

/* For two periods at least, at an instruction a nanosecond. */
static void let_a_tick_wait(void)
{
    for (volatile u32 i = 0; i < 2000000; i++)
        ;
}

static void try(const struct kind *kind)
{
    let_a_tick_wait();
    stopped_at = 0;
    unsigned long behind = kind->sti();
    check(kind->sti_name, stopped_at, behind);
    stopped_at = 0;
    behind = kind->step();
    check(kind->step_name, stopped_at, behind);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("");
    trap_set(VECTOR_DB, on_debug);
    trap_set(TRAP_IRQ_BASE + PIT_LINE, on_tick);
    pic_init_only(PIT_LINE);
    pit_start(TICK_HZ);
    for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
        try(&kinds[i]);
    if (testport_present())
        try(cpu_is_intel() ? &intel_call : &amd_call);
}
