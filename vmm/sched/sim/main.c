/*
 * schedsim: the schedulers' object code on a developer's machine.
 *
 *     schedsim fuzz SCHED FIRST COUNT DECISIONS TRACE     random workloads
 *     schedsim replay TRACE                               repeat a run's calls
 *     schedsim run FILE TRACE                             simulate (load.c)
 *     schedsim serve                                      answer calls (serve.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/sched/sim/fuzz.h"
#include "vmm/sched/sim/replay.h"
#include "vmm/sched/sim/serve.h"
#include "vmm/sched/sim/simtrace.h"
#include "vmm/sched/sim/world.h"

static int usage(void)
{
    fprintf(stderr, "usage: schedsim fuzz SCHED FIRST COUNT DECISIONS TRACE\n"
                    "       schedsim replay TRACE\n"
                    "       schedsim run FILE TRACE\n"
                    "       schedsim serve\n");
    return 2;
}

static const struct sched_ops *find(const char *name)
{
    const struct sched_ops *ops = sched_find(name, strlen(name));

    if (!ops)
        fprintf(stderr, "schedsim: no scheduler is called '%s'\n", name);
    return ops;
}

/* All workloads into one trace, one after the other. */
static int fuzz(char **words)
{
    const struct sched_ops *ops = find(words[0]);
    u64 first = strtoull(words[1], NULL, 0), count = strtoull(words[2], NULL, 0);
    u32 decisions = (u32)strtoul(words[3], NULL, 0);

    if (!ops)
        return 2;
    simtrace_begin((4u << 20) + count * decisions * 4000, 1, "", first);
    for (u64 seed = first; seed < first + count; seed++)
        fuzz_workload(ops, seed, decisions);
    if (simtrace_dropped()) {
        fprintf(stderr, "schedsim: the trace was too small\n");
        return 2;
    }
    return simtrace_write(words[4]) ? 0 : 2;
}

/* What is on of the trace: all, or the sums of windows. */
static void select_trace(bool all)
{
    memset(trace_mask, all ? 0xff : 0, sizeof(trace_mask));
    trace_mask[EVENT_sched_window / 64] |= 1ull << EVENT_sched_window % 64;
    trace_mask[EVENT_sched_start / 64] |= 1ull << EVENT_sched_start % 64;
}

static int run(char **words)
{
    struct world w;

    if (!world_load(&w, words[0]))
        return 2;
    simtrace_begin(w.options.tracebuf, w.options.trace ? (u32)w.options.cpus : 1, "",
                   w.options.seed);
    select_trace(w.options.trace);
    bool ran = world_run(&w);
    if (ran)
        world_print(&w);
    if (simtrace_dropped())
        fprintf(stderr, "schedsim: the trace was full: records are missing\n");
    return simtrace_write(words[1]) && ran ? 0 : 2;
}

int main(int count, char **words)
{
    if (count == 7 && strcmp(words[1], "fuzz") == 0)
        return fuzz(words + 2);
    if (count == 3 && strcmp(words[1], "replay") == 0)
        return replay_file(words[2]);
    if (count == 4 && strcmp(words[1], "run") == 0)
        return run(words + 2);
    if (count == 2 && strcmp(words[1], "serve") == 0)
        return serve();
    return usage();
}
