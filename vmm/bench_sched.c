/*
 * What a decision costs with so many VMs: the scheduler's own object code, with
 * units that stand for VMs but run nothing, in steps of its own time. A step is
 * all the calls of one moment: charge, the end of a turn or a block and a wake,
 * and pick. Steps in which Credit gives out credits are counted apart: those
 * look at every VM by design. The mean counts, and the dearest step is told.
 */
#include "vmm/bench.h"
#include "kernel/format.h"
#include "kernel/frame.h"
#include "kernel/mem.h"
#include "kernel/panic.h"
#include "kernel/trace.h"

#define US      1000ull
#define SLICE   (5 * US)   /* sedf: the least there is, so that all fit */
#define BETWEEN (10 * US)  /* one VM comes after the other: half the CPU is asked for */
#define LONGEST 1000000ull /* ns that a step takes of the scheduler's time, at most */
#define ACCOUNT 30000000ull
#define STEPS   1200u

static const u32 sizes[] = {10, 30, 100, 300, 1000, 3000, 10000};
#define MOST 10000u

struct crowd {
    const struct sched_ops *ops;
    struct sched_unit *units, *asleep;
    u32 count;
    u64 now;
    struct sched_choice on;
};

struct cost {
    u64 ticks, steps, most;
};

static void begin(struct crowd *c, enum sched_charge charge)
{
    c->ops->init(&(struct sched_setup){BETWEEN, 1, charge});
    c->on = (struct sched_choice){.until = ~0ull};
    memset(c->units, 0, c->count * sizeof(*c->units));
    for (u32 i = 0; i < c->count; i++) {
        struct sched_unit *u = &c->units[i];
        u->vm = (u16)(i + 1);
        u->lead = u;
        u->params = sched_defaults;
        u->params.slice = SLICE;
        u->params.period = c->count * BETWEEN;
        c->now += BETWEEN;
        if (c->on.unit)
            c->ops->charge(c->on.unit, BETWEEN, c->now);
        c->ops->add(u, c->now);
        c->on = c->ops->pick(0, c->now);
    }
}

/* Every other time who runs goes to sleep, and who slept wakes. */
static void step(struct crowd *c, u64 ran, bool sleeps)
{
    struct sched_unit *u = c->on.unit;

    c->now += ran;
    if (u) {
        c->ops->charge(u, ran, c->now);
        if (sleeps)
            c->ops->block(u, c->now);
        else
            c->ops->timer(u, c->now);
    }
    if (u && sleeps) {
        if (c->asleep)
            c->ops->wake(c->asleep, c->now);
        c->asleep = u;
    }
    c->on = c->ops->pick(0, c->now);
}

static void count(struct crowd *c, u32 steps, struct cost *decision, struct cost *account)
{
    for (u32 i = 0; i < steps; i++) {
        u64 ran = min_u64(c->on.until - c->now, LONGEST), before = c->now, from = clock_tsc();
        step(c, ran, i % 2);
        u64 ticks = clock_tsc() - from;
        bool accounts = c->ops == &sched_credit && before / ACCOUNT != c->now / ACCOUNT;
        struct cost *cost = accounts ? account : decision;
        cost->ticks += ticks;
        cost->steps++;
        cost->most = max_u64(cost->most, ticks);
    }
}

static void report(const char *what, u32 vms, const struct cost *cost)
{
    char text[64];

    if (!cost->steps)
        return;
    format(text, sizeof(text), "bench: %s vms=%u", what, vms);
    TRACE_TEXT(note, 0, 0, text, .value = cost->ticks / cost->steps);
    format(text, sizeof(text), "bench: dearest %s vms=%u", what, vms);
    TRACE_TEXT(note, 0, 0, text, .value = cost->most);
}

void bench_sched(const struct sched_ops *ops, enum sched_charge charge)
{
    u64 frames = (MOST * sizeof(struct sched_unit) + PAGE_SIZE - 1) / PAGE_SIZE;
    hpa_t memory = frames_alloc(frames, PAGE_SIZE, OWNER_KERNEL);

    if (!memory.v)
        panic("bench=sched: no memory for %u VMs", MOST);
    for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct crowd c = {.ops = ops, .units = hpa_ptr(memory), .count = sizes[i]};
        struct cost decision = {0}, account = {0}, unused = {0};
        begin(&c, charge);
        count(&c, c.count, &unused, &unused); /* until all have run: then they are active */
        count(&c, STEPS, &decision, &account);
        report("decision", c.count, &decision);
        report("account", c.count, &account);
    }
    frames_free(memory, frames, OWNER_KERNEL);
}
