/*
 * What the files of the SVM backend share. Nobody else includes it.
 */
#ifndef VMM_SVM_SVM_H
#define VMM_SVM_SVM_H

#include "vmm/svm/vmcb.h"
#include "vmm/vcpu.h"

struct svm_vcpu {
    struct vmcb *vmcb;
    bool on_shadow;   /* it runs on ctl.shadow_root: these three are the guest's own, */
    u64 cr0, cr3, cr4; /* of CR0 and CR4 the bits that differ (svm_paging.c) */
    bool changed;     /* the VMM wrote the state save area since the last exit */
    bool look;        /* one of these two: the next exit is looked at */
    bool injected;    /* an event goes in at the next entry */
    bool fenced;      /* it runs behind ctl.fence_root */
    struct vmcb copy; /* what was entered with, then: a refused entry spoils it */
};

static inline struct svm_vcpu *svm_of(struct vcpu *v)
{
    return v->backend;
}

/* The world switch (svm_run.S): loads the general registers at gpr but RAX and
 * RSP, enters the guest, stores them. */
void svm_enter(u64 *gpr, hpa_t vmcb);
/* The same, and a panic if it does not keep the host's registers (svm_verified.S). */
void svm_enter_verified(u64 *gpr, hpa_t vmcb);
void svm_verify(void);
/* In its place as long as there is none (svm_todo.c). */
_Noreturn void svm_enter_missing(void);

/* The reasons that follow from the exit code alone; 0: the others (svm_exit.c). */
extern const u8 svm_plain[256];
void svm_translate_other(struct vcpu *, const struct vmcb *, struct exit *);
/* An event whose delivery the exit broke off, 15.7.2. */
void svm_translate_pending(const struct vmcb *, struct exit *);

/* The hardware's exit in neutral words. Inline: each exit comes this way. */
static inline void svm_translate(struct vcpu *v, const struct vmcb *b, struct exit *x)
{
    u64 code = b->exitcode;

    x->rip = b->rip;
    x->next_rip = 0;
    x->insn_len = 0;
    x->code = code;
    x->info1 = b->exitinfo1;
    x->info2 = b->exitinfo2;
    x->reason = EXIT_NONE;
    if (__builtin_expect(code < ARRAY_SIZE(svm_plain), 1))
        x->reason = svm_plain[code];
    if (x->reason == EXIT_NONE)
        svm_translate_other(v, b, x);
    x->pending.valid = false;
    if (__builtin_expect(b->exitintinfo & EVENT_VALID, 0)) /* else it is stale */
        svm_translate_pending(b, x);
}

/* Was the save area overwritten with the host's state by a refused entry? */
bool svm_holds_host_state(const struct vmcb *);

/* Which rule does this control block break? Fills exit->fail; false: none
 * (svm_check.c). */
bool svm_check(const struct vmcb *, struct exit *);

/* Break one rule on purpose, for study and tests; false: no such name
 * (svm_break.c). */
bool svm_break(struct vmcb *, const char *name);

/* The guest's registers: where they are, and on a shadow root what it sees of CR0, CR3
 * and CR4 (svm_paging.c). */
u64 svm_paging_reg(struct vcpu *, enum hv_reg, const u64 *set);
/* ctl.shadow_root and ctl.fence_root into the control block. */
void svm_paging_configure(struct vcpu *);
/* An exit from behind a fence is a task switch if there was one before it. */
void svm_paging_after(const struct vmcb *, struct exit *);

/* The permission maps, shared by all vCPUs (svm_maps.c). */
hpa_t svm_io_map(void);
hpa_t svm_msr_map(void);

#endif
