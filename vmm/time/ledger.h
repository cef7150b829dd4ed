/*
 * The ledger of a virtual timer's ticks: each change of the four totals is made
 * here, and is one trace record. What to book is vtimer.c's and tick_policy.c's.
 *
 * A tick is booked as due once, joins the backlog by that, and leaves it once:
 * delivered or discarded. So always: delivered + backlog + discarded = due.
 */
#ifndef VMM_TIME_LEDGER_H
#define VMM_TIME_LEDGER_H

#include "vmm/time/vtimer.h"

/* n ticks fell due up to now (ns of the VM's clock); traces timer_due. */
void ledger_due(struct vtimer *, u64 n, u64 now);
/* The guest accepted one of the backlog; traces timer_delivered. */
void ledger_delivered(struct vtimer *, u64 now);
/* n of the backlog are given up (0: nothing happens); traces timer_dropped.
 * Booking more than the backlog holds, here or above, is a panic. */
void ledger_dropped(struct vtimer *, u64 n, u64 now);

#endif
