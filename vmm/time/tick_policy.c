/*
 * The four lost-tick policies: what becomes of k ticks that fell due while the
 * guest could not take them, at the moment it can (reference: the table in
 * vtimer.h; the names are QEMU's). Counting ticks is vtimer.c's business.
 */
#include "vmm/time/tick_policy.h"

#include "kernel/muldiv.h"

#define SLEW_SHARE 7 /* at most so many owed ticks shorten the spacing */

static void drop(struct vtimer *t, u64 now, u64 k)
{
    if (!k)
        return;
    t->backlog -= k;
    t->discarded += k;
    TRACE(timer_dropped, t->vm, 0, .ticks = k, .due = t->due, .delivered = t->delivered,
          .backlog = t->backlog, .discarded = t->discarded, .at = now);
}

static void discard_late(struct vtimer *t, u64 now)
{
    u64 late = t->late;

    t->late = 0;
    drop(t, now, late);
}

static void merge_late(struct vtimer *t, u64 now)
{
    u64 late = t->late;

    if (!late)
        return;
    t->late = 0;
    t->offered = true;
    drop(t, now, late - 1);
}

static void delay_late(struct vtimer *t)
{
    if (!t->late)
        return;
    t->late = 0;
    t->offered = true;
}

/* The gap before the next owed tick, when so many will be left. */
static u64 slew_spacing(const struct vtimer *t, u64 owed)
{
    return muldiv(t->reload, NS_PER_SEC, PIT_HZ * (min_u64(owed, SLEW_SHARE) + 1));
}

/* Late ticks join the owed ones. The first is offered at once, each other
 * when its gap is over. */
static void slew_late(struct vtimer *t, u64 now)
{
    bool gap_over = t->backlog && now >= t->slew_next;

    if (!t->late && !gap_over)
        return;
    t->late = 0;
    t->offered = true;
    t->slew_next = add_capped(now, slew_spacing(t, t->backlog - 1));
}

void tick_policy_apply(struct vtimer *t, u64 now)
{
    switch (t->policy) {
    case TICK_DISCARD:
        discard_late(t, now);
        break;
    case TICK_MERGE:
        merge_late(t, now);
        break;
    case TICK_DELAY:
        delay_late(t);
        break;
    case TICK_SLEW:
        slew_late(t, now);
        break;
    }
}
