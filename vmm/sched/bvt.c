/*
 * Borrowed virtual time (Duda and Cheriton, SOSP 1999; as in Xen 3.0.2): the
 * unit with the lowest effective virtual time runs. Running advances a unit's
 * actual virtual time; warping lets it borrow from its future, for a while.
 *
 * One CPU. A unit's run is paid for when the next decision is made. Virtual
 * times are moved back together before they overflow, so no run is too long.
 * Conventions: vmm/sched/sched.h.
 */
#include "vmm/sched/sched.h"

#include "kernel/mem.h"
#include "kernel/todo.h"
#include "kernel/trace.h"

#define NEVER (~0ull)
#define MCU   100000ull  /* ns: the smallest run that is charged */
#define C     (50 * MCU) /* the context-switch allowance */
#ifndef BVT_REBASE
#define BVT_REBASE (1ll << 40)
#endif

static struct {
    s64 svt;                    /* system virtual time: the lowest avt on the queue */
    s64 base;                   /* what was taken off all virtual times so far */
    struct heap by_evt, by_avt; /* all that are runnable, the current unit too; see lowest_avt() */
    struct heap by_unwarp;      /* those that may warp again at a time */
    struct sched_unit *current;
    u64 start, timer; /* of the last decision; of the next at the latest */
    u64 uncharged;    /* ns that the current unit ran since then */
    u64 warp_timer;   /* the current unit's warping ends; or NEVER */
    bool due;         /* decide at the next pick */
    struct sched_changes changes;
} bvt;

/* --- The queue ------------------------------------------------------------------------ */

/* Effective virtual time: what is compared. */
static s64 evt_of(const struct sched_unit *u)
{
    return u->bvt.avt - (u->bvt.warped ? (s64)u->params.warp : 0);
}

static void enqueue(struct sched_unit *u, u64 since)
{
    heap_insert(&bvt.by_evt, &u->bvt.by_evt, evt_of(u), since);
    heap_insert(&bvt.by_avt, &u->bvt.by_avt, u->bvt.avt, since);
}

static void dequeue(struct sched_unit *u)
{
    heap_remove(&u->bvt.by_evt);
    heap_remove(&u->bvt.by_avt);
}

/* Its virtual times changed: to its place, if it is on the queue. On by_avt it stays
 * where it is until that is asked for. */
static void requeue(struct sched_unit *u, u64 since)
{
    heap_move(&u->bvt.by_evt, evt_of(u), since);
}

/* The lowest avt on the queue, which is not empty. If the first by evt is not warped,
 * it is that one's: who has a lower avt has a lower evt, too. Else by_avt knows, once
 * those that ran have gone to their places: on the queue an avt only grows. */
static s64 lowest_avt(void)
{
    struct sched_unit *u = heap_first(&bvt.by_evt);

    if (!u->bvt.warped)
        return u->bvt.avt;
    for (;;) {
        u = heap_first(&bvt.by_avt);
        if (u->bvt.by_avt.key == u->bvt.avt)
            return u->bvt.avt;
        heap_move(&u->bvt.by_avt, u->bvt.avt, u->bvt.by_avt.since);
    }
}

static void rebase(struct heap *h, s64 by)
{
    for (struct heap_node *n = NULL; (n = heap_next(h, n));)
        n->key -= by;
}

/* Virtual times are only compared with each other: move all of them back. Units
 * that are blocked follow when they wake. */
static void rebase_all(void)
{
    s64 by = bvt.svt;

    for (struct heap_node *n = NULL; (n = heap_next(&bvt.by_avt, n));) {
        n->unit->bvt.avt -= by;
        n->unit->bvt.base += by;
    }
    rebase(&bvt.by_avt, by);
    rebase(&bvt.by_evt, by);
    bvt.base += by;
    bvt.svt = 0;
}

/* --- Run time and warping --------------------------------------------------------------- */

/* What the run so far costs in virtual time: whole MCUs, rounded up. */
static s64 cost_of_run(const struct sched_unit *u)
{
    /* LAB 3 BEGIN: What the run so far costs: whole MCUs, each worth mcu_adv. */
    return (s64)((bvt.uncharged + MCU - 1) / MCU * u->params.mcu_adv);
    /* LAB 3 END: todo(3, "3.1", u); */
}

/* The current unit leaves the CPU: it pays for its run, its warp timer stops. */
static void deschedule(void)
{
    /* LAB 3 BEGIN: The current unit pays, and is the current one no more. */
    bvt.current->bvt.avt += cost_of_run(bvt.current);
    bvt.uncharged = 0;
    bvt.warp_timer = NEVER;
    bvt.current = NULL;
    /* LAB 3 END: todo(3, "3.2", cost_of_run); */
}

static void set_warped(struct sched_unit *u, bool warped)
{
    u->bvt.warped = warped;
    requeue(u, u->bvt.by_evt.since);
}

/* The current unit has warped for warpl: it may again after warpu; 0: never. */
static void end_warp(struct sched_unit *u, u64 at)
{
    /* LAB 3 BEGIN: It has warped for as long as it may. */
    bvt.warp_timer = NEVER;
    set_warped(u, false);
    if (u->params.warpu == 0)
        bvt.due = true;
    else
        heap_insert(&bvt.by_unwarp, &u->bvt.by_unwarp, (s64)(at + u->params.warpu), 0);
    /* LAB 3 END: todo(3, "3.3", u, at, set_warped); */
}

/* It waited for warpu: it warps again. */
static void begin_warp(struct sched_unit *u)
{
    /* LAB 3 BEGIN: It has waited for long enough. */
    heap_remove(&u->bvt.by_unwarp);
    if (!u->params.warp)
        return;
    set_warped(u, true);
    bvt.due = true;
    /* LAB 3 END: todo(3, "3.3", u, set_warped); */
}

static u64 next_unwarp(void)
{
    return bvt.by_unwarp.root ? (u64)bvt.by_unwarp.root->key : NEVER;
}

/* The timers that fall due by now, in their order, each at its own time. Not
 * inlined: it is rare that one does. */
static __attribute__((noinline)) void pass_timers(u64 now)
{
    for (;;) {
        u64 unwarp = next_unwarp(), at = min_u64(unwarp, bvt.warp_timer);
        if (at > now || at == NEVER)
            return;
        if (bvt.warp_timer == at)
            end_warp(bvt.current, at);
        else
            begin_warp(heap_first(&bvt.by_unwarp));
    }
}

static inline void advance(u64 now)
{
    if (now >= min_u64(next_unwarp(), bvt.warp_timer))
        pass_timers(now);
}

/* --- The calls ---------------------------------------------------------------------------- */

static void bvt_init(const struct sched_setup *setup)
{
    (void)setup;
    memset(&bvt, 0, sizeof(bvt));
    bvt.warp_timer = NEVER;
}

/* A unit that slept must not have saved virtual time: it starts at the system's.
 * If it is not behind the current one it runs at once, else at the latest when
 * the current one has come C past it. */
static void bvt_wake(struct sched_unit *u, u64 now)
{
    /* LAB 3 BEGIN: A unit becomes runnable: its place in virtual time, and when it may run. */
    advance(now);
    if (u->runnable)
        return;
    u->runnable = true;
    u->bvt.avt = u->bvt.avt - (bvt.base - u->bvt.base);
    u->bvt.base = bvt.base;
    if (u->bvt.avt < bvt.svt)
        u->bvt.avt = bvt.svt;
    enqueue(u, now);
    if (!bvt.current) {
        bvt.due = true;
        return;
    }
    s64 ahead = evt_of(u) - (evt_of(bvt.current) + cost_of_run(bvt.current));
    if (ahead <= 0)
        bvt.due = true;
    else
        bvt.timer =
            min_u64(bvt.timer, bvt.start + (u64)ahead / bvt.current->params.mcu_adv * MCU + C);
    /* LAB 3 END: todo(3, "3.1", u, now, evt_of, enqueue, advance, cost_of_run); */
}

static void bvt_block(struct sched_unit *u, u64 now)
{
    advance(now);
    if (!u->runnable)
        return;
    u->runnable = false;
    if (u == bvt.current) {
        deschedule();
        bvt.due = true;
    }
    dequeue(u);
}

static void bvt_add(struct sched_unit *u, u64 now)
{
    u->runnable = false;
    u->ran = 0;
    u->bvt = (struct bvt_unit){.warped = u->params.warp > 0,
                               .base = bvt.base,
                               .by_evt.unit = u,
                               .by_avt.unit = u,
                               .by_unwarp.unit = u};
    bvt_wake(u, now);
}

static void bvt_remove(struct sched_unit *u, u64 now)
{
    bvt_block(u, now);
    heap_remove(&u->bvt.by_unwarp);
    changes_forget(&bvt.changes, u);
}

static void bvt_set(struct sched_unit *u, const struct sched_params *p, u64 now)
{
    advance(now);
    changes_note(&bvt.changes, u, p);
}

static void change(struct sched_unit *u, u64 now)
{
    (void)now;
    heap_remove(&u->bvt.by_unwarp);
    set_warped(u, u->params.warp > 0);
}

static void bvt_timer(struct sched_unit *u, u64 now)
{
    advance(now);
    if (u == bvt.current)
        bvt.due = true;
}

static void bvt_charge(struct sched_unit *u, u64 ran, u64 now)
{
    (void)now;
    u->ran += ran;
    if (u == bvt.current)
        bvt.uncharged += ran;
}

/* --- The decision --------------------------------------------------------------------------- */

/* How long n1 may run: until it is C past the next one. */
static u64 slice_of(const struct sched_unit *n1, const struct heap_node *n2)
{
    /* LAB 3 BEGIN: For how long n1 may run, beside the next best one. */
    if (!n1)
        return C;
    if (!n2)
        return 10 * C;
    return (u64)(n2->key - evt_of(n1)) / n1->params.mcu_adv * MCU + C;
    /* LAB 3 END: todo(3, "3.2", n1, n2, evt_of); */
}

static void schedule(u64 now)
{
    /* LAB 3 BEGIN: The decision: the lowest effective virtual time runs; and who would be next. */
    struct sched_unit *prev = bvt.current;

    if (prev) {
        deschedule();
        requeue(prev, now);
    }
    changes_take(&bvt.changes, change, now);
    struct sched_unit *n1 = heap_first(&bvt.by_evt);
    if (n1)
        bvt.svt = lowest_avt();
    if (bvt.svt >= BVT_REBASE)
        rebase_all();
    bvt.current = n1;
    bvt.due = false;
    bvt.start = now;
    bvt.timer = now + slice_of(n1, heap_first_but(&bvt.by_evt, n1));
    if (n1 && n1->bvt.warped && n1->params.warpl)
        bvt.warp_timer = now + n1->params.warpl;
    /* LAB 3 END: todo(3, "3.2", now, deschedule, requeue, change, lowest_avt, slice_of,
       rebase_all); */
}

static struct sched_choice bvt_pick(u32 cpu, u64 now)
{
    (void)cpu;
    advance(now);
    if (bvt.due || now >= bvt.timer)
        schedule(now);
    return (struct sched_choice){bvt.current,
                                 min_u64(bvt.timer, min_u64(bvt.warp_timer, next_unwarp()))};
}

static struct sched_reason bvt_reason(u32 cpu)
{
    (void)cpu;
    const struct sched_unit *u = bvt.current;
    const struct heap_node *other = heap_first_but(&bvt.by_evt, u);
    return (struct sched_reason){
        .key = u ? evt_of(u) + bvt.base : 0,
        .other = other ? other->unit : NULL,
        .other_key = other ? other->key + bvt.base : 0,
        .runnable = bvt.by_evt.count,
    };
}

static void bvt_report(const struct sched_unit *u)
{
    TRACE(sched_bvt, u->vm, u->vcpu, .avt = (u64)(u->bvt.avt + u->bvt.base),
          .evt = (u64)(evt_of(u) + u->bvt.base), .svt = (u64)(bvt.svt + bvt.base),
          .warped = u->bvt.warped);
}

const struct sched_ops sched_bvt = {
    .name = "bvt",
    .init = bvt_init,
    .add = bvt_add,
    .remove = bvt_remove,
    .set = bvt_set,
    .wake = bvt_wake,
    .block = bvt_block,
    .timer = bvt_timer,
    .charge = bvt_charge,
    .pick = bvt_pick,
    .reason = bvt_reason,
    .report = bvt_report,
};
