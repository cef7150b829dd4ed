/*
 * A VM's view of time, from four events of its life: it was created, became
 * ready, ran again, and was asked for the time. It reads no clock itself.
 */
#include "vmm/time/vclock.h"

#include "kernel/clock.h"
#include "kernel/muldiv.h"
#include "kernel/todo.h"

#define NOT_READY (~0ull)

void vclock_init(struct vclock *c, u64 host_now)
{
    *c = (struct vclock){.born = host_now, .ready_since = NOT_READY};
}

void vclock_ready(struct vclock *c, u64 host_now)
{
    /* LAB 2 BEGIN: the wait for the CPU begins, unless it lasts already. */
    if (c->ready_since == NOT_READY)
        c->ready_since = host_now;
    /* LAB 2 END: todo(2, "2.1", c, host_now); */
}

void vclock_unready(struct vclock *c, u64 host_now)
{
    /* LAB 2 BEGIN: the wait, if there was one, is over: it was stolen time. */
    if (c->ready_since == NOT_READY)
        return;
    c->stolen += host_now - c->ready_since;
    c->ready_since = NOT_READY;
    /* LAB 2 END: todo(2, "2.1", c, host_now); */
}

/* What that view leaves out, without the wait that lasts now. */
static u64 hidden(const struct vclock *c, enum clock_view view)
{
    return view == CLOCK_APPARENT ? c->stolen : 0;
}

u64 vclock_ns(const struct vclock *c, enum clock_view view, u64 host_now)
{
    /* LAB 2 BEGIN: all of the time since it was born, or without the waits, the present one too. */
    u64 until = host_now;

    if (view == CLOCK_APPARENT && c->ready_since != NOT_READY)
        until = c->ready_since; /* it stands still while the VM waits */
    return until - c->born - hidden(c, view);
    /* LAB 2 END: todo(2, "2.1", c, view, host_now, hidden); */
}

u64 vclock_host_ns(const struct vclock *c, enum clock_view view, u64 vm_ns)
{
    /* LAB 2 BEGIN: the inverse of vclock_ns() for a VM that does not wait. */
    return add_capped(c->born + hidden(c, view), vm_ns);
    /* LAB 2 END: todo(2, "2.1", c, view, vm_ns, hidden); */
}

u64 vclock_tsc_offset(const struct vclock *c, enum clock_view view)
{
    /* LAB 2 BEGIN: minus the host's TSC at which this view's clock would have shown 0. */
    return 0 - (clock_base + clock_ns_to_tsc(c->born + hidden(c, view)));
    /* LAB 2 END: todo(2, "2.1", c, view, hidden); */
}
