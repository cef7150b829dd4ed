/*
 * A trace for unit tests: one buffer on the host that records every event,
 * and a search over its records. Needs kernel/trace.c.
 */
#include "vmm/tests/host.h"

static u64 area[(4u << 20) / 8];
static struct trace_buffer buffer;

void host_trace_start(void)
{
    buffer = (struct trace_buffer){.size = sizeof(area)};
    trace_cpu[0] = (struct trace_cpu){.base = (u8 *)area, .limit = sizeof(area), .buf = &buffer};
    for (u32 i = 0; i < ARRAY_SIZE(trace_mask); i++)
        trace_mask[i] = ~0ull;
}

const struct trace_record *host_trace_find(u32 event, const struct trace_record *after)
{
    u64 at = 0;

    if (after)
        at = (u64)((const u8 *)(after->payload + host_record_words(after)) - (const u8 *)area);
    while (at < buffer.used) {
        const struct trace_record *r = (const void *)((const u8 *)area + at);
        if (host_record_event(r) == event)
            return r;
        at += sizeof(*r) + 8ull * host_record_words(r);
    }
    return NULL;
}

u64 host_trace_count(u32 event)
{
    u64 n = 0;

    for (const struct trace_record *r = NULL; (r = host_trace_find(event, r));)
        n++;
    return n;
}
