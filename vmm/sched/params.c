/*
 * What VMs may ask the schedulers for: defaults, what is refused and why, and
 * parameters that were set and wait for the next decision.
 * Ranges: handouts/formats.md section 4; admission is the scheduler's.
 */
#include "kernel/format.h"
#include "vmm/sched/sched.h"

#define MS 1000000ull

/* bvt: what a VM may borrow at most, in MCUs of its own run time (100 ms); and the
 * shortest time for which it warps or does not: the smallest run that is charged. */
#define MOST_BORROWED 1000ull
#define SHORTEST_WARP 100000ull /* ns */

const struct sched_params sched_defaults = {
    .weight = 256,
    .slice = 5 * MS,
    .period = 100 * MS,
    .extratime = 1,
    .mcu_adv = 10,
    .warpl = 2 * NS_PER_SEC,
    .warpu = NS_PER_SEC,
};

static const struct {
    const char *name, *range;
    size_t offset;
    u64 low, high;
} ranges[] = {
#define RANGE(name, unit, low, high, words)                                                        \
    {#name, words, offsetof(struct sched_params, name), low, high},
    SCHED_PARAMS(RANGE)
#undef RANGE
};

static int check_ranges(const struct sched_params *p, char *why, size_t why_size)
{
    for (u32 i = 0; i < ARRAY_SIZE(ranges); i++) {
        u64 value = *(const u64 *)((const u8 *)p + ranges[i].offset);
        if (value >= ranges[i].low && value <= ranges[i].high)
            continue;
        format(why, why_size, "%s=%lu is out of range: %s", ranges[i].name, value, ranges[i].range);
        return -EINVAL;
    }
    return 0;
}

static int check_warp_time(const char *name, u64 value, char *why, size_t why_size)
{
    if (value == 0 || value >= SHORTEST_WARP)
        return 0;
    format(why, why_size, "%s=%lu is refused: 0s, or at least 100us, the smallest run that costs",
           name, value);
    return -EINVAL;
}

static int check_warp(const struct sched_params *p, char *why, size_t why_size)
{
    int err = check_warp_time("warpl", p->warpl, why, why_size);
    u64 most = MOST_BORROWED * p->mcu_adv;

    if (!err)
        err = check_warp_time("warpu", p->warpu, why, why_size);
    if (err || p->warp <= most)
        return err;
    format(why, why_size,
           "warp=%lu is refused: at most 1000 times mcu_adv, here %lu, so that nobody borrows "
           "more than 100 ms of run time",
           p->warp, most);
    return -EINVAL;
}

int sched_check(const struct sched_params *p, char *why, size_t why_size)
{
    int err = check_ranges(p, why, why_size);

    if (!err && p->extratime > 1) {
        format(why, why_size, "extratime=%u is out of range: 0 to 1", p->extratime);
        err = -EINVAL;
    }
    if (!err && p->slice > p->period) {
        format(why, why_size, "a slice of %lu ns is longer than its period of %lu ns", p->slice,
               p->period);
        err = -EINVAL;
    }
    return err ? err : check_warp(p, why, why_size);
}

int sched_admit(const struct sched_ops *ops, const struct sched_unit *u,
                const struct sched_params *p, char *why, size_t why_size)
{
    int err = sched_check(p, why, why_size);

    if (err || !ops->admits || ops->admits(u, p))
        return err;
    format(why, why_size,
           "a slice of %lu ns in each %lu ns is refused: with those of the other VMs it would "
           "be more than the whole CPU",
           p->slice, p->period);
    return -EINVAL;
}

int sched_add(const struct sched_ops *ops, struct sched_unit *u, u64 now, char *why,
              size_t why_size)
{
    int err = sched_admit(ops, u, &u->params, why, why_size);

    if (!err)
        ops->add(u, now);
    return err;
}

int sched_set(const struct sched_ops *ops, struct sched_unit *u, const struct sched_params *p,
              u64 now, char *why, size_t why_size)
{
    int err = sched_admit(ops, u, p, why, why_size);

    if (!err)
        ops->set(u, p, now);
    return err;
}

/* --- Changes ---------------------------------------------------------------------------- */

void changes_note(struct sched_changes *c, struct sched_unit *u, const struct sched_params *p)
{
    u->asked = *p;
    if (u->changes)
        return;
    u->changes = true;
    u->next_change = c->first;
    c->first = u;
}

void changes_forget(struct sched_changes *c, struct sched_unit *u)
{
    struct sched_unit **at = &c->first;

    if (!u->changes)
        return;
    while (*at != u)
        at = &(*at)->next_change;
    *at = u->next_change;
    u->changes = false;
}

void changes_apply(struct sched_changes *c, void (*change)(struct sched_unit *, u64 now), u64 now)
{
    while (c->first) {
        struct sched_unit *u = c->first;
        c->first = u->next_change;
        u->changes = false;
        u->params = u->asked;
        change(u, now);
    }
}
