/*
 * What is due between two entries: ticks and interrupts of one vCPU.
 */
#ifndef VMM_VCPU_EVENTS_H
#define VMM_VCPU_EVENTS_H

#include "vmm/vm.h"

#define TICK_LINE 0 /* of the PIC */

/* Bring the virtual timer up to now (host ns), put an interrupt into
 * vcpu->interrupt or ask for a window, arm the real timer for what comes next. */
void vcpu_events(struct vcpu *, u64 now, u64 until);
/* Account for the ticks due so far, as the vCPU's state was until now: before
 * that state changes (it goes off the CPU, blocks, or programs its timer). */
void vcpu_count_ticks(struct vcpu *, u64 now);
static inline void vcpu_ticks(struct vcpu *v, u64 now)
{
    if (v->vm->timer.running)
        vcpu_count_ticks(v, now);
}
/* The tick on its line was acknowledged, by the processor or by polling. */
void vcpu_accept_tick(struct vcpu *, u64 now);
/* Has a blocked vCPU a reason to go on? */
bool vcpu_wakes(struct vcpu *, u64 now);
/* The host time at which to look at its timer next; ~0: never. */
u64 vcpu_timer_next(struct vcpu *, u64 now);
static inline u64 vcpu_next_tick(struct vcpu *v, u64 now)
{
    const struct vtimer *t = &v->vm->timer;

    return t->running || t->backlog ? vcpu_timer_next(v, now) : ~0ull;
}
/* The VM's clock as its PIT shows it, in ns. */
u64 vm_pit_ns(struct vm *, u64 now);

#endif
