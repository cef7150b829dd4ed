/*
 * What becomes of an exit: one table, reason to handler.
 */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

#include "vmm/vcpu.h"

typedef void exit_handler(struct vcpu *, const struct exit *);
extern exit_handler *const exit_handlers[]; /* by enum exit_reason */

enum { VECTOR_DF = 8, VECTOR_PF = 14 };

/* Handle it: the guest can go on, or vm->alive is false. */
static inline void exit_handle(struct vcpu *v, const struct exit *x)
{
    exit_handlers[x->reason](v, x);
}

/* The handlers that have files of their own. */
void exit_cpuid(struct vcpu *, const struct exit *);
void exit_io(struct vcpu *, const struct exit *);
void exit_msr(struct vcpu *, const struct exit *);
void exit_descriptor(struct vcpu *, const struct exit *);
void exit_dr(struct vcpu *, const struct exit *);
void exit_cr(struct vcpu *, const struct exit *);
void exit_nested(struct vcpu *, const struct exit *);
void exit_invlpg(struct vcpu *, const struct exit *);
/* Nobody asked for it, or only exits= did: the VM's end. */
void exit_unknown(struct vcpu *, const struct exit *);

/* The length of the instruction at rip when the processor did not say it:
 * what the exit reason implies, or decoded. */
u8 exit_insn_len(struct vcpu *, const struct exit *, u8 implied);

#endif
