/*
 * See world.h. At each event all running vCPUs are charged, then what happens
 * at that time is called: bursts that end, parameters that change, vCPUs that
 * wake, in the order of their numbers; then each CPU picks.
 */
#include <stdio.h>
#include "vmm/sched/calls.h"
#include "vmm/sched/sim/simtrace.h"
#include "vmm/sched/sim/world.h"

#define NEVER (~0ull)

static struct {
    struct world *w;
    const struct sched_ops *ops;
    struct heap wakes, changes; /* of actors, by time */
    struct sched_choice on[SCHED_MAX_CPUS];
    u64 now, last_window, next_window;
    enum sched_why why;
} s;

static struct actor *actor_of(struct sched_unit *u)
{
    return (struct actor *)(void *)((u8 *)u - offsetof(struct actor, unit));
}

static u64 first_time(const struct heap *h)
{
    return h->root ? (u64)h->root->key : NEVER;
}

/* --- What happens to an actor ------------------------------------------------------------ */

static void begin_burst(struct actor *a)
{
    a->left = work_burst(&a->work, &a->rng, s.now);
    a->stop = work_by_clock(&a->work) ? s.now + a->left : NEVER;
    if (a->stop != NEVER)
        a->left = NEVER;
}

static void wake(struct actor *a)
{
    heap_remove(&a->by_wake);
    begin_burst(a);
    a->ready_since = s.now;
    a->wakes++;
    s.why = WHY_WOKEN;
    TRACE(sched_wake, a->unit.vm, a->unit.vcpu, .why = WAKE_INTERRUPT);
    call_wake(s.ops, &a->unit, s.now);
}

static void forget(const struct sched_unit *u)
{
    for (u32 i = 0; i < s.w->options.cpus; i++)
        if (s.on[i].unit == u)
            s.on[i].unit = NULL;
}

/* It yields, if there is nothing to wait for. */
static void end_burst(struct actor *a)
{
    u64 at = work_wake(&a->work, &a->rng, s.now);

    if (at <= s.now) {
        s.why = WHY_YIELDED;
        begin_burst(a);
        call_timer(s.ops, &a->unit, s.now);
        return;
    }
    s.why = WHY_BLOCKED;
    TRACE(sched_block, a->unit.vm, a->unit.vcpu, .why = BLOCK_HLT);
    call_block(s.ops, &a->unit, s.now);
    forget(&a->unit);
    heap_insert(&s.wakes, &a->by_wake, (s64)at, 0);
}

static void await_change(struct actor *a)
{
    heap_remove(&a->by_change);
    if (a->unit.vcpu == 0 && a->changed < a->args->changes)
        heap_insert(&s.changes, &a->by_change, (s64)a->args->later[a->changed].at, 0);
}

static void change(struct actor *a)
{
    char why[256];
    const struct sched_params *p = &a->args->later[a->changed++].sched;

    if (call_set(s.ops, &a->unit, p, s.now, why, sizeof(why)) != 0)
        TRACE_TEXT(note, a->unit.vm, 0, why, .value = s.now);
    await_change(a);
}

static bool begin(struct actor *a)
{
    char why[256];

    TRACE_TEXT(vm_create, a->unit.vm, a->unit.vcpu, "simulated", .memory = 0);
    if (call_add(s.ops, &a->unit, s.now, why, sizeof(why)) != 0) {
        fprintf(stderr, "schedsim: VM %u: %s\n", a->unit.vm, why);
        return false;
    }
    begin_burst(a);
    a->ready_since = s.now;
    await_change(a);
    return true;
}

/* --- Time ---------------------------------------------------------------------------- */

static u64 end_of_turn(const struct sched_choice *c)
{
    if (!c->unit)
        return c->until;
    const struct actor *a = actor_of(c->unit);
    u64 done = a->left == NEVER ? a->stop : s.now + a->left;
    return min_u64(c->until, done);
}

static u64 next_event(void)
{
    u64 next = min_u64(first_time(&s.wakes), first_time(&s.changes));

    next = min_u64(next, min_u64(s.next_window, s.w->options.time));
    for (u32 i = 0; i < s.w->options.cpus; i++)
        next = min_u64(next, end_of_turn(&s.on[i]));
    return max_u64(next, s.now);
}

static void charge_all(u64 span)
{
    for (u32 i = 0; i < s.w->options.cpus; i++) {
        if (!s.on[i].unit)
            continue;
        struct actor *a = actor_of(s.on[i].unit);
        simtrace_cpu(s.w->options.trace ? i : 0);
        call_charge(s.ops, &a->unit, span, s.now);
        a->window_ran += span;
        if (a->left != NEVER)
            a->left -= span;
    }
    simtrace_cpu(0);
}

/* The sums of a window, one record a vCPU, whatever else is traced. */
static void end_window(void)
{
    for (u32 i = 0; i < s.w->count; i++) {
        struct actor *a = &s.w->actors[i];
        TRACE(sched_window, a->unit.vm, a->unit.vcpu, .at = s.now, .ran = a->window_ran,
              .wakes = a->wakes, .waited = a->waited);
        a->ran += a->window_ran;
        a->window_ran = 0;
    }
    s.last_window = s.now;
    s.next_window = s.w->options.window ? s.now + s.w->options.window : NEVER;
}

static void happen(void)
{
    for (u32 i = 0; i < s.w->options.cpus; i++) {
        struct actor *a = s.on[i].unit ? actor_of(s.on[i].unit) : NULL;
        if (a && (a->left == 0 || s.now >= a->stop))
            end_burst(a);
    }
    while (first_time(&s.changes) <= s.now)
        change(actor_of(heap_first(&s.changes)));
    while (first_time(&s.wakes) <= s.now)
        wake(actor_of(heap_first(&s.wakes)));
    if (s.now >= s.next_window)
        end_window();
}

/* --- Decisions ----------------------------------------------------------------------- */

static void pick(u32 cpu)
{
    struct sched_unit *prev = s.on[cpu].unit;

    simtrace_cpu(s.w->options.trace ? cpu : 0);
    s.on[cpu] = call_pick(s.ops, cpu, prev, s.why, s.now);
    simtrace_cpu(0);
    if (prev && prev != s.on[cpu].unit && prev->runnable)
        actor_of(prev)->ready_since = s.now;
    if (!s.on[cpu].unit || s.on[cpu].unit == prev)
        return;
    struct actor *a = actor_of(s.on[cpu].unit);
    if (a->ready_since == NEVER)
        return;
    u64 waited = s.now - a->ready_since;
    a->ready_since = NEVER;
    a->waited += waited;
    a->longest_wait = max_u64(a->longest_wait, waited);
}

/* A CPU that found nothing looks again once the others have chosen. */
static void pick_all(void)
{
    for (u32 i = 0; i < s.w->options.cpus; i++)
        pick(i);
    for (u32 i = 0; s.w->options.cpus > 1 && i < s.w->options.cpus; i++)
        if (!s.on[i].unit)
            pick(i);
}

bool world_run(struct world *w)
{
    s.w = w;
    s.ops = w->options.sched;
    s.next_window = w->options.window ? w->options.window : NEVER;
    call_init(s.ops,
              &(struct sched_setup){w->options.slice, (u32)w->options.cpus, w->options.charge});
    for (u32 i = 0; i < w->count; i++)
        if (!begin(&w->actors[i]))
            return false;
    s.why = WHY_FIRST;
    pick_all();
    while (s.now < w->options.time) {
        u64 before = s.now;
        s.now = next_event();
        clock_test_ns = s.now;
        s.why = WHY_SLICE_END;
        charge_all(s.now - before);
        happen();
        pick_all();
    }
    if (s.last_window != s.now)
        end_window();
    return true;
}

void world_print(const struct world *w)
{
    printf("vm,vcpu,ran_ns,wakes,waited_ns,longest_wait_ns\n");
    for (u32 i = 0; i < w->count; i++) {
        const struct actor *a = &w->actors[i];
        printf("%u,%u,%llu,%llu,%llu,%llu\n", a->unit.vm, a->unit.vcpu, (unsigned long long)a->ran,
               (unsigned long long)a->wakes, (unsigned long long)a->waited,
               (unsigned long long)a->longest_wait);
    }
}
