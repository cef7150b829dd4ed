/*
 * Virtual ticks and interrupts on their way into the guest. The policies are
 * time/vtimer.c's, priorities dev/pic.c's; this decides when they are asked.
 * Source: Smith & Nair, Virtual Machines, ch. 8; AMD64 Manual vol. 2, 15.21.
 */
#include "vmm/vcpu_events.h"
#include "kernel/clock.h"
#include "kernel/lapic.h"

u64 vm_pit_ns(struct vm *vm, u64 now)
{
    return vclock_ns(&vm->clock, vm->args.pit, now);
}

/* Is the tick's line free, and would the guest take it? */
static bool can_take_tick(const struct vcpu *v)
{
    return v->state != VCPU_READY && v->rflags & RFLAGS_IF &&
           pic_would_deliver(&v->vm->pic, TICK_LINE);
}

void vcpu_count_ticks(struct vcpu *v, u64 now)
{
    vtimer_advance(&v->vm->timer, vm_pit_ns(v->vm, now), can_take_tick(v));
}

/* This and accept() are rare, and would cost all others registers if inlined. */
static __attribute__((noinline)) void offer_tick(struct vcpu *v, u64 now)
{
    struct vm *vm = v->vm;

    if (!vm->timer.offered && can_take_tick(v) && !v->shadow &&
        vtimer_deliver(&vm->timer, vm_pit_ns(vm, now)))
        pic_set_line(&vm->pic, TICK_LINE, true);
    else if (vm->timer.offered)
        pic_set_line(&vm->pic, TICK_LINE, true);
}

void vcpu_accept_tick(struct vcpu *v, u64 now)
{
    struct vm *vm = v->vm;

    if (!vm->timer.offered)
        return;
    pic_set_line(&vm->pic, TICK_LINE, false);
    vtimer_accept(&vm->timer, vm_pit_ns(vm, now));
}

static __attribute__((noinline)) void accept(struct vcpu *v, u64 now)
{
    u8 line;
    u8 vector = pic_ack(&v->vm->pic, &line);

    v->interrupt = (struct event){.valid = true, .type = EV_INTR, .vector = vector};
    if (line == TICK_LINE)
        vcpu_accept_tick(v, now);
}

static void set_window(struct vcpu *v, bool open)
{
    if (v->ctl.intr_window == open)
        return;
    v->ctl.intr_window = open;
    v->ctl_changed = true;
    TRACE(window, v->vm->id, v->id, .open = open);
}

/* Slew: the next owed tick may be offered by now, but the guest does not take
 * it. The window says when it does; the real timer would fire without end. */
static bool owed_waits(const struct vtimer *t, u64 pit_now)
{
    return t->policy == TICK_SLEW && t->backlog && !t->offered && !t->late &&
           t->slew_next <= pit_now;
}

/* Something but the PIC waits for the moment at which the guest takes interrupts. */
static bool waits(struct vcpu *v, u64 now)
{
    struct vm *vm = v->vm;

    return (v->interrupt.valid && !vcpu_can_take(v)) ||
           (vm->timer.backlog &&
            (vm->timer.late || owed_waits(&vm->timer, vm_pit_ns(vm, now))) &&
            pic_would_deliver(&vm->pic, TICK_LINE));
}

u64 vcpu_timer_next(struct vcpu *v, u64 now)
{
    struct vm *vm = v->vm;
    u64 pit_now = vm_pit_ns(vm, now);
    u64 at = owed_waits(&vm->timer, pit_now) ? vm->timer.next_due
                                             : vtimer_next(&vm->timer, pit_now);

    return at == ~0ull ? at : vclock_host_ns(&vm->clock, vm->args.pit, at);
}

bool vcpu_wakes(struct vcpu *v, u64 now)
{
    vcpu_ticks(v, now);
    if (v->vm->timer.backlog)
        offer_tick(v, now);
    return pic_pending(&v->vm->pic);
}

void vcpu_events(struct vcpu *v, u64 now, u64 until)
{
    bool asks = vcpu_wakes(v, now);

    if (asks && vcpu_interruptible(v)) {
        accept(v, now);
        asks = pic_pending(&v->vm->pic);
    }
    set_window(v, asks || waits(v, now));
    timer_arm(min_u64(until, vcpu_next_tick(v, now)));
}
