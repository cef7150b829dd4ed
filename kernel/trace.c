/*
 * The trace area: its header, which events are recorded, and the records that
 * end in a text. The fast path is inline in trace.h.
 */
#include "kernel/trace.h"
#include "kernel/args.h"
#include "kernel/trace_schema.h"

struct trace_cpu trace_cpu[TRACE_MAX_CPUS];
u64 trace_mask[EVENT_LIMIT / 64];
bool trace_walks_named;
#ifdef HOST_BUILD
u32 trace_host_cpu;
#endif

/* The groups of formats.md section 4, by ranges of event numbers. What is in
 * none of them is always recorded, unless the trace is off. */
static const struct {
    const char *name;
    u8 first, last;
} groups[] = {
    {"exits", EVENT_entry, EVENT_exit},   {"exits", EVENT_inject, EVENT_reinject},
    {"time", EVENT_timer_program, EVENT_window}, {"sched", EVENT_sched_pick, EVENT_sched_start},
    {"walks", EVENT_walk_begin, EVENT_walk_end}, {"memory", EVENT_map, EVENT_harvest},
    {"io", EVENT_io, EVENT_mmio},         {"io", EVENT_test_port, EVENT_test_port},
    {"exits", EVENT_host_irq, EVENT_host_timer}, {"sched", EVENT_sched_setup, EVENT_sched_call},
    {"sched", EVENT_sched_bvt, EVENT_sched_window}, {"memory", EVENT_shadow_root, EVENT_shadow_zap},
};

static void mask_range(u8 first, u8 last, bool on)
{
    for (u32 e = first; e <= last; e++) {
        u64 bit = 1ull << (e % 64);
        trace_mask[e / 64] = on ? trace_mask[e / 64] | bit : trace_mask[e / 64] & ~bit;
    }
}

static bool mask_group(struct word name, bool on)
{
    bool known = false;

    for (u32 i = 0; i < ARRAY_SIZE(groups); i++)
        if (word_is(name, groups[i].name)) {
            mask_range(groups[i].first, groups[i].last, on);
            known = true;
        }
    return known;
}

static void mask_all_groups(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(groups); i++)
        mask_range(groups[i].first, groups[i].last, false);
}

static int select_list(const char *text, size_t len)
{
    while (len) {
        size_t n = 0;
        while (n < len && text[n] != ',')
            n++;
        struct word name = {text, n};
        if (!mask_group(name, true))
            return -EINVAL;
        trace_walks_named |= word_is(name, "walks");
        n += n < len;
        text += n;
        len -= n;
    }
    return 0;
}

int trace_select(const char *text, size_t len)
{
    struct word w = {text, len};

    memset(trace_mask, 0xff, sizeof(trace_mask));
    trace_walks_named = false;
    if (word_is(w, "all"))
        return 0;
    if (word_is(w, "off")) {
        memset(trace_mask, 0, sizeof(trace_mask));
        return 0;
    }
    if (word_is(w, "some")) {
        mask_group((struct word){"exits", 5}, false);
        mask_group((struct word){"io", 2}, false);
        return 0;
    }
    mask_all_groups();
    return word_is(w, "none") ? 0 : select_list(text, len);
}

/* Copy a text into a zero-padded field, always ending in a zero. */
static void field_set(char *to, size_t size, const char *from)
{
    size_t n = min_u64(strlen(from), size - 1);

    memset(to, 0, size);
    memcpy(to, from, n);
}

void trace_init(void *area, u64 size, const struct trace_setup *setup)
{
    struct trace_header *h = area;
    u64 off = align_up(PAGE_SIZE + trace_schema_size, PAGE_SIZE);

    memset(area, 0, off); /* the rest is found by "used" */
    memcpy(h->magic, TRACE_MAGIC, 8);
    h->version = TRACE_VERSION;
    h->cpus = 1;
    h->size = size;
    h->clock_hz = clock_hz;
    h->tsc_base = clock_base;
    h->nonce = setup->nonce;
    h->seed = setup->seed;
    h->schema_off = PAGE_SIZE;
    h->schema_size = trace_schema_size;
    memcpy((u8 *)area + h->schema_off, trace_schema, trace_schema_size);
    field_set(h->build_id, sizeof(h->build_id), setup->build_id);
    field_set(h->platform, sizeof(h->platform), setup->platform);
    field_set(h->cmdline, sizeof(h->cmdline), setup->cmdline);
    h->cpu[0] = (struct trace_buffer){.off = off, .size = size - off};
    trace_cpu[0] = (struct trace_cpu){(u8 *)area + off, size - off - TRACE_RESERVE, &h->cpu[0]};
    memset(trace_mask, 0xff, sizeof(trace_mask));
    TRACE(trace_start, 0, 0, .pcpus = 1, .buffer = size - off);
}

void trace_open_reserve(void)
{
    if (!trace_cpu[0].buf) /* too early for a trace */
        memset(trace_mask, 0, sizeof(trace_mask));
    else
        trace_cpu[0].limit = trace_cpu[0].buf->size;
}

void trace_text(u32 event, u16 vm, u8 vcpu, const u64 *fields, u32 n, const char *text)
{
    u32 room = 255 - n, len = (u32)min_u64(strlen(text), 8 * room);
    u32 words = n + (len + 7) / 8;
    struct trace_buffer *buf = trace_buffer();

    if (!trace_wanted(event) || !trace_room(buf, words))
        return;
    struct trace_record *r = trace_begin(buf);
    memcpy(r->payload, fields, 8 * n);
    if (words > n)
        r->payload[words - 1] = 0;
    memcpy(&r->payload[n], text, len);
    trace_commit(buf, r, event, trace_who(vm, vcpu), words, text[len] ? TRACE_CUT : 0);
}
