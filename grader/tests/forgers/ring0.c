/*
 * Pasted behind vmm/vcpu.c by forgers: a guest's words to the test port, without a guest.
 * How a word gets there is the forger's: out(). Knows the run's nonce, as all of ring 0
 * does, so every seal is right.
 */
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/hostexit.h"
#include "vmm/mix.h"
#include "vmm/svm/svm.h"

typedef void port_out(struct vcpu *v, u16 port, u32 value);

static const char *const check_names[] = {"memory", "bss", "hidden", "mode"};
#define CHECKS 4u
#define OUT_LONG (4u << 4)

static u64 packed(const char *name)
{
    u64 word = 0;

    for (u32 i = 0; name[i]; i++)
        word |= (u64)(u8)name[i] << 8 * i;
    return word;
}

static u64 seal_of(const struct vcpu *v, u32 i)
{
    return mix(v->vm->nonce ^ packed(check_names[i]), 1, 1);
}

static void command(struct vcpu *v, port_out *out, u32 number, const u64 *arg, u32 args)
{
    for (u32 i = 0; i < args; i++) {
        out(v, (u16)(TESTPORT_BASE + 4 + 8 * i), (u32)arg[i]);
        out(v, (u16)(TESTPORT_BASE + 8 + 8 * i), (u32)(arg[i] >> 32));
    }
    out(v, TESTPORT_BASE, number);
}

/* All of hello's checks, passed, and its end. */
static void speak(struct vcpu *v, port_out *out)
{
    for (u32 i = 0; i < CHECKS; i++)
        command(v, out, TESTPORT_CHECK,
                (u64[]){packed(check_names[i]), 1, 1, seal_of(v, i)}, 4);
    command(v, out, TESTPORT_EXIT, (u64[]){0}, 1);
}

/* --- Real entries ------------------------------------------------------------------------ */

static void vmrun(struct vmcb *b, u64 rdx)
{
    __asm__ volatile("clgi; sti; vmrun %%rax; cli; stgi" : "+d"(rdx) : "a"(b) : "memory", "cc");
}

static __attribute__((unused)) u64 own_cr4(void)
{
    u64 value;

    __asm__ volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}

/* A guest of the forger's own: the host itself, without nested paging. */
static __attribute__((unused)) void own_guest(struct vmcb *b)
{
    b->intercepts1 = INTERCEPT_IOIO | INTERCEPT_SHUTDOWN | INTERCEPT_INTR;
    b->intercepts2 = INTERCEPT_VMRUN;
    b->iopm_base_pa = svm_io_map().v;
    b->msrpm_base_pa = svm_msr_map().v;
    b->guest_asid = 9;
    b->np_enable = 0;
    b->v_intr = V_INTR_MASKING;
    b->cr0 = read_cr0();
    b->cr3 = read_cr3();
    b->cr4 = own_cr4();
    b->efer = rdmsr(0xc0000080);
    b->seg[SEG_CS] = (struct vmcb_seg){0x08, 0xa9b, ~0u, 0};
    b->seg[SEG_SS] = b->seg[SEG_DS] = b->seg[SEG_ES] = (struct vmcb_seg){0x10, 0xc93, ~0u, 0};
    b->dr6 = 0xffff0ff0;
    b->dr7 = 0x400;
    b->rflags = 2;
}

__asm__(".globl own_out\nown_out: outl %eax, %dx\n");
extern u8 own_out[];

/* An OUT that a processor in guest mode really makes, at rip; traced as it was. */
static __attribute__((unused)) void real_out(struct vcpu *v, struct vmcb *b, u64 who, u64 rip,
                                             u16 port, u32 value)
{
    struct exit x;

    do {
        b->rip = rip;
        b->rax = value;
        TRACE_BY(entry, who, .rip = rip, .inject = 0);
        vmrun(b, port);
        b->tlb_control = 0;
        svm_translate(v, b, &x);
        TRACE_BY(exit, who, .reason = x.reason, .rip = x.rip, .code = x.code, .info1 = x.info1,
                 .info2 = x.info2);
        if (x.reason == EXIT_NESTED)
            exit_handle(v, &x);
        if (x.reason == EXIT_INTR)
            cpu_take_interrupts();
    } while (x.reason != EXIT_IO && v->vm->alive);
    TRACE_BY(io, v->who, .port = port, .write = true, .size = 4, .value = value);
    bus_out(&v->vm->bus, port, 4, value);
}
