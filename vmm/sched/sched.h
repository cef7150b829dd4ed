/*
 * The schedulers' interface: who runs next on a CPU, and until when.
 *
 * Pure C without hardware: the same code runs in the VMM and on a developer's
 * host. A scheduler sees only these calls and their time stamps, so a list of
 * them replays a live run. Time is u64 ns of virtual time.
 */
#ifndef VMM_SCHED_H
#define VMM_SCHED_H

#include "kernel/types.h"

#define SCHED_MAX_UNITS 64

/* What is scheduled: one vCPU. Owned by the vCPU, filled by the scheduler. */
struct sched_unit {
    u16 vm;
    u8 vcpu;
    bool runnable;
    u64 weight;
    u64 ran;   /* ns charged in all */
    u64 turn;  /* round robin: the number of its place in the queue */
    u64 since; /* when it was queued */
    bool gave_up; /* it was queued because it gave up the CPU */
    struct sched_unit *prev, *next;
};

struct sched_choice {
    struct sched_unit *unit;  /* NULL: idle */
    u64 until;                /* the latest time of the next decision; ~0: none */
    s64 key;                  /* the values compared, for the trace */
    struct sched_unit *other; /* the best one not chosen, or NULL */
    s64 other_key;
    u32 runnable;
};

/* After each call but charge, ask pick again. A call that changes nothing
 * (waking what is runnable, blocking what is not) is harmless. Ties: the one
 * queued earlier first; of those queued in the same instant, one that gave up
 * the CPU (by yielding, or at its slice's end) last; then the lower VM number,
 * then vCPU number. The order of the calls in one instant does not matter. */
struct sched_ops {
    const char *name;
    void (*init)(u64 slice_ns);
    void (*add)(struct sched_unit *, u64 now);    /* runnable at once */
    void (*remove)(struct sched_unit *, u64 now);
    void (*wake)(struct sched_unit *, u64 now);
    void (*block)(struct sched_unit *, u64 now);
    void (*yield)(struct sched_unit *, u64 now);  /* to the end of the queue */
    void (*charge)(struct sched_unit *, u64 ran, u64 now);
    struct sched_choice (*pick)(u64 now);
};

extern const struct sched_ops sched_rr;
extern const struct sched_ops *const sched_all[]; /* ends with NULL */

/* By name, or NULL. */
const struct sched_ops *sched_find(const char *name, size_t len);

#endif
