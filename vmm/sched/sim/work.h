/*
 * What simulated vCPUs do: behaviours as data. A vCPU wants the CPU for a
 * burst, then blocks until some time, and so on.
 */
#ifndef VMM_SCHED_SIM_WORK_H
#define VMM_SCHED_SIM_WORK_H

#include "vmm/argtable.h"

enum work_kind {
    WORK_CPU,      /* never blocks */
    WORK_IO,       /* runs, waits, runs: each time about as long */
    WORK_PERIODIC, /* runs so long in each period, at the period's beginning */
    WORK_BURSTY,   /* runs and waits between nothing and a lot */
    WORK_ATTACK,   /* stops `wait` before each multiple of `every`, starts after it */
    WORK_YIELD,    /* runs, yields, runs */
};

struct work {
    enum work_kind kind;
    u64 run, wait, every; /* ns */
    u64 vcpus;
};

/* "work=io run=100us wait=5ms": 0, or -EINVAL with a sentence. */
int work_parse(const char *text, struct work *, char *why, size_t why_size);

/* How long it wants the CPU, beginning now; ~0: for ever. */
u64 work_burst(const struct work *, u64 *rng, u64 now);
/* It has had that: until when it blocks; now: it only yields. */
u64 work_wake(const struct work *, u64 *rng, u64 now);
/* Does a burst end at its time, however much of it the CPU was another's? */
bool work_by_clock(const struct work *);

#endif
