/*
 * Calling a scheduler so that the trace can repeat it: each call is recorded
 * with the time it carries. The VMM and the simulator call through here.
 */
#ifndef VMM_SCHED_CALLS_H
#define VMM_SCHED_CALLS_H

#include "kernel/trace.h"
#include "vmm/sched/sched.h"

void call_init(const struct sched_ops *, const struct sched_setup *);
/* 0, or -EINVAL with a sentence: its parameters are refused. */
int call_add(const struct sched_ops *, struct sched_unit *, u64 now, char *why, size_t why_size);
int call_set(const struct sched_ops *, struct sched_unit *, const struct sched_params *, u64 now,
             char *why, size_t why_size);
void call_remove(const struct sched_ops *, struct sched_unit *, u64 now);
void call_wake(const struct sched_ops *, struct sched_unit *, u64 now);
void call_block(const struct sched_ops *, struct sched_unit *, u64 now);
/* The record of a decision; prev: who ran on that CPU before it, or NULL. */
void call_trace_pick(const struct sched_ops *, const struct sched_choice *, u32 cpu,
                     const struct sched_unit *prev, enum sched_why, u64 now);

/* The three calls on the way from one VM to another are inline. */
static inline void call_timer(const struct sched_ops *ops, struct sched_unit *u, u64 now)
{
    TRACE(sched_call, u->vm, u->vcpu, .at = now, .call = CALL_TIMER);
    ops->timer(u, now);
}

static inline void call_charge(const struct sched_ops *ops, struct sched_unit *u, u64 ran, u64 now)
{
    ops->charge(u, ran, now);
    TRACE(sched_charge, u->vm, u->vcpu, .ran = ran, .total = u->ran, .at = now);
}

static inline struct sched_choice call_pick(const struct sched_ops *ops, u32 cpu,
                                            const struct sched_unit *prev, enum sched_why why,
                                            u64 now)
{
    struct sched_choice c = ops->pick(cpu, now);

    if (trace_wanted(EVENT_sched_pick))
        call_trace_pick(ops, &c, cpu, prev, why, now);
    return c;
}

#endif
