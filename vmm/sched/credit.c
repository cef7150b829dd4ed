/*
 * The Credit scheduler (as in Xen 3.0.4), on any number of CPUs: who has credits
 * left (UNDER) runs before who has not (OVER), in turns; who just woke (BOOST)
 * before both. How credits are paid and given out: credit_account.c.
 *
 * Work is looked for on other CPUs, from the next one upwards, whenever there is
 * nothing better than OVER here; an idle CPU looks whenever work is queued.
 * Conventions: vmm/sched/sched.h.
 */
#include "vmm/sched/credit.h"

#include "kernel/mem.h"
#include "kernel/todo.h"
#include "kernel/trace.h"

struct credit credit;

/* --- Queues ------------------------------------------------------------------------------- */

static struct credit_queue *queue_of(const struct sched_unit *u)
{
    return &credit.cpu[u->credit.cpu].queue[CREDIT_BOOST - u->credit.pri];
}

/* Of two that were queued in the same instant. */
static bool goes_before(const struct sched_unit *a, const struct sched_unit *b)
{
    return a->vm != b->vm ? a->vm < b->vm : a->vcpu < b->vcpu;
}

static void link_behind(struct credit_queue *q, struct sched_unit *u, struct sched_unit *before)
{
    struct sched_unit *after = before ? before->next : q->head;

    u->prev = before;
    u->next = after;
    *(before ? &before->next : &q->head) = u;
    *(after ? &after->prev : &q->tail) = u;
    u->credit.queue = q;
    credit.waiting++;
}

void credit_unqueue(struct sched_unit *u)
{
    struct credit_queue *q = u->credit.queue;

    if (!q)
        return;
    *(u->prev ? &u->prev->next : &q->head) = u->next;
    *(u->next ? &u->next->prev : &q->tail) = u->prev;
    u->prev = u->next = NULL;
    u->credit.queue = NULL;
    credit.waiting--;
}

void credit_append(struct sched_unit *u)
{
    struct credit_queue *q = queue_of(u);

    link_behind(q, u, q->tail);
}

/* Behind its equals; idle CPUs are to look. */
static void enqueue(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: Behind its equals, in the order of numbers in one instant; who idles looks. */
    struct credit_queue *q = queue_of(u);
    struct sched_unit *before = q->tail;

    u->since = now;
    while (before && before->since == now && goes_before(u, before))
        before = before->prev;
    link_behind(q, u, before);
    for (u32 i = 0; i < credit.cpus; i++)
        if (!credit.cpu[i].current)
            credit.cpu[i].due = true;
    /* LAB 3 END: todo(3, "3.8", u, now, queue_of, goes_before, link_behind); */
}

/* The first of the highest class, or NULL. */
static struct sched_unit *head_of(const struct credit_cpu *cpu)
{
    for (u32 i = 0; i < CREDIT_CLASSES; i++)
        if (cpu->queue[i].head)
            return cpu->queue[i].head;
    return NULL;
}

static s64 pri_of(const struct sched_unit *u)
{
    return u ? u->credit.pri : CREDIT_IDLE;
}

static bool is_current(const struct sched_unit *u)
{
    return credit.cpu[u->credit.cpu].current == u;
}

void credit_come(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: It waits for the CPU, and may preempt. */
    struct credit_cpu *cpu = &credit.cpu[u->credit.cpu];

    enqueue(u, now);
    if (u->credit.pri > pri_of(cpu->current))
        cpu->due = true;
    /* LAB 3 END: todo(3, "3.8", u, now, enqueue, pri_of); */
}

/* --- The calls ---------------------------------------------------------------------------- */

static void credit_init(const struct sched_setup *setup)
{
    memset(&credit, 0, sizeof(credit));
    credit.cpus = setup->cpus;
    credit.exact = setup->charge == CHARGE_EXACT;
    credit.next_tick = CREDIT_TICK;
}

/* Who wakes with credits left comes before all who want to run all the time. */
static void credit_wake(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: It becomes runnable: with a boost, or without, or not yet. */
    credit_advance(now);
    if (u->runnable)
        return;
    u->runnable = true;
    if (u->credit.parked)
        return;
    if (u->credit.pri == CREDIT_UNDER)
        u->credit.pri = CREDIT_BOOST;
    credit_come(u, now);
    /* LAB 3 END: todo(3, "3.8", u, now); */
}

static void credit_block(struct sched_unit *u, u64 now)
{
    credit_advance(now);
    if (!u->runnable)
        return;
    u->runnable = false;
    if (is_current(u)) {
        credit.cpu[u->credit.cpu].current = NULL;
        credit.cpu[u->credit.cpu].due = true;
    } else {
        credit_unqueue(u);
    }
}

/* CPUs are given out in turn; load is balanced when they run dry. */
static void credit_add(struct sched_unit *u, u64 now)
{
    credit_advance(now);
    u->runnable = false;
    u->ran = 0;
    u->credit = (struct credit_unit){.pri = CREDIT_UNDER, .cpu = credit.added % credit.cpus};
    credit.added++;
    if (u->lead != u) {
        u->credit.sibling = u->lead->credit.sibling;
        u->lead->credit.sibling = u;
    }
    credit_wake(u, now);
}

/* A VM's first vCPU goes last. */
static void credit_remove(struct sched_unit *u, u64 now)
{
    credit_block(u, now);
    credit_deactivate(u);
    changes_forget(&credit.changes, u);
    for (struct sched_unit *s = u->lead; s; s = s->credit.sibling)
        if (s->credit.sibling == u)
            s->credit.sibling = u->credit.sibling;
}

static void credit_set(struct sched_unit *u, const struct sched_params *p, u64 now)
{
    credit_advance(now);
    changes_note(&credit.changes, u, p);
}

/* Weight and cap are looked at when credits are given out. */
static void change(struct sched_unit *u, u64 now)
{
    (void)u;
    (void)now;
}

static void credit_timer(struct sched_unit *u, u64 now)
{
    credit_advance(now);
    if (is_current(u))
        credit.cpu[u->credit.cpu].due = true;
}

/* --- The decision --------------------------------------------------------------------------- */

/* The first unit of another CPU that is better than that, or NULL. */
static struct sched_unit *better_elsewhere(u32 cpu, s64 than)
{
    for (u32 i = 1; i < credit.cpus; i++) {
        struct sched_unit *u = head_of(&credit.cpu[(cpu + i) % credit.cpus]);
        if (u && u->credit.pri > than)
            return u;
    }
    return NULL;
}

static struct sched_unit *choose(u32 cpu)
{
    /* LAB 3 BEGIN: The best one here, or a better one elsewhere. */
    struct sched_unit *own = head_of(&credit.cpu[cpu]), *other = NULL;

    if (pri_of(own) <= CREDIT_OVER)
        other = better_elsewhere(cpu, pri_of(own));
    return other ? other : own;
    /* LAB 3 END: todo(3, "3.8", cpu, head_of, pri_of, better_elsewhere); */
}

static void schedule(u32 number, u64 now)
{
    /* LAB 3 BEGIN: The decision of one CPU. */
    struct credit_cpu *cpu = &credit.cpu[number];
    struct sched_unit *prev = cpu->current;

    cpu->current = NULL;
    if (prev && !prev->credit.parked)
        enqueue(prev, now);
    changes_take(&credit.changes, change, now);
    struct sched_unit *u = choose(number);
    if (u) {
        credit_unqueue(u);
        u->credit.cpu = number;
    }
    cpu->current = u;
    cpu->expires = u ? now + CREDIT_SLICE : CREDIT_NEVER;
    cpu->due = false;
    /* LAB 3 END: todo(3, "3.8", number, now, enqueue, change, choose); */
}

static u32 running(void)
{
    u32 n = 0;

    for (u32 i = 0; i < credit.cpus; i++)
        n += credit.cpu[i].current != NULL;
    return n;
}

/* A tick may be due before the turn ends; a CPU that idles needs it only while
 * there is somebody to give credits to. */
static u64 next_decision(const struct credit_cpu *cpu)
{
    if (cpu->current || credit.active_head)
        return min_u64(cpu->expires, credit.next_tick);
    return CREDIT_NEVER;
}

static struct sched_choice credit_pick(u32 number, u64 now)
{
    struct credit_cpu *cpu = &credit.cpu[number];

    credit_advance(now);
    if (cpu->due || now >= cpu->expires)
        schedule(number, now);
    return (struct sched_choice){cpu->current, next_decision(cpu)};
}

static struct sched_reason credit_reason(u32 number)
{
    const struct credit_cpu *cpu = &credit.cpu[number];
    const struct sched_unit *other = cpu->current ? head_of(cpu) : NULL;

    return (struct sched_reason){
        .key = cpu->current ? -cpu->current->credit.pri : 0, /* as with others: lower is better */
        .other = other,
        .other_key = other ? -other->credit.pri : 0,
        .runnable = credit.waiting + running(),
    };
}

void credit_report(const struct sched_unit *u)
{
    TRACE(sched_credit, u->vm, u->vcpu, .pri = (u64)-u->credit.pri, .credit = (u64)u->credit.credit,
          .parked = u->credit.parked, .active = u->credit.active);
}

const struct sched_ops sched_credit = {
    .name = "credit",
    .init = credit_init,
    .add = credit_add,
    .remove = credit_remove,
    .set = credit_set,
    .wake = credit_wake,
    .block = credit_block,
    .timer = credit_timer,
    .charge = credit_charge,
    .pick = credit_pick,
    .reason = credit_reason,
    .report = credit_report,
};
