/*
 * The records of a scheduler's calls: see calls.h. What a scheduler itself
 * knows of who was chosen, and of who was not any more, follows each decision.
 */
#include "vmm/sched/calls.h"

void call_init(const struct sched_ops *ops, const struct sched_setup *setup)
{
    TRACE_TEXT(sched_start, 0, 0, ops->name, .slice = setup->slice);
    TRACE(sched_setup, 0, 0, .cpus = setup->cpus, .charging = setup->charge);
    ops->init(setup);
}

/* The fields of sched_add and sched_set. */
#define PARAMS(p)                                                                                  \
    .weight = (p)->weight, .cap = (p)->cap, .slice = (p)->slice, .period = (p)->period,            \
    .extratime = (p)->extratime, .extraweight = (p)->extraweight, .mcu_adv = (p)->mcu_adv,         \
    .warp = (p)->warp, .warpl = (p)->warpl, .warpu = (p)->warpu

int call_add(const struct sched_ops *ops, struct sched_unit *u, u64 now, char *why, size_t why_size)
{
    int err = sched_add(ops, u, now, why, why_size);

    if (!err)
        TRACE(sched_add, u->vm, u->vcpu, .at = now, PARAMS(&u->params));
    return err;
}

int call_set(const struct sched_ops *ops, struct sched_unit *u, const struct sched_params *p,
             u64 now, char *why, size_t why_size)
{
    int err = sched_set(ops, u, p, now, why, why_size);

    if (!err)
        TRACE(sched_set, u->vm, u->vcpu, .at = now, PARAMS(p));
    return err;
}

void call_remove(const struct sched_ops *ops, struct sched_unit *u, u64 now)
{
    TRACE(sched_remove, u->vm, u->vcpu, .at = now);
    ops->remove(u, now);
}

void call_wake(const struct sched_ops *ops, struct sched_unit *u, u64 now)
{
    TRACE(sched_call, u->vm, u->vcpu, .at = now, .call = CALL_WAKE);
    ops->wake(u, now);
}

void call_block(const struct sched_ops *ops, struct sched_unit *u, u64 now)
{
    TRACE(sched_call, u->vm, u->vcpu, .at = now, .call = CALL_BLOCK);
    ops->block(u, now);
}

void call_trace_pick(const struct sched_ops *ops, const struct sched_choice *c, u32 cpu,
                     const struct sched_unit *prev, enum sched_why why, u64 now)
{
    const struct sched_reason r = ops->reason(cpu);
    const struct sched_unit *u = c->unit;

    TRACE(sched_pick, u ? u->vm : 0, u ? u->vcpu : 0, .prev = prev ? prev->vm : 0,
          .why = u ? why : WHY_IDLE, .until = c->until, .key = (u64)r.key,
          .other = r.other ? r.other->vm : 0, .other_key = (u64)r.other_key, .runnable = r.runnable,
          .at = now, .cpu = cpu, .other_vcpu = r.other ? r.other->vcpu : 0);
    if (!ops->report)
        return;
    if (u)
        ops->report(u);
    if (prev && prev != u)
        ops->report(prev);
}
