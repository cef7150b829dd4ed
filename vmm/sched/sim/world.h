/*
 * The simulator proper: vCPUs with behaviours on some CPUs, under a scheduler,
 * from event to event. What happens goes into the trace (simtrace.h).
 */
#ifndef VMM_SCHED_SIM_WORLD_H
#define VMM_SCHED_SIM_WORLD_H

#include "vmm/sched/sched.h"
#include "vmm/sched/sim/work.h"
#include "vmm/vmargs.h"

#define WORLD_MAX_VMS 65000u

struct world_options {
    const struct sched_ops *sched;
    u64 cpus, time, slice, seed;
    enum sched_charge charge;
    u64 window;   /* ns: what each vCPU ran is summed up so often; 0: never */
    u32 trace;    /* 1: every call; 0: sums only */
    u64 tracebuf; /* bytes */
};

/* One vCPU. */
struct actor {
    struct sched_unit unit;
    const struct vm_args *args;
    struct work work;
    u64 rng;
    u64 left;        /* ns of its burst; ~0: for ever */
    u64 stop;        /* when a burst by the clock ends */
    u64 ready_since; /* it waits for the CPU since then; ~0: not */
    u32 changed;
    struct heap_node by_wake, by_change;
    /* Sums, of the window under way and of all. */
    u64 window_ran, ran, wakes, waited, longest_wait;
};

struct world {
    struct world_options options;
    struct actor *actors;
    u32 count;
};

/* Run to the end; false and a sentence on stderr if a VM is refused. */
bool world_run(struct world *);
/* From a file (load.c); false and a sentence on stderr. */
bool world_load(struct world *, const char *path);
/* Its VMs, one a line, with what they had: CSV on stdout. */
void world_print(const struct world *);

#endif
