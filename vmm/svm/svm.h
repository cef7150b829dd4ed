/*
 * What the files of the SVM backend share. Nobody else includes it.
 */
#ifndef VMM_SVM_SVM_H
#define VMM_SVM_SVM_H

#include "vmm/svm/vmcb.h"
#include "vmm/vcpu.h"

struct svm_vcpu {
    struct vmcb *vmcb;
    bool changed;     /* the VMM wrote the state save area since the last exit */
    bool injected;    /* an event goes in at the next entry */
    struct vmcb copy; /* what was entered with, then: a refused entry spoils it */
};

static inline struct svm_vcpu *svm_of(struct vcpu *v)
{
    return v->backend;
}

/* The world switch (svm_run.S): loads the general registers at gpr but RAX and
 * RSP, enters the guest, stores them. */
void svm_enter(u64 *gpr, hpa_t vmcb);

/* The hardware's exit in neutral words (svm_exit.c). */
void svm_translate(struct vcpu *, struct exit *);

/* Was the save area overwritten with the host's state by a refused entry? */
bool svm_holds_host_state(const struct vmcb *);

/* Which rule does this control block break? Fills exit->fail; false: none
 * (svm_check.c). */
bool svm_check(const struct vmcb *, struct exit *);

/* Break one rule on purpose, for study and tests; false: no such name
 * (svm_break.c). */
bool svm_break(struct vmcb *, const char *name);

/* The permission maps, shared by all vCPUs (svm_maps.c). */
hpa_t svm_io_map(void);
hpa_t svm_msr_map(void);

#endif
