/*
 * Repeats a scheduler's calls from a trace, of the machine or of the simulator,
 * and compares each decision with the one that was made there. The trace must
 * carry this program's own schema text: then the structs fit the records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernel/trace_schema.h"
#include "vmm/sched/calls.h"
#include "vmm/sched/sim/replay.h"

#define MAX_VMS   65536u
#define MAX_VCPUS 4u

static struct sched_unit *units[MAX_VMS][MAX_VCPUS];
static const struct sched_ops *ops;
static u64 decisions, slice;
static bool differs;

/* --- The file ------------------------------------------------------------------------- */

static u8 *read_file(const char *path, u64 *size)
{
    FILE *f = fopen(path, "rb");
    u8 *data = NULL;

    if (f && fseek(f, 0, SEEK_END) == 0) {
        *size = (u64)ftell(f);
        data = malloc(*size + sizeof(struct trace_header));
        rewind(f);
        if (data && fread(data, 1, *size, f) != *size) {
            free(data);
            data = NULL;
        }
    }
    if (f)
        fclose(f);
    return data;
}

/* What is wrong with the file, or NULL. */
static const char *refuse(const u8 *data, u64 size)
{
    const struct trace_header *h = (const void *)data;

    if (!data)
        return "cannot be read";
    if (size < sizeof(*h) || memcmp(h->magic, TRACE_MAGIC, 8) != 0)
        return "is no trace";
    if (h->cpus != 1)
        return "has several CPUs, whose records have no order";
    if (h->schema_off > size || h->schema_size > size - h->schema_off ||
        h->schema_size != trace_schema_size ||
        memcmp(data + h->schema_off, trace_schema, trace_schema_size) != 0)
        return "was written by another version";
    if (h->cpu[0].off > size || h->cpu[0].used > size - h->cpu[0].off)
        return "is cut off";
    return h->cpu[0].dropped ? "lacks records that did not fit" : NULL;
}

/* --- Records ------------------------------------------------------------------------------ */

static struct sched_unit **unit_of(u64 tag)
{
    return &units[(tag >> 16) & 0xffff][(tag >> 32) & (MAX_VCPUS - 1)];
}

static struct sched_unit *known(u64 tag)
{
    struct sched_unit *u = *unit_of(tag);

    if (!u) {
        fprintf(stderr, "schedsim: a call for VM %u, which was never added\n",
                (u32)(tag >> 16) & 0xffff);
        exit(2);
    }
    return u;
}

/* sched_add and sched_set have the same fields. */
static struct sched_params params_of(const struct trace_sched_add *r)
{
    return (struct sched_params){.weight = r->weight,
                                 .cap = r->cap,
                                 .slice = r->slice,
                                 .period = r->period,
                                 .extratime = (u32)r->extratime,
                                 .extraweight = r->extraweight,
                                 .mcu_adv = r->mcu_adv,
                                 .warp = r->warp,
                                 .warpl = r->warpl,
                                 .warpu = r->warpu};
}

static void start(const struct trace_sched_start *r, u32 words)
{
    char name[64] = "";

    memcpy(name, r + 1, min_u64(sizeof(name) - 1, 8ull * words - sizeof(*r)));
    ops = sched_find(name, strlen(name));
    slice = r->slice;
    for (u32 vm = 0; vm < MAX_VMS; vm++)
        for (u32 i = 0; i < MAX_VCPUS; i++) {
            free(units[vm][i]);
            units[vm][i] = NULL;
        }
}

static void setup(const struct trace_sched_setup *r)
{
    ops->init(&(struct sched_setup){slice, (u32)r->cpus, (enum sched_charge)r->charging});
}

static void add(u64 tag, const struct trace_sched_add *r)
{
    struct sched_unit **at = unit_of(tag), *u = calloc(1, sizeof(*u));

    if (!u)
        exit(2);
    free(*at);
    *at = u;
    u->vm = (u16)(tag >> 16);
    u->vcpu = (u8)(tag >> 32);
    u->lead = units[u->vm][0];
    u->params = params_of(r);
    ops->add(u, r->at);
}

static void call(u64 tag, const struct trace_sched_call *r)
{
    void (*const calls[])(struct sched_unit *, u64) = {
        [CALL_WAKE] = ops->wake, [CALL_BLOCK] = ops->block, [CALL_TIMER] = ops->timer};

    calls[r->call](known(tag), r->at);
}

static void pick(u64 tag, const struct trace_sched_pick *r)
{
    const struct sched_choice c = ops->pick((u32)r->cpu, r->at);
    const struct sched_reason why = ops->reason((u32)r->cpu);
    u64 vm = (tag >> 16) & 0xffff, vcpu = (tag >> 32) & 0xff;

    decisions++;
    if ((c.unit ? c.unit->vm : 0) == vm && (c.unit ? c.unit->vcpu : 0) == vcpu &&
        c.until == r->until && (u64)why.key == r->key &&
        (why.other ? why.other->vm : 0) == r->other && (u64)why.other_key == r->other_key &&
        why.runnable == r->runnable)
        return;
    differs = true;
    printf("decision %llu, at %llu ns: there VM %llu until %llu ns, here VM %u until %llu ns\n",
           (unsigned long long)decisions, (unsigned long long)r->at, (unsigned long long)vm,
           (unsigned long long)r->until, c.unit ? c.unit->vm : 0, (unsigned long long)c.until);
}

static void take(const struct trace_record *r)
{
    u64 tag = r->tag;
    const void *p = r->payload;
    struct sched_params params;

    switch (tag & 0xffff) {
    case EVENT_sched_start:
        return start(p, (u32)(tag >> 48) & 0xff);
    case EVENT_sched_setup:
        return setup(p);
    case EVENT_sched_add:
        return add(tag, p);
    case EVENT_sched_set:
        params = params_of(p);
        return ops->set(known(tag), &params, ((const struct trace_sched_set *)p)->at);
    case EVENT_sched_remove:
        return ops->remove(known(tag), ((const struct trace_sched_remove *)p)->at);
    case EVENT_sched_call:
        return call(tag, p);
    case EVENT_sched_charge:
        return ops->charge(known(tag), ((const struct trace_sched_charge *)p)->ran,
                           ((const struct trace_sched_charge *)p)->at);
    case EVENT_sched_pick:
        return pick(tag, p);
    }
}

int replay_file(const char *path)
{
    u64 size = 0;
    u8 *data = read_file(path, &size);
    const char *wrong = refuse(data, size);

    if (wrong) {
        fprintf(stderr, "schedsim: %s %s\n", path, wrong);
        free(data);
        return 2;
    }
    const struct trace_buffer *buf = &((const struct trace_header *)(void *)data)->cpu[0];
    memset(trace_mask, 0, sizeof(trace_mask)); /* nothing new is recorded */
    for (u64 at = 0; at < buf->used && !differs;) {
        const struct trace_record *r = (const void *)(data + buf->off + at);
        take(r);
        at += sizeof(*r) + 8 * (r->tag >> 48 & 0xff);
    }
    if (!differs)
        printf("%llu decisions, all the same\n", (unsigned long long)decisions);
    free(data);
    return differs;
}
