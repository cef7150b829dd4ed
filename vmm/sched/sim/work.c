/*
 * See work.h. Random numbers come from each vCPU's own generator, so what one
 * does depends neither on the scheduler nor on the others.
 */
#include "vmm/sched/sim/work.h"

#define US 1000ull
#define MS (1000 * US)

static const char *const kinds[] = {"cpu", "io", "periodic", "bursty", "attack", "yield", NULL};

#define FIELD(name) .offset = offsetof(struct work, name)

static const struct arg_key keys[] = {
    {"work", FIELD(kind), .words = kinds},
    {"run", FIELD(run), .unit = &arg_time, .low = 1, .high = 1000 * NS_PER_SEC,
     .range = "1ns to 1000s"},
    {"wait", FIELD(wait), .unit = &arg_time, .low = 1, .high = 1000 * NS_PER_SEC,
     .range = "1ns to 1000s"},
    {"every", FIELD(every), .unit = &arg_time, .low = 1, .high = 1000 * NS_PER_SEC,
     .range = "1ns to 1000s"},
    {"vcpus", FIELD(vcpus), .unit = &arg_number, .low = 1, .high = 4, .range = "1 to 4"},
};

static const struct argtable table = {"part of a behaviour", keys, ARRAY_SIZE(keys), false};

int work_parse(const char *text, struct work *w, char *why, size_t why_size)
{
    *w = (struct work){.run = 1 * MS, .wait = 5 * MS, .every = 10 * MS, .vcpus = 1};
    int err = argtable_parse(&table, &text, w, &(struct arg_error){why, why_size});
    if (!err && w->kind == WORK_ATTACK && w->wait >= w->every)
        return arg_refuse(&(struct arg_error){why, why_size}, "an attack needs wait < every");
    return err;
}

static u64 below(u64 *rng, u64 n)
{
    *rng = *rng * 6364136223846793005ull + 1442695040888963407ull;
    return (*rng >> 20) % n;
}

/* About so long: half to one and a half of it. */
static u64 about(u64 *rng, u64 span)
{
    return span / 2 + below(rng, span) + 1;
}

/* Mostly short, now and then eight times as long. */
static u64 uneven(u64 *rng, u64 span)
{
    return 1 + below(rng, below(rng, 8) ? 2 * span : 8 * span);
}

/* The next multiple of `every`, after now. */
static u64 next_period(const struct work *w, u64 now)
{
    return (now / w->every + 1) * w->every;
}

u64 work_burst(const struct work *w, u64 *rng, u64 now)
{
    switch (w->kind) {
    case WORK_IO:
        return about(rng, w->run);
    case WORK_BURSTY:
        return uneven(rng, w->run);
    case WORK_ATTACK:
        return next_period(w, now + w->wait) - w->wait - now;
    case WORK_PERIODIC:
    case WORK_YIELD:
        return w->run;
    default:
        return ~0ull;
    }
}

u64 work_wake(const struct work *w, u64 *rng, u64 now)
{
    switch (w->kind) {
    case WORK_IO:
        return now + about(rng, w->wait);
    case WORK_BURSTY:
        return now + uneven(rng, w->wait);
    case WORK_PERIODIC:
        return next_period(w, now);
    case WORK_ATTACK:
        return next_period(w, now) + 1;
    default:
        return now;
    }
}

bool work_by_clock(const struct work *w)
{
    return w->kind == WORK_ATTACK;
}
