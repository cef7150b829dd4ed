/*
 * A VM's view of time: wall (all of it) or apparent (without the time during
 * which it was ready, but another VM ran).
 *
 * A guest that waits in HLT lets time pass for itself: that is no stolen time.
 */
#ifndef VMM_TIME_VCLOCK_H
#define VMM_TIME_VCLOCK_H

#include "kernel/trace.h"
#include "kernel/types.h"

struct vclock {
    u64 born;        /* host ns when the VM was created */
    u64 stolen;      /* ns stolen in all, up to the last accounting */
    u64 ready_since; /* host ns since when it waits for the CPU; ~0: it does not */
};

void vclock_init(struct vclock *, u64 host_now);
/* The vCPU became ready without running; it began to run (or it blocked, or
 * ended): time in between is stolen. */
void vclock_ready(struct vclock *, u64 host_now);
void vclock_unready(struct vclock *, u64 host_now);
/* The VM's time in ns since it was created, as that view shows it. */
u64 vclock_ns(const struct vclock *, enum clock_view, u64 host_now);
/* The host time at which the VM's clock will show vm_ns, if it runs (or
 * waits in HLT) from now on. */
u64 vclock_host_ns(const struct vclock *, enum clock_view, u64 vm_ns);
/* The offset that makes the guest's TSC = host TSC + offset start at 0 and
 * leave out what the view hides. In TSC ticks, modulo 2^64. */
u64 vclock_tsc_offset(const struct vclock *, enum clock_view);

#endif
