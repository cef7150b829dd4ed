/*
 * VMX's exits in the neutral words of hv.h. Nothing is handled here.
 * Source: Intel SDM vol. 3C, 24.9, 27.2; appendix C.
 */
#include "vmm/vmx/vmx.h"

/* Exit qualification of an I/O instruction, table 27-5 */
#define IO_SIZE(q) (((q) & 7) + 1)
#define IO_IN      (1u << 3)
#define IO_STRING  (1u << 4)
#define IO_REP     (1u << 5)
/* of an access to a control or debug register, tables 27-3 and 27-4 */
#define CR_NUMBER(q) ((q) & 15)
#define CR_READ(q)   (((q) >> 4 & 3) == 1)
#define DR_NUMBER(q) ((q) & 7)
#define DR_READ      (1u << 4)
/* of an EPT violation, table 27-7 */
#define EPT_WRITE     (1u << 1)
#define EPT_FETCH     (1u << 2)
#define EPT_ALLOWED   (7u << 3) /* what the entries allow; none: not present */
#define EPT_GVA_KNOWN (1u << 7)
#define EPT_GVA_ITSELF (1u << 8) /* not a table on the way to it */

/* The reasons that say all by themselves; 0: the others. */
static const u8 plain[VMX_REASONS] = {
    [VMX_INTR] = EXIT_INTR,
    [VMX_TRIPLE_FAULT] = EXIT_SHUTDOWN,
    [VMX_INTR_WINDOW] = EXIT_INTR_WINDOW,
    [VMX_NMI_WINDOW] = EXIT_NMI_WINDOW,
    [VMX_TASK_SWITCH] = EXIT_TASK_SWITCH,
    [VMX_CPUID] = EXIT_CPUID,
    [VMX_GETSEC] = EXIT_VIRT_INSN,
    [VMX_HLT] = EXIT_HLT,
    [VMX_INVD] = EXIT_WBINVD,
    [VMX_RDPMC] = EXIT_RDPMC,
    [VMX_RDTSC] = EXIT_RDTSC,
    [VMX_VMCALL] = EXIT_HYPERCALL,
    [VMX_VMCLEAR ... VMX_VMXON] = EXIT_VIRT_INSN,
    [VMX_MWAIT] = EXIT_MONITOR,
    [VMX_TRAP_FLAG] = EXIT_STEP,
    [VMX_MONITOR] = EXIT_MONITOR,
    [VMX_PAUSE] = EXIT_PAUSE,
    [VMX_GDTR_IDTR] = EXIT_DESCRIPTOR,
    [VMX_LDTR_TR] = EXIT_DESCRIPTOR,
    [VMX_INVEPT] = EXIT_VIRT_INSN,
    [VMX_RDTSCP] = EXIT_RDTSC,
    [VMX_PREEMPTION] = EXIT_PREEMPTION,
    [VMX_INVVPID] = EXIT_VIRT_INSN,
    [VMX_WBINVD] = EXIT_WBINVD,
    [VMX_XSETBV] = EXIT_XSETBV,
};

/* Reasons that are instructions have a length, 27.2.5; Bochs gives one for others
 * too, which means nothing. */
#define BIT(n) (1ull << (n))
static const u64 has_length =
    BIT(VMX_CPUID) | BIT(VMX_GETSEC) | BIT(VMX_HLT) | BIT(VMX_INVD) | BIT(VMX_INVLPG) |
    BIT(VMX_RDPMC) | BIT(VMX_RDTSC) | BIT(VMX_VMCALL) | (BIT(VMX_VMXON + 1) - BIT(VMX_VMCLEAR)) |
    BIT(VMX_CR) | BIT(VMX_DR) | BIT(VMX_IO) | BIT(VMX_RDMSR) | BIT(VMX_WRMSR) | BIT(VMX_MWAIT) |
    BIT(VMX_MONITOR) | BIT(VMX_PAUSE) | BIT(VMX_GDTR_IDTR) | BIT(VMX_LDTR_TR) | BIT(VMX_INVEPT) |
    BIT(VMX_RDTSCP) | BIT(VMX_INVVPID) | BIT(VMX_WBINVD) | BIT(VMX_XSETBV);

static void translate_io(u64 q, struct exit *x)
{
    x->reason = EXIT_IO;
    x->io.port = (u16)(q >> 16);
    x->io.size = (u8)IO_SIZE(q);
    x->io.in = q & IO_IN;
    x->io.string = q & IO_STRING;
    x->io.rep = q & IO_REP;
}

/* With A and D in use, a walk's accesses to guest tables count as writes (28.2.3.2). */
static void translate_violation(u64 q, struct exit *x)
{
    x->reason = EXIT_NESTED;
    x->nested.gpa = gpa(x->info2);
    x->nested.gva = gva(q & EPT_GVA_KNOWN ? vmcs_read(VMCS_GUEST_LINEAR_ADDR) : 0);
    x->nested.access =
        ACCESS_USER | (q & EPT_WRITE ? ACCESS_WRITE : 0) | (q & EPT_FETCH ? ACCESS_EXEC : 0);
    x->nested.in_walk = (q & (EPT_GVA_KNOWN | EPT_GVA_ITSELF)) == EPT_GVA_KNOWN;
    x->nested.present = q & EPT_ALLOWED;
    x->nested.misconfig = false;
}

static void translate_misconfig(struct exit *x)
{
    x->reason = EXIT_NESTED;
    x->nested.gpa = gpa(x->info2);
    x->nested.gva = gva(0);
    x->nested.access = ACCESS_USER;
    x->nested.in_walk = false;
    x->nested.present = true;
    x->nested.misconfig = true;
}

/* Exceptions and NMIs share a reason. */
static void translate_exception(u64 q, struct exit *x)
{
    u32 event = (u32)vmcs_read(VMCS_EXIT_EVENT);

    x->info2 = event;
    x->reason = EVENT_TYPE(event) == EVENT_NMI ? EXIT_NMI : EXIT_EXCEPTION;
    x->exc.vector = (u8)event;
    x->exc.error = event & EVENT_ERROR_VALID ? (u32)vmcs_read(VMCS_EXIT_ERROR) : 0;
    x->exc.addr = q;
}

static void translate_refused(struct exit *x)
{
    x->reason = EXIT_ENTRY_FAILED;
    if (vmx_check(x))
        return;
    vmx_dump();
    x->fail.field = vmcs_words(VMCS_EXIT_REASON);
    x->fail.value = x->code;
    x->fail.why = "the guest's state is not valid, but breaks no rule that is known here";
    x->fail.section = "26.3";
}

static void translate_register(u32 reason, u64 q, struct exit *x)
{
    x->reason = reason == VMX_CR ? EXIT_CR : EXIT_DR;
    x->cr.n = reason == VMX_CR ? CR_NUMBER(q) : DR_NUMBER(q);
    x->cr.write = reason == VMX_CR ? !CR_READ(q) : !(q & DR_READ);
    x->cr.known = false;
}

static void translate_other(u32 reason, u64 q, struct exit *x)
{
    switch (reason) {
    case VMX_IO:
        translate_io(q, x);
        break;
    case VMX_RDMSR:
    case VMX_WRMSR:
        x->reason = EXIT_MSR;
        x->msr.write = reason == VMX_WRMSR;
        break;
    case VMX_EPT_VIOLATION:
    case VMX_EPT_MISCONFIG:
        x->info2 = vmcs_read(VMCS_GUEST_PHYS_ADDR);
        if (reason == VMX_EPT_VIOLATION)
            translate_violation(q, x);
        else
            translate_misconfig(x);
        break;
    case VMX_INVLPG:
        x->reason = EXIT_INVLPG;
        x->invlpg.addr = q;
        x->invlpg.known = true;
        break;
    case VMX_EXCEPTION:
        translate_exception(q, x);
        break;
    case VMX_CR:
    case VMX_DR:
        translate_register(reason, q, x);
        break;
    default:
        x->reason = EXIT_UNKNOWN;
        if (reason & EXIT_REFUSED)
            translate_refused(x);
    }
}

/* An event whose delivery the exit broke off. INT n, INT1, INT3 and INTO are
 * executed again, all alike: RIP is still at them. */
static void translate_pending(u32 event, struct exit *x)
{
    u32 type = EVENT_TYPE(event);

    x->pending = (struct event){.valid = true,
                                .type = type > EVENT_INT ? EV_SOFT_INT : (u8)type,
                                .vector = (u8)event,
                                .has_error = event & EVENT_ERROR_VALID,
                                .error = (u32)vmcs_read(VMCS_IDT_ERROR)};
}

/* What the reason alone does not tell. */
static __attribute__((noinline)) void translate_rest(u32 reason, u32 event, struct exit *x)
{
    if (x->reason == EXIT_NONE)
        translate_other(reason, x->info1, x);
    if (event & EVENT_VALID && !(reason & EXIT_REFUSED))
        translate_pending(event, x);
}

void vmx_translate(struct vcpu *v, u32 reason, struct exit *x)
{
    u32 event = (u32)vmcs_read(VMCS_IDT_EVENT);

    x->rip = v->rip;
    x->next_rip = 0;
    x->insn_len = 0;
    x->code = reason;
    x->info1 = vmcs_read(VMCS_QUALIFICATION);
    x->info2 = 0;
    x->pending.valid = false;
    x->reason = reason < VMX_REASONS ? plain[reason] : EXIT_NONE;
    if (reason < VMX_REASONS && has_length >> reason & 1)
        x->insn_len = (u8)vmcs_read(VMCS_EXIT_LENGTH);
    if (__builtin_expect(x->reason == EXIT_NONE || event & EVENT_VALID, 0))
        translate_rest(reason, event, x);
}
