/*
 * See simtrace.h. The area is laid out by kernel/trace.c for one CPU; more
 * CPUs share the room that this one would have.
 */
#include <stdio.h>
#include <stdlib.h>
#include "vmm/sched/sim/simtrace.h"

static u8 *area;

/* Parts of equal size, whole pages. */
static void split(struct trace_header *h, u32 cpus)
{
    u64 off = h->cpu[0].off, size = h->cpu[0].size / cpus / PAGE_SIZE * PAGE_SIZE;

    h->cpus = cpus;
    for (u32 i = 0; i < cpus; i++) {
        h->cpu[i] = (struct trace_buffer){.off = off + i * size, .size = size};
        trace_cpu[i] = (struct trace_cpu){area + off + i * size, size - TRACE_RESERVE, &h->cpu[i]};
    }
}

void simtrace_begin(u64 bytes, u32 cpus, const char *cmdline, u64 seed)
{
    const struct trace_setup setup = {"", "simulator", cmdline, 0, seed};

    free(area);
    area = malloc(bytes);
    if (!area) {
        fprintf(stderr, "schedsim: no memory for a trace of %llu bytes\n",
                (unsigned long long)bytes);
        exit(2);
    }
    simtrace_cpu(0);
    trace_init(area, bytes, &setup);
    split((struct trace_header *)(void *)area, cpus);
    TRACE(trace_start, 0, 0, .pcpus = cpus, .buffer = trace_cpu[0].buf->size);
}

void simtrace_cpu(u32 cpu)
{
    trace_host_cpu = cpu;
}

u64 simtrace_dropped(void)
{
    const struct trace_header *h = (const void *)area;
    u64 dropped = 0;

    for (u32 i = 0; i < h->cpus; i++)
        dropped += h->cpu[i].dropped;
    return dropped;
}

/* Up to the last byte in use. */
bool simtrace_write(const char *path)
{
    const struct trace_header *h = (const void *)area;
    const struct trace_buffer *last = &h->cpu[h->cpus - 1];
    u64 bytes = last->off + last->used;
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(area, 1, bytes, f) == bytes;

    if (f && fclose(f) != 0)
        ok = false;
    if (!ok)
        fprintf(stderr, "schedsim: cannot write %s\n", path);
    return ok;
}
