/*
 * Virtual ticks and interrupts on their way into the guest. The policies are
 * time/vtimer.c's, priorities dev/pic_core.c's; this decides when they are asked.
 * Source: Smith & Nair, Virtual Machines, ch. 8; AMD64 Manual vol. 2, 15.21.
 */
#include "vmm/vcpu_events.h"
#include "kernel/clock.h"
#include "kernel/lapic.h"
#include "kernel/todo.h"

#define NEVER (~0ull)

u64 vm_pit_ns(struct vm *vm, u64 now)
{
    return vclock_ns(&vm->clock, vm->args.pit, now);
}

/* --- Ticks: from the virtual timer to line 0 of the PIC, and back ---------------- */

/* Is the tick's line free, and would the guest take it? A blocked vCPU would. */
static bool can_take_tick(const struct vcpu *v)
{
    /* LAB 2 BEGIN: not if it waits for the CPU, has interrupts off or the line is not free. */
    return v->state != VCPU_READY && v->rflags & RFLAGS_IF &&
           pic_would_deliver(&v->vm->pic, TICK_LINE);
    /* LAB 2 END: todo(2, "2.4", v); */
}

void vcpu_count_ticks(struct vcpu *v, u64 now)
{
    vtimer_advance(&v->vm->timer, vm_pit_ns(v->vm, now), can_take_tick(v));
}

/* This and accept() are rare, and would cost all others registers if inlined. */
static __attribute__((noinline)) void offer_tick(struct vcpu *v, u64 now)
{
    /* LAB 2 BEGIN: if it can take one, ask the timer for a tick; one on offer raises the line. */
    struct vm *vm = v->vm;

    if (!vm->timer.offered && can_take_tick(v) && !v->shadow)
        vtimer_deliver(&vm->timer, vm_pit_ns(vm, now));
    if (vm->timer.offered)
        pic_set_line(&vm->pic, TICK_LINE, true);
    /* LAB 2 END: todo(2, "2.4", v, now, can_take_tick); */
}

void vcpu_accept_tick(struct vcpu *v, u64 now)
{
    /* LAB 2 BEGIN: if a tick was offered: the line goes low, and the guest has it. */
    struct vm *vm = v->vm;

    if (!vm->timer.offered)
        return;
    pic_set_line(&vm->pic, TICK_LINE, false);
    vtimer_accept(&vm->timer, vm_pit_ns(vm, now));
    /* LAB 2 END: todo(2, "2.4", v, now); */
}

/* --- Interrupts: from the PIC into the guest ------------------------------------- */

/* Take one from the PIC; the run loop delivers v->interrupt at the next entry. */
static __attribute__((noinline)) void accept(struct vcpu *v, u64 now)
{
    /* LAB 2 BEGIN: acknowledge; its vector is what goes in; a tick's line means a tick taken. */
    u8 line;
    u8 vector = pic_ack(&v->vm->pic, &line);

    v->interrupt = (struct event){.valid = true, .type = EV_INTR, .vector = vector};
    if (line == TICK_LINE)
        vcpu_accept_tick(v, now);
    /* LAB 2 END: todo(2, "2.2", v, now); */
}

/* An open window is an exit as soon as the guest takes interrupts. */
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

/* Does something that the PIC does not know of wait until the guest takes interrupts? */
static bool waits(struct vcpu *v, u64 now)
{
    /* LAB 2 BEGIN: an accepted interrupt that cannot go in, or untreated ticks, their line free. */
    struct vm *vm = v->vm;
    bool ticks =
        vm->timer.backlog && (vm->timer.late || owed_waits(&vm->timer, vm_pit_ns(vm, now)));

    return (v->interrupt.valid && !vcpu_can_take(v)) ||
           (ticks && pic_would_deliver(&vm->pic, TICK_LINE));
    /* LAB 2 END: todo(2, "2.2", v, now, owed_waits); */
}

/* --- What is due ------------------------------------------------------------------ */

/* When to look at the timer next, on the VM's own clock. */
static u64 next_own(const struct vtimer *t, u64 pit_now)
{
    return owed_waits(t, pit_now) ? t->next_due : vtimer_next(t, pit_now);
}

u64 vcpu_timer_next(struct vcpu *v, u64 now)
{
    /* LAB 2 BEGIN: next_own(), on the host's clock; NEVER stays NEVER. */
    struct vm *vm = v->vm;
    u64 at = next_own(&vm->timer, vm_pit_ns(vm, now));

    return at == NEVER ? at : vclock_host_ns(&vm->clock, vm->args.pit, at);
    /* LAB 2 END: todo(2, "2.4", v, now, next_own); */
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
    /* LAB 2 BEGIN: accept what can go in; a window for what cannot; arm the real timer. */
    bool asks = vcpu_wakes(v, now);

    if (asks && vcpu_interruptible(v)) {
        accept(v, now);
        asks = pic_pending(&v->vm->pic);
    }
    set_window(v, asks || waits(v, now));
    timer_arm(min_u64(until, vcpu_next_tick(v, now)));
    /* LAB 2 END: todo(2, "2.2", v, now, until, accept, set_window, waits); */
}
