/*
 * A simulation as a text: the first line holds its options, each other one
 *
 *     COUNT [VM arguments] [-- behaviour]        # and a remark
 *
 * so many VMs with the arguments of handouts/formats.md section 4 and what they
 * do (work.h). Empty lines and what follows # are passed over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "vmm/sched/sim/world.h"

static const char *const charge_words[] = {"exact", "tick", NULL};
static const char *const trace_words[] = {"sums", "all", NULL};

static int set_sched(void *out, struct word value, const struct arg_error *error)
{
    struct world_options *o = out;

    o->sched = sched_find(value.text, value.len);
    return o->sched ? 0 : arg_refuse(error, "'%.*s' is no scheduler", WORD_ARGS(value));
}

#define FIELD(name) .offset = offsetof(struct world_options, name)

static const struct arg_key keys[] = {
    {"sched", .set = set_sched},
    {"cpus", FIELD(cpus), .unit = &arg_number, .low = 1, .high = SCHED_MAX_CPUS,
     .range = "1 to 64"},
    {"time", FIELD(time), .unit = &arg_time, .low = 1000, .high = 1000000 * NS_PER_SEC,
     .range = "1us to 1000000s"},
    {"slice", FIELD(slice), .unit = &arg_time, .low = 100000, .high = NS_PER_SEC,
     .range = "100us to 1s"},
    {"seed", FIELD(seed), .unit = &arg_number, .high = ~0ull, .range = "any"},
    {"charge", FIELD(charge), .words = charge_words},
    {"window", FIELD(window), .unit = &arg_time, .high = 1000 * NS_PER_SEC, .range = "0s to 1000s"},
    {"trace", FIELD(trace), .words = trace_words},
    {"tracebuf", FIELD(tracebuf), .unit = &arg_size, .low = 1u << 20, .high = 8ull << 30,
     .range = "1M to 8G"},
};

static const struct argtable table = {"option of a simulation", keys, ARRAY_SIZE(keys), false};

static int load_options(struct world *w, const char *text, char *why, size_t why_size)
{
    const struct arg_error error = {why, why_size};
    struct world_options *o = &w->options;

    *o = (struct world_options){.sched = &sched_rr,
                                .cpus = 1,
                                .time = NS_PER_SEC,
                                .slice = 10000000,
                                .trace = 1,
                                .tracebuf = 256u << 20};
    int err = argtable_parse(&table, &text, o, &error);
    if (!err && o->cpus > 1 && o->sched != &sched_credit)
        return arg_refuse(&error, "only credit has several CPUs");
    if (!err && o->trace && o->cpus > TRACE_MAX_CPUS)
        return arg_refuse(&error, "a whole trace has at most 8 CPUs: trace=sums");
    return err;
}

/* Some VMs of a kind; their arguments stay. */
static int add_vms(struct world *w, u32 count, const struct vm_args *args, const struct work *work)
{
    u32 vm = w->count ? w->actors[w->count - 1].unit.vm : 0u, vcpus = (u32)work->vcpus;

    if (count > WORLD_MAX_VMS - vm)
        return -ENOSPC;
    w->actors = realloc(w->actors, (w->count + (size_t)count * vcpus) * sizeof(*w->actors));
    if (!w->actors)
        return -ENOMEM;
    for (u32 i = 0; i < count * vcpus; i++) {
        struct actor *a = &w->actors[w->count];
        *a = (struct actor){.args = args, .work = *work, .ready_since = ~0ull};
        a->unit.vm = (u16)(vm + 1 + i / vcpus);
        a->unit.vcpu = (u8)(i % vcpus);
        a->unit.params = args->sched;
        a->rng = (w->options.seed + ++w->count) * 0x9e3779b97f4a7c15ull;
    }
    return 0;
}

static int load_vms(struct world *w, char *text, char *why, size_t why_size)
{
    char *rest;
    unsigned long count = strtoul(text, &rest, 10);
    struct vm_args *args = calloc(1, sizeof(*args));
    struct work work;

    if (rest == text || (*rest && *rest != ' ') || !count || count > WORLD_MAX_VMS || !args) {
        snprintf(why, why_size, "'%.40s' does not begin with a number of VMs", text);
        free(args);
        return -EINVAL;
    }
    int err = vmargs_parse(rest, MMU_NESTED, args, why, why_size);
    if (!err)
        err = work_parse(args->cmdline, &work, why, why_size);
    if (!err) {
        err = add_vms(w, (u32)count, args, &work);
        if (err)
            snprintf(why, why_size, "too many VMs");
    }
    if (err)
        free(args);
    return err;
}

/* The array has moved while it grew: what points into it is set at the end. */
static void settle(struct world *w)
{
    for (u32 i = 0; i < w->count; i++) {
        struct actor *a = &w->actors[i];
        a->unit.lead = &w->actors[i - a->unit.vcpu].unit;
        a->by_wake.unit = a->by_change.unit = &a->unit;
    }
}

bool world_load(struct world *w, const char *path)
{
    FILE *f = fopen(path, "r");
    char line[1024], why[256] = "cannot be read";
    bool first = true;
    u32 number = 0;
    int err = f ? 0 : -EINVAL;

    *w = (struct world){0};
    while (!err && fgets(line, sizeof(line), f)) {
        number++;
        line[strcspn(line, "#\n")] = 0;
        if (!line[strspn(line, " ")])
            continue;
        err = first ? load_options(w, line, why, sizeof(why)) : load_vms(w, line, why, sizeof(why));
        first = false;
    }
    if (f)
        fclose(f);
    if (!err && !w->count) {
        snprintf(why, sizeof(why), "has no VM");
        err = -EINVAL;
    }
    if (err)
        fprintf(stderr, "schedsim: %s, line %u: %s\n", path, number, why);
    else
        settle(w);
    return !err;
}
