/*
 * Round robin: one queue, one slice. The simplest scheduler that is fair to
 * units that always want to run, and the example for the others.
 *
 * A unit keeps the CPU until its slice is over, unless it blocks or yields;
 * one that wakes goes to the end and preempts nobody. While one unit is alone
 * there is no next decision. One CPU. Conventions: vmm/sched/sched.h.
 */
#include "vmm/sched/sched.h"

#define NEVER (~0ull)

static struct {
    u64 slice, slice_end;
    u64 turns; /* places in the queue given out so far */
    u32 runnable;
    struct sched_unit *current; /* not in the queue */
    struct sched_unit *head, *tail;
} rr;

/* --- The queue ----------------------------------------------------------------------- */

/* Of two that were queued in the same instant. */
static bool goes_before(const struct sched_unit *a, const struct sched_unit *b)
{
    if (a->gave_up != b->gave_up)
        return b->gave_up;
    return a->vm != b->vm ? a->vm < b->vm : a->vcpu < b->vcpu;
}

static void link_behind(struct sched_unit *u, struct sched_unit *before)
{
    struct sched_unit *after = before ? before->next : rr.head;

    u->prev = before;
    u->next = after;
    *(before ? &before->next : &rr.head) = u;
    *(after ? &after->prev : &rr.tail) = u;
}

/* To the end; among those queued in the same instant, by goes_before(),
 * whatever the order of the calls. */
static void enqueue(struct sched_unit *u, u64 now, bool gave_up)
{
    struct sched_unit *before = rr.tail;

    u->since = now;
    u->gave_up = gave_up;
    u->turn = ++rr.turns;
    for (; before && before->since == now && goes_before(u, before); before = before->prev) {
        u64 turn = before->turn;
        before->turn = u->turn;
        u->turn = turn;
    }
    link_behind(u, before);
}

static void dequeue(struct sched_unit *u)
{
    *(u->prev ? &u->prev->next : &rr.head) = u->next;
    *(u->next ? &u->next->prev : &rr.tail) = u->prev;
    u->prev = u->next = NULL;
}

/* --- The calls -------------------------------------------------------------------------- */

static void rr_init(const struct sched_setup *setup)
{
    rr.slice = setup->slice;
    rr.slice_end = rr.turns = rr.runnable = 0;
    rr.current = rr.head = rr.tail = NULL;
}

static void rr_wake(struct sched_unit *u, u64 now)
{
    if (u->runnable)
        return;
    u->runnable = true;
    rr.runnable++;
    enqueue(u, now, false);
}

static void rr_block(struct sched_unit *u, u64 now)
{
    (void)now;
    if (!u->runnable)
        return;
    u->runnable = false;
    rr.runnable--;
    if (u == rr.current)
        rr.current = NULL;
    else
        dequeue(u);
}

static void rr_add(struct sched_unit *u, u64 now)
{
    u->runnable = false;
    u->ran = 0;
    rr_wake(u, now);
}

static void rr_remove(struct sched_unit *u, u64 now)
{
    rr_block(u, now);
}

/* Everybody asks for the same here. */
static void rr_set(struct sched_unit *u, const struct sched_params *p, u64 now)
{
    (void)now;
    u->params = *p;
}

/* Give up the CPU, if one has it, for the rest of the slice. */
static void rr_timer(struct sched_unit *u, u64 now)
{
    if (u != rr.current)
        return;
    rr.current = NULL;
    enqueue(u, now, true);
}

static void rr_charge(struct sched_unit *u, u64 ran, u64 now)
{
    (void)now;
    u->ran += ran;
}

static void take_head(u64 now)
{
    rr.current = rr.head;
    if (!rr.current)
        return;
    dequeue(rr.current);
    rr.slice_end = rr.slice < NEVER - now ? now + rr.slice : NEVER;
}

static struct sched_choice rr_pick(u32 cpu, u64 now)
{
    (void)cpu;
    if (rr.current && now >= rr.slice_end)
        rr_timer(rr.current, now);
    if (!rr.current)
        take_head(now);
    return (struct sched_choice){rr.current, rr.head ? rr.slice_end : NEVER};
}

static struct sched_reason rr_reason(u32 cpu)
{
    (void)cpu;
    return (struct sched_reason){
        .key = rr.current ? (s64)rr.current->turn : 0,
        .other = rr.head,
        .other_key = rr.head ? (s64)rr.head->turn : 0,
        .runnable = rr.runnable,
    };
}

const struct sched_ops sched_rr = {
    .name = "rr",
    .init = rr_init,
    .add = rr_add,
    .remove = rr_remove,
    .set = rr_set,
    .wake = rr_wake,
    .block = rr_block,
    .timer = rr_timer,
    .charge = rr_charge,
    .pick = rr_pick,
    .reason = rr_reason,
};
