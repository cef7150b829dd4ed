/*
 * The four lost-tick policies: what becomes of k ticks that fell due while the
 * guest could not take them, at the moment it can (reference: the table in
 * vtimer.h; the names are QEMU's). Counting ticks is vtimer.c's business,
 * booking them ledger.c's.
 */
#include "vmm/time/tick_policy.h"

#include "kernel/muldiv.h"
#include "kernel/todo.h"
#include "vmm/time/ledger.h"

#define SLEW_SHARE 7 /* at most so many owed ticks shorten the spacing */

static void discard_late(struct vtimer *t, u64 now)
{
    /* LAB 2 BEGIN: give up all late ticks. */
    u64 late = t->late;

    t->late = 0;
    ledger_dropped(t, late, now);
    /* LAB 2 END: todo(2, "2.5", t, now); */
}

static void merge_late(struct vtimer *t, u64 now)
{
    /* LAB 2 BEGIN: make one tick of all late ones: offer it, give up the others. */
    u64 late = t->late;

    if (!late)
        return;
    t->late = 0;
    t->offered = true;
    ledger_dropped(t, late - 1, now);
    /* LAB 2 END: todo(2, "2.5", t, now); */
}

static void delay_late(struct vtimer *t)
{
    /* LAB 2 BEGIN: offer one of the late ticks; the others stay in the backlog, untouched. */
    if (!t->late)
        return;
    t->late = 0;
    t->offered = true;
    /* LAB 2 END: todo(2, "2.5", t); */
}

/* The gap before the next owed tick in ns, when so many will be left. */
static u64 slew_spacing(const struct vtimer *t, u64 owed)
{
    /* LAB 2 BEGIN: a period, divided by min(owed, SLEW_SHARE) + 1, exactly, rounded down. */
    return muldiv(t->reload, NS_PER_SEC, PIT_HZ * (min_u64(owed, SLEW_SHARE) + 1));
    /* LAB 2 END: todo(2, "2.5", t, owed); */
}

/* Late ticks join the owed ones. The first is offered at once, each other
 * when its gap is over. */
static void slew_late(struct vtimer *t, u64 now)
{
    /* LAB 2 BEGIN: offer one if some are late or the gap is over; note when the next may go. */
    bool gap_over = t->backlog && now >= t->slew_next;

    if (!t->late && !gap_over)
        return;
    t->late = 0;
    t->offered = true;
    t->slew_next = add_capped(now, slew_spacing(t, t->backlog - 1));
    /* LAB 2 END: todo(2, "2.5", t, now, slew_spacing); */
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
