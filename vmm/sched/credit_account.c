/*
 * Credits: who runs pays them, and every third tick all active VMs are given
 * new ones by weight, at most up to their cap. Who has none left is OVER; who
 * is far below its cap's worth is parked; who keeps too many is not active.
 *
 * Under exact charging a unit is active again as soon as it pays, not only when
 * a tick meets it: one that always stops before the tick would else never pay.
 * It decides nothing: see credit.c.
 */
#include "vmm/sched/credit.h"

#include "kernel/todo.h"
#include "kernel/trace.h"

#define PER_ACCOUNT       300ll /* credits, for each CPU; also the most one keeps */
#define PER_TICK          100ll
#define TICKS_PER_ACCOUNT 3u
#define NS_PER_CREDIT     100000ull

static s64 div_up(s64 a, s64 b)
{
    return (a + b - 1) / b;
}

/* --- The active list ---------------------------------------------------------------------- */

static void link_active(struct sched_unit *vm, struct sched_unit *after)
{
    struct sched_unit *before = after ? after->credit.before : credit.active_tail;

    vm->credit.before = before;
    vm->credit.after = after;
    *(before ? &before->credit.after : &credit.active_head) = vm;
    *(after ? &after->credit.before : &credit.active_tail) = vm;
}

static void unlink_active(struct sched_unit *vm)
{
    struct sched_unit *before = vm->credit.before, *after = vm->credit.after;

    *(before ? &before->credit.after : &credit.active_head) = after;
    *(after ? &after->credit.before : &credit.active_tail) = before;
}

static void activate(struct sched_unit *u)
{
    if (u->credit.active)
        return;
    u->credit.active = true;
    if (u->lead->credit.active_vcpus++ == 0)
        link_active(u->lead, NULL);
}

void credit_deactivate(struct sched_unit *u)
{
    if (!u->credit.active)
        return;
    u->credit.active = false;
    if (--u->lead->credit.active_vcpus == 0)
        unlink_active(u->lead);
}

/* --- Paying ------------------------------------------------------------------------------- */

void credit_charge(struct sched_unit *u, u64 ran, u64 now)
{
    /* LAB 3 BEGIN: Run time costs credits, exactly. */
    (void)now;
    u->ran += ran;
    if (!credit.exact)
        return;
    u64 owed = u->credit.rest + ran;
    u->credit.rest = owed % NS_PER_CREDIT;
    u->credit.credit -= (s64)(owed / NS_PER_CREDIT);
    if (owed >= NS_PER_CREDIT)
        activate(u);
    /* LAB 3 END: todo(3, "3.9", u, ran, now, activate); */
}

/* The tick meets who runs. */
static void tick(struct sched_unit *u)
{
    /* LAB 3 BEGIN: The tick meets the unit that runs. */
    if (u->credit.pri == CREDIT_BOOST)
        u->credit.pri = CREDIT_UNDER;
    if (!credit.exact)
        u->credit.credit -= PER_TICK;
    activate(u);
    /* LAB 3 END: todo(3, "3.9", u, activate); */
}

/* --- The accounting ------------------------------------------------------------------------ */

/* One accounting under way. */
struct account {
    s64 weights; /* of all active VMs */
    s64 left;    /* of those whose turn is yet to come */
    s64 total;   /* credits given out, if all went by weight */
    s64 balance; /* of what all have afterwards */
    bool extra;  /* somebody before could have used more */
    struct sched_unit *unparked, **unparked_end;
};

static void park(struct sched_unit *u)
{
    u->credit.parked = true;
    if (credit.cpu[u->credit.cpu].current == u)
        credit.cpu[u->credit.cpu].due = true;
    else
        credit_unqueue(u);
}

static void unpark(struct account *a, struct sched_unit *u)
{
    if (!u->credit.parked)
        return;
    u->credit.parked = false;
    u->credit.unparked = NULL;
    *a->unparked_end = u;
    a->unparked_end = &u->credit.unparked;
}

/* What a vCPU has decides its priority; cap_each: of its cap, or 0. */
static void give(struct account *a, struct sched_unit *u, s64 credits, s64 cap_each)
{
    /* LAB 3 BEGIN: What it has from now on, and which priority that is. */
    struct credit_unit *c = &u->credit;

    c->credit += credits;
    if (c->credit < 0) {
        c->pri = CREDIT_OVER;
        if (cap_each && c->credit < -cap_each)
            park(u);
        if (c->credit < -PER_ACCOUNT)
            c->credit = -PER_ACCOUNT;
    } else {
        c->pri = CREDIT_UNDER;
        unpark(a, u);
        if (c->credit > PER_ACCOUNT) {
            credit_deactivate(u);
            c->credit = 0;
        }
    }
    a->balance += c->credit;
    /* LAB 3 END: todo(3, "3.10", a, u, credits, cap_each, park, unpark); */
}

/* Its cap in credits; 0: it has none. */
static s64 worth_of_cap(const struct sched_unit *vm)
{
    /* LAB 3 BEGIN: The cap in credits, rounded up. */
    return div_up((s64)vm->params.cap * PER_ACCOUNT, 100);
    /* LAB 3 END: todo(3, "3.10", vm, div_up); */
}

/* The most that a VM can use: whole CPUs and a part of what is missing, or its cap. */
static s64 peak_of(const struct account *a, const struct sched_unit *vm)
{
    /* LAB 3 BEGIN: The most that the VM can use. */
    s64 peak = PER_ACCOUNT * vm->credit.active_vcpus;
    s64 weight = (s64)vm->params.weight, most = worth_of_cap(vm);

    if (credit.balance < 0)
        peak += div_up(-credit.balance * weight, a->weights);
    return most && most < peak ? most : peak;
    /* LAB 3 END: todo(3, "3.10", a, vm, worth_of_cap); */
}

/* A VM's part by its weight, or its peak: then the others have what is over, and
 * if there were some before it, it goes first the next time. */
static s64 fair_share(struct account *a, struct sched_unit *vm)
{
    /* LAB 3 BEGIN: What the VM gets, and what is left for the others. */
    s64 weight = (s64)vm->params.weight, peak = peak_of(a, vm);
    s64 fair = div_up(a->total * weight, a->weights);

    a->left -= weight;
    if (fair < peak) {
        a->extra = true;
        return fair;
    }
    if (a->left)
        a->total += div_up((fair - peak) * a->weights, a->left);
    if (a->extra) {
        unlink_active(vm);
        link_active(vm, credit.active_head);
    }
    return peak;
    /* LAB 3 END: todo(3, "3.10", a, vm, peak_of, unlink_active, link_active); */
}

static void account_vm(struct account *a, struct sched_unit *vm)
{
    s64 vcpus = vm->credit.active_vcpus;
    s64 each = div_up(fair_share(a, vm), vcpus);
    s64 cap_each = div_up(worth_of_cap(vm), vcpus);

    for (struct sched_unit *u = vm; u; u = u->credit.sibling)
        if (u->credit.active) {
            give(a, u, each, cap_each);
            credit_report(u);
        }
}

/* By the new priorities; equals stay in their order. */
static void sort_queues(void)
{
    for (u32 i = 0; i < credit.cpus; i++) {
        struct credit_queue old[CREDIT_CLASSES];
        for (u32 k = 0; k < CREDIT_CLASSES; k++) {
            old[k] = credit.cpu[i].queue[k];
            credit.cpu[i].queue[k] = (struct credit_queue){NULL, NULL};
        }
        for (u32 k = 0; k < CREDIT_CLASSES; k++)
            for (struct sched_unit *u = old[k].head, *next; u; u = next) {
                next = u->next;
                credit.waiting--;
                credit_append(u);
            }
    }
}

static void account(u64 now)
{
    struct account a = {.total = PER_ACCOUNT * credit.cpus};

    for (struct sched_unit *vm = credit.active_head; vm; vm = vm->credit.after)
        a.weights += (s64)vm->params.weight;
    a.left = a.weights;
    a.unparked_end = &a.unparked;
    if (credit.balance < 0)
        a.total -= credit.balance;
    TRACE(sched_account, 0, 0, .at = now, .total = (u64)a.total, .weights = (u64)a.weights);
    for (struct sched_unit *vm = credit.active_head, *next; vm; vm = next) {
        next = vm->credit.after;
        account_vm(&a, vm);
    }
    credit.balance = a.balance;
    sort_queues();
    for (struct sched_unit *u = a.unparked; u; u = u->credit.unparked)
        if (u->runnable && credit.cpu[u->credit.cpu].current != u)
            credit_come(u, now);
}

/* --- Time --------------------------------------------------------------------------------- */

static bool nothing_to_do(void)
{
    for (u32 i = 0; i < credit.cpus; i++)
        if (credit.cpu[i].current)
            return false;
    return !credit.active_head;
}

/* Ticks that find nobody: all but the last that is due are passed over. */
static void skip_ticks(u64 now)
{
    u64 missed = (now - credit.next_tick) / CREDIT_TICK;

    if ((credit.ticks + missed) / TICKS_PER_ACCOUNT > credit.ticks / TICKS_PER_ACCOUNT)
        credit.balance = 0;
    credit.ticks += missed;
    credit.next_tick += missed * CREDIT_TICK;
}

void credit_tick(u64 now)
{
    for (; now >= credit.next_tick; credit.next_tick += CREDIT_TICK) {
        if (nothing_to_do())
            skip_ticks(now);
        for (u32 i = 0; i < credit.cpus; i++)
            if (credit.cpu[i].current)
                tick(credit.cpu[i].current);
        if (++credit.ticks % TICKS_PER_ACCOUNT == 0)
            account(credit.next_tick);
    }
}
