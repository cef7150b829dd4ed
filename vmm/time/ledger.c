/*
 * The ledger of a virtual timer's ticks: it adds up and leaves records, and
 * decides nothing.
 */
#include "vmm/time/ledger.h"

#include "kernel/panic.h"

void ledger_due(struct vtimer *t, u64 n, u64 now)
{
    t->due += n;
    t->backlog += n;
    TRACE(timer_due, t->vm, 0, .ticks = n, .due = t->due, .delivered = t->delivered,
          .backlog = t->backlog, .discarded = t->discarded, .at = now);
}

void ledger_delivered(struct vtimer *t, u64 now)
{
    ASSERT(t->backlog);
    t->backlog--;
    t->delivered++;
    TRACE(timer_delivered, t->vm, 0, .ticks = 1, .due = t->due, .delivered = t->delivered,
          .backlog = t->backlog, .discarded = t->discarded, .at = now);
}

void ledger_dropped(struct vtimer *t, u64 n, u64 now)
{
    if (!n)
        return;
    ASSERT(n <= t->backlog);
    t->backlog -= n;
    t->discarded += n;
    TRACE(timer_dropped, t->vm, 0, .ticks = n, .due = t->due, .delivered = t->delivered,
          .backlog = t->backlog, .discarded = t->discarded, .at = now);
}
