/*
 * The trace's header and record as they lie in memory (handouts/formats.md
 * section 1). How they are written stands in trace.h.
 */
#ifndef KERNEL_TRACE_FORMAT_H
#define KERNEL_TRACE_FORMAT_H

#include "kernel/types.h"

#define TRACE_MAGIC    "NESTTRC1"
#define TRACE_VERSION  1u
#define TRACE_BASE     0x10000000ull
#define TRACE_MAX_CPUS 8
#define TRACE_RESERVE  4096u /* the end of each buffer, kept for a panic */
#define TRACE_CUT      1u    /* record flag: the text was too long */

struct trace_buffer {
    u64 off;
    u64 size;
    u64 used;
    u64 dropped;
};

struct trace_header {
    char magic[8];
    u32 version;
    u32 cpus;
    u64 size;
    u64 clock_hz;
    u64 tsc_base;
    u64 nonce;
    u64 seed;
    u32 schema_off;
    u32 schema_size;
    char build_id[40];
    char platform[24];
    char cmdline[512];
    struct trace_buffer cpu[TRACE_MAX_CPUS];
};

struct trace_record {
    u64 tsc;
    u64 tag; /* event, vm, vcpu, pcpu, words, flags: one store, the last */
    u64 payload[];
};

#endif
