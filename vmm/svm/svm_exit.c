/*
 * SVM's exit codes in the neutral words of hv.h. Nothing is handled here.
 * Source: AMD64 Manual vol. 2, appendix C and 15.7 to 15.12, 15.25.6.
 */
#include "vmm/svm/svm.h"

/* EXITINFO1 of an I/O exit, 15.10.2 */
#define IOIO_IN     (1u << 0)
#define IOIO_STRING (1u << 2)
#define IOIO_REP    (1u << 3)
/* EXITINFO1 of a nested page fault, 15.25.6 */
#define NPF_PRESENT (1ull << 0)
#define NPF_WRITE   (1ull << 1)
#define NPF_USER    (1ull << 2)
#define NPF_EXEC    (1ull << 4)
#define NPF_IN_WALK (1ull << 33)

const u8 svm_plain[256] = {
    [VMEXIT_INTR] = EXIT_INTR,        [VMEXIT_NMI] = EXIT_NMI,
    [VMEXIT_VINTR] = EXIT_INTR_WINDOW, [VMEXIT_RDTSC] = EXIT_RDTSC,
    [VMEXIT_RDTSCP] = EXIT_RDTSC,     [VMEXIT_RDPMC] = EXIT_RDPMC,
    [VMEXIT_CPUID] = EXIT_CPUID,      [VMEXIT_SWINT] = EXIT_SOFT_INT,
    [VMEXIT_PAUSE] = EXIT_PAUSE,      [VMEXIT_HLT] = EXIT_HLT,
    [VMEXIT_TASK_SWITCH] = EXIT_TASK_SWITCH,
    [VMEXIT_SHUTDOWN] = EXIT_SHUTDOWN, [VMEXIT_VMMCALL] = EXIT_HYPERCALL,
    [VMEXIT_INVD] = EXIT_WBINVD,      [VMEXIT_WBINVD] = EXIT_WBINVD,
    [VMEXIT_MONITOR] = EXIT_MONITOR,  [VMEXIT_MWAIT] = EXIT_MONITOR,
    [VMEXIT_MWAIT + 1] = EXIT_MONITOR, [VMEXIT_XSETBV] = EXIT_XSETBV,
    [VMEXIT_INVLPGA] = EXIT_VIRT_INSN,
};

static void translate_io(const struct vmcb *b, struct exit *x)
{
    u32 info = (u32)b->exitinfo1;

    x->reason = EXIT_IO;
    x->next_rip = b->exitinfo2;
    x->io.port = info >> 16;
    x->io.size = info >> 4 & 7;
    x->io.in = info & IOIO_IN;
    x->io.string = info & IOIO_STRING;
    x->io.rep = info & IOIO_REP;
}

static void translate_npf(const struct vmcb *b, struct exit *x)
{
    u64 info = b->exitinfo1;

    x->reason = EXIT_NESTED;
    x->nested.gpa = gpa(b->exitinfo2);
    x->nested.gva = gva(0);
    x->nested.access = (info & NPF_WRITE ? ACCESS_WRITE : 0) | (info & NPF_USER ? ACCESS_USER : 0) |
                       (info & NPF_EXEC ? ACCESS_EXEC : 0);
    x->nested.in_walk = info & NPF_IN_WALK;
    x->nested.present = info & NPF_PRESENT;
    x->nested.misconfig = false;
}

/* The entry was refused, or (in QEMU) a guest put reserved bits into CR3: that
 * too exits INVALID, in mid-guest. A third case is a state that the guest could
 * bring itself into, but VMRUN refuses; then QEMU has put the host's state into
 * the save area. Not inlined: its registers would be saved for all exits. */
static __attribute__((noinline)) void translate_invalid(struct svm_vcpu *s, struct exit *x)
{
    x->reason = EXIT_ENTRY_FAILED;
    if (svm_check(&s->copy, x))
        return;
    if (svm_holds_host_state(s->vmcb)) {
        x->fail.field = "the guest's state";
        x->fail.value = 0;
        x->fail.why = "the guest brought itself into a state that VMRUN does not enter";
        x->fail.section = "15.5.1";
        return;
    }
    x->reason = EXIT_CR;
    x->cr.n = 3;
    x->cr.write = true;
    x->cr.known = false;
}

static void translate_rest(u64 code, const struct vmcb *b, struct exit *x)
{
    if (code <= VMEXIT_CR15_WRITE) {
        x->reason = EXIT_CR;
        x->cr.n = code & 15;
        x->cr.write = code >= VMEXIT_CR0_WRITE;
        x->cr.known = false;
    } else if (code <= VMEXIT_DR15_WRITE) {
        x->reason = EXIT_DR;
        x->cr.n = code & 15;
        x->cr.write = code >= VMEXIT_DR0_READ + 16;
        x->cr.known = false;
    } else if (code <= VMEXIT_EXCP31) {
        x->reason = EXIT_EXCEPTION;
        x->exc.vector = code - VMEXIT_EXCP0;
        x->exc.error = (u32)b->exitinfo1;
        x->exc.addr = b->exitinfo2;
    } else if (code == VMEXIT_INVLPG) {
        x->reason = EXIT_INVLPG;
        x->invlpg.known = false;
    } else if (code >= VMEXIT_IDTR_READ && code <= VMEXIT_TR_WRITE) {
        x->reason = EXIT_DESCRIPTOR;
    } else if (code >= VMEXIT_VMRUN && code <= VMEXIT_SKINIT) {
        x->reason = EXIT_VIRT_INSN;
    } else {
        x->reason = EXIT_UNKNOWN;
    }
}

void svm_translate_pending(const struct vmcb *b, struct exit *x)
{
    u64 info = b->exitintinfo;

    x->pending = (struct event){.valid = true,
                                .type = info >> 8 & 7,
                                .vector = (u8)info,
                                .has_error = info & EVENT_ERROR_VALID,
                                .error = (u32)(info >> 32)};
}

void svm_translate_other(struct vcpu *v, const struct vmcb *b, struct exit *x)
{
    u64 code = x->code;

    if (code <= VMEXIT_EXCP31) {
        translate_rest(code, b, x);
    } else if (code == VMEXIT_IOIO) {
        translate_io(b, x);
    } else if (code == VMEXIT_NPF) {
        translate_npf(b, x);
    } else if (code == VMEXIT_MSR) {
        x->reason = EXIT_MSR;
        x->msr.write = b->exitinfo1 & 1;
    } else if ((u32)code == VMEXIT_INVALID) {
        translate_invalid(svm_of(v), x);
    } else if (code == EXIT_NOT_ENTERED) {
        x->reason = EXIT_INTR;
    } else {
        translate_rest(code, b, x);
    }
}
