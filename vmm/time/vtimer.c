/*
 * The virtual timer: counting the ticks of a guest's timer on the guest's own
 * clock. What becomes of ticks that came too late is decided in tick_policy.c;
 * the totals are kept in ledger.c, which leaves a record of each change.
 *
 * Rates are those of the 8254: 1193182 Hz through a 16-bit divider.
 */
#include "vmm/time/vtimer.h"

#include "kernel/muldiv.h"
#include "kernel/panic.h"
#include "kernel/todo.h"
#include "vmm/time/ledger.h"
#include "vmm/time/tick_policy.h"

#define NEVER (~0ull)

/* Ticks due since start. */
static u64 ticks_until(const struct vtimer *t, u64 now)
{
    if (now <= t->start)
        return 0;
    u64 n = muldiv(now - t->start, PIT_HZ, t->reload * NS_PER_SEC);
    return t->periodic ? n : min_u64(n, 1);
}

/* The first ns that is not before tick n. */
static u64 tick_time(const struct vtimer *t, u64 n)
{
    return add_capped(t->start, muldiv_up(n * t->reload, NS_PER_SEC, PIT_HZ));
}

void vtimer_init(struct vtimer *t, u16 vm, enum tick_policy policy, enum clock_view view)
{
    *t = (struct vtimer){.vm = vm, .policy = policy, .view = view, .next_due = NEVER};
}

static void trace_program(const struct vtimer *t, u64 now, u8 mode, u32 reload)
{
    TRACE(timer_program, t->vm, 0, .channel = 0, .mode = mode, .reload = reload, .start = now,
          .policy = t->policy, .view = t->view);
}

void vtimer_program(struct vtimer *t, u64 now, u8 mode, u32 reload)
{
    if (t->running)
        vtimer_advance(t, now, t->could_take);
    t->periodic = mode == 2 || mode == 3;
    t->running = t->periodic || mode == 0 || mode == 4;
    t->reload = reload;
    t->start = now;
    t->ticks = 0;
    t->next_due = t->running ? tick_time(t, 1) : NEVER;
    trace_program(t, now, mode, reload);
}

void vtimer_stop(struct vtimer *t, u64 now)
{
    if (!t->running)
        return;
    vtimer_advance(t, now, t->could_take);
    t->running = false;
    t->next_due = NEVER;
    trace_program(t, now, t->periodic ? 2 : 0, 0);
}

void vtimer_advance(struct vtimer *t, u64 now, bool could_take)
{
    /* LAB 2 BEGIN: book the ticks that fell due; offer the first of them or call them late. */
    t->could_take = could_take;
    if (now < t->next_due || !t->running)
        return;
    u64 ticks = ticks_until(t, now);
    u64 fell_due = ticks - t->ticks;
    bool on_time = could_take && !t->offered && !t->late;

    t->ticks = ticks;
    t->next_due = t->periodic ? tick_time(t, ticks + 1) : NEVER;
    t->running = t->periodic;
    t->offered |= on_time;
    t->late += fell_due - on_time;
    ledger_due(t, fell_due, now);
    /* LAB 2 END: todo(2, "2.4", t, now, could_take, ticks_until, tick_time); */
}

bool vtimer_deliver(struct vtimer *t, u64 now)
{
    /* LAB 2 BEGIN: count up to now, let the policy treat the backlog, say if a tick is offered. */
    vtimer_advance(t, now, t->could_take);
    if (!t->offered && t->backlog)
        tick_policy_apply(t, now);
    return t->offered;
    /* LAB 2 END: todo(2, "2.4", t, now); */
}

void vtimer_accept(struct vtimer *t, u64 now)
{
    /* LAB 2 BEGIN: count up to now, then book the offered tick as delivered. */
    vtimer_advance(t, now, t->could_take);
    ASSERT(t->offered);
    t->offered = false;
    ledger_delivered(t, now);
    /* LAB 2 END: todo(2, "2.4", t, now); */
}

u64 vtimer_next(const struct vtimer *t, u64 now)
{
    /* LAB 2 BEGIN: when it must be looked at again, as vtimer.h says. */
    if (t->offered || t->late)
        return NEVER;
    if (t->policy == TICK_SLEW && t->backlog)
        return min_u64(t->next_due, max_u64(t->slew_next, now));
    return t->next_due;
    /* LAB 2 END: todo(2, "2.4", t, now); */
}
