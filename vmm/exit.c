/*
 * The exit table, and the handlers that fit in a few lines.
 * Source: AMD64 Manual vol. 2, 15.7 to 15.14; vol. 3 for the instructions.
 */
#include "vmm/exit.h"
#include "kernel/cpu.h"
#include "kernel/format.h"
#include "kernel/todo.h"
#include "vmm/doublefault.h"
#include "vmm/fetch.h"
#include "vmm/vm.h"

u8 exit_insn_len(struct vcpu *v, const struct exit *x, u8 implied)
{
    struct insn insn;

    if (x->insn_len)
        return x->insn_len;
    return fetch_insn(v, &insn) == 0 ? insn.len : implied;
}

static void exit_hlt(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: HLT is done; then the vCPU sleeps, or for ever, or not at all. */
    vcpu_advance(v, exit_insn_len(v, x, 1));
    if (v->inject.valid)
        return; /* single-stepped: the debug exception wakes it at once */
    if (!(v->rflags & RFLAGS_IF)) {
        vm_end(v->vm, END_HALTED, 0, "halted with interrupts off: nothing can wake it");
        return;
    }
    v->attention = true;
    if (!pic_pending(&v->vm->pic) && !v->interrupt.valid)
        vcpu_block(v, BLOCK_HLT);
    /* LAB 1 END: todo(1, "1.8", v, x); */
}

/* The real timer, or another device of the host. */
static void exit_intr(struct vcpu *v, const struct exit *x)
{
    (void)x;
    cpu_take_interrupts();
    v->attention = true;
}

static void exit_window(struct vcpu *v, const struct exit *x)
{
    (void)x;
    v->attention = true;
}

/* A guest sees that it got no service. */
static void exit_hypercall(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: VMMCALL answers all ones. */
    v->gpr[GPR_RAX] = ~0ull;
    vcpu_advance(v, exit_insn_len(v, x, 3));
    /* LAB 1 END: todo(1, "1.8", v, x); */
}

/* There is one service, for guests that fill their TLB themselves. */
static void exit_call(struct vcpu *v, const struct exit *x)
{
    if (!v->vm->shadow.software) {
        exit_hypercall(v, x);
        return;
    }
    v->gpr[GPR_RAX] = vtlb_call(v);
    vcpu_advance(v, exit_insn_len(v, x, 3));
}

static void exit_shutdown(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: A triple fault is the end of this VM. */
    vm_end(v->vm, END_TRIPLE_FAULT, 0, "triple fault near rip %#lx", x->rip);
    /* LAB 1 END: todo(1, "1.9", v, x); */
}

static void exit_skip(struct vcpu *v, const struct exit *x)
{
    vcpu_advance(v, exit_insn_len(v, x, 2));
}

static void exit_ud(struct vcpu *v, const struct exit *x)
{
    (void)x;
    vcpu_raise_ud(v);
}

static void exit_gp(struct vcpu *v, const struct exit *x)
{
    (void)x;
    vcpu_raise_gp(v);
}

/* The processor refused the control block: say so, in the trace and as the VM's end. */
static void refused(struct vcpu *v, const struct exit *x, const char *why)
{
    TRACE_TEXT(entry_failed, v->vm->id, v->id, why, .value = x->fail.value);
    vm_end(v->vm, END_BAD_ENTRY, 0, "%s", why);
}

static void exit_failed(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: One sentence: the field, its value, the rule, where the manual says so. */
    char why[200];

    if (x->fail.field)
        format(why, sizeof(why), "entry refused: %s = %#lx: %s (%s, %s)", x->fail.field,
               x->fail.value, x->fail.why, hv->manual, x->fail.section);
    else
        format(why, sizeof(why), "entry refused: %s", x->fail.why);
    refused(v, x, why);
    /* LAB 1 END: todo(1, "1.9", v, x, refused); */
}

/* INTERCEPTed for nobody: a bug of ours, but only this VM's end. */
void exit_unknown(struct vcpu *v, const struct exit *x)
{
    /* LAB 1 BEGIN: The end of this VM, with the exit's code. */
    vm_end(v->vm, END_UNSUPPORTED, x->code, "exit with code %#lx, which nobody handles", x->code);
    /* LAB 1 END: todo(1, "1.9", v, x); */
}

/* It loads CR3: on a shadow that would be the way out, and Intel has it exit always. */
static void exit_task_switch(struct vcpu *v, const struct exit *x)
{
    vm_end(v->vm, END_UNSUPPORTED, x->code,
           "a task switch by hardware near rip %#lx, which is not virtualized", x->rip);
}

/* Page faults exit while the guest runs on a shadow; a double fault where a triple fault
 * would not: doublefault.c. */
static void exit_exception(struct vcpu *v, const struct exit *x)
{
    if (x->exc.vector == VECTOR_PF && v->vm->shadow.active)
        shadow_fault(v, x);
    else if (x->exc.vector != VECTOR_DF)
        exit_unknown(v, x);
    else if (!doublefault_deliver(v))
        exit_shutdown(v, x);
}

exit_handler *const exit_handlers[] = {
    [EXIT_NONE] = exit_unknown,
    [EXIT_HLT] = exit_hlt,
    [EXIT_CPUID] = exit_cpuid,
    [EXIT_IO] = exit_io,
    [EXIT_MSR] = exit_msr,
    [EXIT_CR] = exit_cr,
    [EXIT_DR] = exit_dr,
    [EXIT_EXCEPTION] = exit_exception,
    [EXIT_INTR] = exit_intr,
    [EXIT_NMI] = exit_intr,
    [EXIT_INTR_WINDOW] = exit_window,
    [EXIT_NESTED] = exit_nested,
    [EXIT_HYPERCALL] = exit_call,
    [EXIT_RDTSC] = exit_unknown,
    [EXIT_INVLPG] = exit_invlpg,
    [EXIT_SHUTDOWN] = exit_shutdown,
    [EXIT_PAUSE] = exit_skip,
    [EXIT_RDPMC] = exit_gp,
    [EXIT_WBINVD] = exit_skip,
    [EXIT_MONITOR] = exit_ud,
    [EXIT_VIRT_INSN] = exit_ud,
    [EXIT_TASK_SWITCH] = exit_task_switch,
    [EXIT_SOFT_INT] = exit_unknown,
    [EXIT_DESCRIPTOR] = exit_descriptor,
    [EXIT_ENTRY_FAILED] = exit_failed,
    [EXIT_XSETBV] = exit_ud,
    [EXIT_UNKNOWN] = exit_unknown,
    [EXIT_PREEMPTION] = exit_intr,
    [EXIT_STEP] = exit_unknown,
    [EXIT_NMI_WINDOW] = exit_window,
};
