/*
 * Writing the trace: TRACE(NAME, ...) for each event of trace_events.def.
 *
 *     TRACE(exit, vm, vcpu, .reason = EXIT_CPUID, .rip = rip);
 *
 * A record costs a few instructions and never fails: a full buffer counts
 * what it drops. What an event means stands in handouts/formats.md.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include "kernel/clock.h"
#include "kernel/mem.h"
#include "kernel/trace_format.h"

/* The values of enum fields: EXIT_CPUID, END_EXITED, ... */
#define V(prefix, word, number)              prefix##_##word = (number),
#define ENUM(name, values)                   enum name { values };
#define EVENT(number, name, fields, doc)
#define EVENT_TEXT(number, name, ...)
#include "kernel/trace_events.def"
#undef EVENT
#undef EVENT_TEXT
#undef ENUM
#undef V
#define ENUM(name, values)

/* The numbers of the events: EVENT_exit, ... */
enum trace_event {
#define EVENT(number, name, fields, doc)     EVENT_##name = (number),
#define EVENT_TEXT(number, name, fields, text, doc) EVENT_##name = (number),
#include "kernel/trace_events.def"
#undef EVENT
#undef EVENT_TEXT
    EVENT_LIMIT = 128
};

struct trace_cpu {
    u8 *base;                 /* of this CPU's records */
    u64 limit;                /* used may not pass this */
    struct trace_buffer *buf; /* in the header, for readers */
};
extern struct trace_cpu trace_cpu[TRACE_MAX_CPUS];
extern u64 trace_mask[EVENT_LIMIT / 64]; /* which events are recorded */
/* "walks" was asked for by name: walk what faults, too (formats.md 4). */
extern bool trace_walks_named;

/* The index of the CPU that runs this. One CPU so far; the scheduler simulator
 * has more. */
#ifdef HOST_BUILD
extern u32 trace_host_cpu;
static inline u32 trace_this_cpu(void)
{
    return trace_host_cpu;
}
#else
static inline u32 trace_this_cpu(void)
{
    return 0;
}
#endif

static inline bool trace_wanted(u32 event)
{
    return __builtin_expect(trace_mask[event / 64] >> (event % 64) & 1, 1);
}

/* Where its records say whose they are: the tag's bits of VM, vCPU and CPU. */
static inline u64 trace_who(u16 vm, u8 vcpu)
{
    return (u64)trace_this_cpu() << 40 | (u64)vcpu << 32 | (u64)vm << 16;
}

/* This CPU's buffer. */
static inline struct trace_buffer *trace_buffer(void)
{
    return trace_cpu[trace_this_cpu()].buf;
}

/* Is there room for a record of so many words? It is counted if not. */
static inline bool trace_room(struct trace_buffer *buf, u32 words)
{
    u64 size = sizeof(struct trace_record) + 8 * words;

    if (__builtin_expect(buf->used + size <= trace_cpu[trace_this_cpu()].limit, 1))
        return true;
    buf->dropped++;
    return false;
}

/* The next record, stamped; only after trace_room(). */
static inline struct trace_record *trace_begin(const struct trace_buffer *buf)
{
    u8 *base = trace_cpu[trace_this_cpu()].base;
    struct trace_record *r = (struct trace_record *)(base + buf->used);

    clock_stamp(&r->tsc);
    return r;
}

/* The record is whole: the tag makes it visible, then the buffer grows. */
static inline void trace_commit(struct trace_buffer *buf, struct trace_record *r, u32 event,
                                u64 who, u32 words, u32 flags)
{
    __asm__ volatile("" ::: "memory");
    r->tag = (u64)flags << 56 | (u64)words << 48 | who | event;
    __asm__ volatile("" ::: "memory");
    buf->used += sizeof(*r) + 8 * words;
}

/* The out-of-line half of TRACE_TEXT; checks trace_wanted() itself. */
void trace_text(u32 event, u16 vm, u8 vcpu, const u64 *fields, u32 n, const char *text);

/* The payload of each event as a struct. */
#define F(field, type) u64 field;
#define EVENT(number, name, fields, doc)                                                           \
    struct trace_##name {                                                                          \
        fields                                                                                     \
    };
#define EVENT_TEXT(number, name, fields, text, doc) EVENT(number, name, fields, doc)
#include "kernel/trace_events.def"
#undef EVENT
#undef EVENT_TEXT
#undef F
#undef ENUM

#define TRACE(name, vm, vcpu, ...) TRACE_BY(name, trace_who(vm, vcpu), __VA_ARGS__)

/* The same with trace_who()'s answer, where it is kept: the way of an exit. */
#define TRACE_BY(name, who, ...)                                                                   \
    do {                                                                                           \
        const u32 words_ = sizeof(struct trace_##name) / 8;                                        \
        struct trace_buffer *buf_ = trace_buffer();                                                \
        if (trace_wanted(EVENT_##name) && trace_room(buf_, words_)) {                              \
            struct trace_record *r_ = trace_begin(buf_);                                           \
            *(struct trace_##name *)r_->payload = (struct trace_##name){__VA_ARGS__};              \
            trace_commit(buf_, r_, EVENT_##name, who, words_, 0);                                  \
        }                                                                                          \
    } while (0)

/* The same for events that end in a text. */
#define TRACE_TEXT(name, vm, vcpu, text, ...)                                                      \
    trace_text(EVENT_##name, vm, vcpu, (const u64 *)&(struct trace_##name){__VA_ARGS__},           \
               sizeof(struct trace_##name) / 8, text)

struct trace_setup {
    const char *build_id, *platform, *cmdline;
    u64 nonce, seed;
};
/* Lay out the trace in size bytes at area and begin. All groups are on. */
void trace_init(void *area, u64 size, const struct trace_setup *);
/* Let the next records use the room that is kept for a panic. */
void trace_open_reserve(void);
/* Record only these groups: "all", "some", "none", "off" or a list (formats.md 4).
 * 0 or -EINVAL. */
int trace_select(const char *groups, size_t len);

#endif
