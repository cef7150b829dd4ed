/*
 * Measuring a trace record: the ticks of many less those of an empty loop.
 */
#include "vmm/bench.h"
#include "kernel/trace.h"

#define ROUNDS 1000

static u64 loop(bool record)
{
    u64 from = clock_tsc();

    for (u32 i = 0; i < ROUNDS; i++) {
        __asm__ volatile("");
        if (record)
            TRACE(entry, 0, 0, .rip = i, .inject = 0);
    }
    return clock_tsc() - from;
}

void bench_record(void)
{
    u64 empty = loop(false), full = loop(true);

    TRACE_TEXT(note, 0, 0, "bench: ticks for 1000 trace records", .value = full - empty);
}
