/*
 * The run loop of a vCPU: enter, leave, handle, look at what is due, again.
 * What an exit means is exit.c's; when interrupts go in is vcpu_events.c's.
 */
#include "vmm/vcpu.h"
#include "kernel/mem.h"
#include "kernel/todo.h"
#include "vmm/cpubits.h"
#include "vmm/doublefault.h"
#include "vmm/exit.h"
#include "vmm/vcpu_events.h"
#include "vmm/vm.h"

/* What the VM's argument exits= adds. Nobody handles these: study, not use. */
static void add_exits(struct hv_ctl *ctl, enum vm_exits exits)
{
    ctl->rdtsc_exits = exits == EXITS_RDTSC;
    ctl->invlpg_exits = exits == EXITS_INVLPG;
    ctl->exceptions = exits == EXITS_UD ? 1u << 6 : exits == EXITS_DE ? 1u << 0 : 0;
}

int vcpu_init(struct vcpu *v, struct vm *vm, u8 id)
{
    memset(v, 0, sizeof(*v));
    v->vm = vm;
    v->vm_id = vm->id;
    v->id = id;
    v->who = trace_who(vm->id, id);
    v->ctl.nested_root = vm->nested.root;
    v->ctl.paging_exits = vm->shadow.on;
    add_exits(&v->ctl, vm->args.exits);
    v->attention = true;
    return hv->vcpu_init(v);
}

void vcpu_fini(struct vcpu *v)
{
    hv->vcpu_fini(v);
}

void vcpu_block(struct vcpu *v, enum block_why why)
{
    v->state = VCPU_BLOCKED;
    v->attention = true;
    TRACE(sched_block, v->vm->id, v->id, .why = why);
}

/* Exception classes for double faults: AMD64 Manual vol. 2, 8.2.9. */
static bool contributory(u8 vector)
{
    return vector == 0 || (vector >= 10 && vector <= 13);
}

static bool makes_double_fault(const struct event *first, u8 second)
{
    if (!first->valid || first->type != EV_EXCEPTION)
        return false;
    if (first->vector == 14)
        return second == 14 || contributory(second);
    return contributory(first->vector) && contributory(second);
}

/* What was to be delivered is lost in it. */
static void raise_double_fault(struct vcpu *v)
{
    v->inject = (struct event){true, EV_EXCEPTION, VECTOR_DF, true, 0};
    v->attention = true;
    if (!doublefault_asks)
        return;
    v->inject.valid = false;
    if (!doublefault_deliver(v))
        vm_end(v->vm, END_TRIPLE_FAULT, 0, "triple fault near rip %#lx", v->rip);
}

void vcpu_raise(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
    if (v->inject.valid && v->inject.type == EV_EXCEPTION && v->inject.vector == VECTOR_DF) {
        vm_end(v->vm, END_TRIPLE_FAULT, 0, "an exception while a double fault was delivered");
        return;
    }
    if (makes_double_fault(&v->inject, vector)) {
        raise_double_fault(v);
        return;
    }
    v->inject = (struct event){true, EV_EXCEPTION, vector, has_error, error};
    v->attention = true;
}

void vcpu_raise_pf(struct vcpu *v, u64 cr2, u32 error)
{
    hv_set(v, HV_CR2, cr2);
    vcpu_raise(v, 14, true, error);
}

/* Outside long mode RIP has 32 bits; a single step ends in #DB. */
void vcpu_advance_slow(struct vcpu *v)
{
    if (v->rip >> 32 && vcpu_mode(v) != 8)
        v->rip &= 0xffffffff;
    if (v->rflags & RFLAGS_TF && !v->inject.valid) {
        hv_set(v, HV_DR6, hv_get(v, HV_DR6) | 1u << 14); /* BS */
        vcpu_raise(v, 1, false, 0);
    }
}

struct guest_paging vcpu_paging(struct vcpu *v)
{
    return (struct guest_paging){.cr0 = hv_get(v, HV_CR0),
                                 .cr3 = hv_get(v, HV_CR3),
                                 .cr4 = hv_get(v, HV_CR4),
                                 .efer = hv_get(v, HV_EFER),
                                 .rflags = v->rflags};
}

u8 vcpu_mode(struct vcpu *v)
{
    struct seg cs;

    hv_get_seg(v, SEG_CS, &cs);
    if (hv_get(v, HV_EFER) & EFER_LMA && cs.attr & SEG_ATTR_L)
        return 8;
    return cs.attr & SEG_ATTR_DB ? 4 : 2;
}

u8 vcpu_cpl(struct vcpu *v)
{
    struct seg ss;

    if (!(hv_get(v, HV_CR0) & CR0_PE))
        return 0;
    hv_get_seg(v, SEG_SS, &ss);
    return SEG_DPL(ss.attr);
}

/* An exit broke off the delivery of an event. It comes first, again; but a
 * software interrupt is simply executed again, since RIP still is at it. */
static void take_pending(struct vcpu *v, const struct event *e)
{
    if (e->type == EV_SOFT_INT || (e->type == EV_EXCEPTION && (e->vector == 3 || e->vector == 4)))
        return;
    if (e->type == EV_INTR)
        v->interrupt = *e;
    else
        v->inject = *e;
    v->attention = true; /* it may have to wait for a window */
    TRACE(reinject, v->vm->id, v->id, .vector = e->vector, .type = e->type, .error = e->error);
}

/* What goes in at this entry, exceptions first; NULL: nothing. */
static struct event *next_event(struct vcpu *v)
{
    if (v->inject.valid)
        return &v->inject;
    if (v->interrupt.valid && vcpu_can_take(v))
        return &v->interrupt;
    return NULL;
}

/* The tag of the entry record: what goes in, or 0. */
static u64 deliver(struct vcpu *v)
{
    struct event *e = next_event(v);

    if (!e)
        return 0;
    hv->inject(v, e);
    TRACE(inject, v->vm->id, v->id, .vector = e->vector, .type = e->type, .error = e->error);
    e->valid = false;
    return 1u << 31 | e->type << 8 | e->vector;
}

static void enter(struct vcpu *v, struct exit *x, u64 tag)
{
    TRACE_BY(entry, v->who, .rip = v->rip, .inject = tag);
    hv->run(v, x);
    TRACE_BY(exit, v->who, .reason = x->reason, .rip = x->rip, .code = x->code,
             .info1 = x->info1, .info2 = x->info2);
    v->exits++;
}

/* Handle what wanted attention; why to leave the CPU, or STOP_NONE. */
static enum vcpu_stop attend(struct vcpu *v, u64 until, u64 wake)
{
    /* LAB 1 BEGIN: Reasons to leave first; then what is due; then changed settings. */
    if (!v->vm->alive)
        return STOP_ENDED;
    if (v->state == VCPU_BLOCKED)
        return STOP_BLOCKED;
    if (v->yield)
        return STOP_YIELD;
    u64 now = clock_now();
    if (now >= until)
        return STOP_SLICE;
    if (now >= wake)
        return STOP_WAKE;
    vcpu_events(v, now, min_u64(until, wake));
    if (v->ctl_changed)
        hv->configure(v);
    v->ctl_changed = v->attention = false;
    return STOP_NONE;
    /* LAB 1 END: todo(1, "1.4", v, until, wake); */
}

enum vcpu_stop vcpu_run(struct vcpu *v, u64 until, u64 wake)
{
    /* LAB 1 BEGIN: Look what is due, enter, handle the exit, until there is a reason to stop. */
    struct exit x;

    v->attention = true;
    v->yield = false;
    for (;;) {
        u64 tag = 0;
        if (__builtin_expect(v->attention, 0)) {
            enum vcpu_stop stop = attend(v, until, wake);
            if (stop != STOP_NONE)
                return stop;
            tag = deliver(v);
        }
        enter(v, &x, tag);
        if (__builtin_expect(x.pending.valid, 0))
            take_pending(v, &x.pending);
        exit_handle(v, &x);
    }
    /* LAB 1 END: todo(1, "1.3", v, until, wake, attend, deliver, enter, take_pending); */
}
