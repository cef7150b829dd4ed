/*
 * A virtual processor: the state that the VMM keeps for it, and running it.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include "vmm/cpubits.h"
#include "vmm/hv.h"
#include "vmm/mmu/walk.h"

struct vm;
struct boot_state;

/* Why vcpu_run() returned. */
enum vcpu_stop { STOP_NONE, STOP_SLICE, STOP_WAKE, STOP_BLOCKED, STOP_YIELD, STOP_ENDED };

/* READY: it could run, but another vCPU does. */
enum vcpu_state { VCPU_READY, VCPU_RUNNING, VCPU_BLOCKED };

struct fpu_state {
    u8 fxsave[512];
} __attribute__((aligned(16)));

struct vcpu {
    /* The world switch addresses these by offset (world_switch.inc): keep first. */
    u64 gpr[GPR_COUNT];
    u64 rip, rflags;

    struct vm *vm;
    u16 vm_id; /* the VM's number: backends need no more of it */
    u8 id;
    u64 who;   /* trace_who() of it */
    void *backend;    /* the backend's own, for example struct svm_vcpu */
    struct hv_ctl ctl;
    bool ctl_changed; /* configure() before the next entry; with attention */

    /* Registers that only a change of vCPU saves and loads. */
    u64 dr[4]; /* 0 to 3 */
    struct fpu_state fpu;

    struct event inject;    /* an exception to be delivered at the next entry */
    struct event interrupt; /* accepted from the PIC, to be delivered when it can be */
    u8 shadow;           /* an STI or MOV SS just before: no interrupt yet */
    /* Before the next entry, look: events, timers, settings, a yield, the end. */
    bool attention;
    enum vcpu_state state;
    bool yield;
    bool loaded;         /* its state is the processor's: between load and save */
    u64 exits;
    u64 tsc_written; /* what the guest added to its TSC by writing it */
    const char *breaks; /* a consistency check to violate, or NULL (svm_break.c) */
};

int vcpu_init(struct vcpu *, struct vm *, u8 id);
void vcpu_fini(struct vcpu *);
/* The registers at its first instruction, as the image wants them (vcpu_reset.c). */
void vcpu_reset(struct vcpu *, const struct boot_state *);
/* Run until virtual time `until` at the latest; wake: another VM's business
 * is due then. */
enum vcpu_stop vcpu_run(struct vcpu *, u64 until, u64 wake);

/* It waits for an interrupt: it leaves the CPU when it is next looked at. */
void vcpu_block(struct vcpu *, enum block_why);

/* Deliver an exception to the guest instead of going on. */
void vcpu_raise(struct vcpu *, u8 vector, bool has_error, u32 error);
static inline void vcpu_raise_ud(struct vcpu *v)
{
    vcpu_raise(v, 6, false, 0);
}
static inline void vcpu_raise_gp(struct vcpu *v)
{
    vcpu_raise(v, 13, true, 0);
}
void vcpu_raise_pf(struct vcpu *, u64 cr2, u32 error);
/* The instruction is done: go on behind it, single-step and shadow as the
 * processor would. */
void vcpu_advance_slow(struct vcpu *);
static inline void vcpu_advance(struct vcpu *v, u64 len)
{
    v->rip += len;
    v->shadow = 0;
    if (__builtin_expect(v->rip >> 32 || v->rflags & RFLAGS_TF, 0))
        vcpu_advance_slow(v);
}

/* How the guest's paging is set now, for walks. */
struct guest_paging vcpu_paging(struct vcpu *);
u8 vcpu_mode(struct vcpu *); /* 2, 4 or 8: the default of the running code */
u8 vcpu_cpl(struct vcpu *);
static inline bool vcpu_protected(struct vcpu *v) /* in protected mode, and not virtual-8086 */
{
    return hv_get(v, HV_CR0) & CR0_PE && !(v->rflags & RFLAGS_VM);
}

/* Could the guest take an interrupt now? */
static inline bool vcpu_can_take(const struct vcpu *v)
{
    return v->rflags & RFLAGS_IF && !v->inject.valid && !v->shadow;
}
/* and is there none on its way already? */
static inline bool vcpu_interruptible(const struct vcpu *v)
{
    return vcpu_can_take(v) && !v->interrupt.valid;
}

#endif
