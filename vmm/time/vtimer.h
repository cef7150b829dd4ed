/*
 * The virtual timer: which ticks of a guest's timer are due, and what becomes
 * of those that it could not take (the four lost-tick policies).
 *
 * It knows no PIT and no PIC: pit.c programs it, vcpu_events.c advances it and puts
 * its ticks onto line 0. Times are ns of the VM's own clock (vclock.h).
 *
 * Always: delivered + backlog + discarded = due.
 *
 * A tick is due at start + n x reload / 1193182 s exactly (128-bit integers).
 * It can be *taken on time* if, at that instant, the guest runs with
 * interrupts on (or waits in HLT with interrupts on), the line is neither
 * masked nor outranked, and no earlier tick is waiting for acceptance: then it
 * is offered at once, and stays offered until accepted. All others are *late*.
 * What becomes of k late ticks at the moment the guest can take one:
 *   discard  all k are discarded (backlog 0)
 *   merge    1 is offered, k - 1 discarded
 *   delay    1 is offered, the others stay in the backlog for ever: the guest
 *            stays behind by so many; later ticks come at the normal rate
 *   slew     1 is offered, the others follow, one every
 *            period / (min(backlog, 7) + 1), until the backlog is gone
 * While a tick is offered, that moment has not come: the guest takes the
 * offered one first.
 */
#ifndef VMM_TIME_VTIMER_H
#define VMM_TIME_VTIMER_H

#include "kernel/trace.h"
#include "kernel/types.h"

#define PIT_HZ 1193182ull

struct vtimer {
    u16 vm;
    enum tick_policy policy;
    enum clock_view view;  /* for the trace */
    bool running, periodic;
    u32 reload;            /* PIT clocks per period, 1 to 65536 */
    u64 start;             /* ns at which the period began to count */
    u64 ticks;             /* due since start */
    u64 next_due;          /* when tick number ticks + 1 falls due; ~0: never */
    u64 due, delivered, backlog, discarded; /* totals since the VM was made */
    u64 late;              /* of the backlog: not yet treated by the policy */
    bool offered;          /* one of the backlog waits for acceptance */
    bool could_take;       /* as of the last vtimer_advance() */
    u64 slew_next;         /* slew: when the next owed tick may be offered */
};

void vtimer_init(struct vtimer *, u16 vm, enum tick_policy, enum clock_view);
/* A new rate from now on: an offered tick stays offered; late and owed ticks
 * stay owed (slew takes up the new spacing with the next tick that it offers).
 * mode as in the 8254: 2 and 3 tick for ever, 0 and 4 once, 1 and 5 wait for a
 * gate that channel 0 does not have. Traces timer_program. */
void vtimer_program(struct vtimer *, u64 now, u8 mode, u32 reload);
/* No tick falls due any more. Traces timer_program with reload 0. */
void vtimer_stop(struct vtimer *, u64 now);
/* Count the ticks due up to now. could_take: whether the guest could have
 * taken one at those instants (nothing about it changed since the last call).
 * The other functions count what fell due since then by the same answer. */
void vtimer_advance(struct vtimer *, u64 now, bool could_take);
/* The guest can take a tick now (runs or waits in HLT, interrupts on, line not
 * masked nor outranked): apply the policy to late ticks; true if a tick is
 * now offered: raise the line. */
bool vtimer_deliver(struct vtimer *, u64 now);
/* The guest accepted the offered tick (PIC acknowledged, event injected). */
void vtimer_accept(struct vtimer *, u64 now);
/* The next time at which something changes by itself (a tick falls due, an
 * owed one may be offered), not before now; ~0: never. Also ~0 while a tick is
 * offered or late ones wait: whatever falls due then is late too and is counted
 * at the next call, so what comes next is vtimer_accept() or vtimer_deliver().
 * A guest that never takes its ticks thus costs no real timer interrupt. */
u64 vtimer_next(const struct vtimer *, u64 now);
static inline bool vtimer_balanced(const struct vtimer *t)
{
    return t->delivered + t->backlog + t->discarded == t->due;
}

#endif
