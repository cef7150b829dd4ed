/*
 * The machine's options: the table of formats.md section 4. It only reads
 * them; the trace, the clock and the scheduler are set up by who asked.
 */
#include "kernel/mem.h"
#include "vmm/argtable.h"
#include "vmm/options.h"

static const char *const mmu_words[] = {"nested", "shadow", "vtlb", NULL};
static const char *const charge_words[] = {"exact", "tick", NULL};
static const char *const bench_words[] = {"none", "record", "sched", NULL};
static const char *const verify_words[] = {"none", "registers", NULL};
static const char *const trace_words[] = {"all", "some", "none", "off", NULL};
static const char *const trace_groups[] = {"walks", "io", "exits", "sched", "time", "memory", NULL};

static int set_sched(void *out, struct word value, const struct arg_error *error)
{
    struct options *options = out;
    const struct sched_ops *found = sched_find(value.text, value.len);

    options->sched = found;
    if (found)
        return 0;
    arg_refuse(error, "'%.*s' is none of", WORD_ARGS(value));
    for (u32 i = 0; sched_all[i]; i++)
        arg_append(error, i ? ", " : ": ", sched_all[i]->name);
    return -EINVAL;
}

static bool is_listed(struct word word, const char *const *list)
{
    for (u32 i = 0; list[i]; i++)
        if (word_is(word, list[i]))
            return true;
    return false;
}

/* One word alone, or a list of groups. */
static int set_trace(void *out, struct word value, const struct arg_error *error)
{
    struct options *options = out;

    options->trace = value;
    if (is_listed(value, trace_words))
        return 0;
    for (bool more = true; more;) {
        struct word rest = value, group = arg_cut(&rest, ',');
        if (!is_listed(group, trace_groups))
            return arg_refuse(error,
                              "'%.*s' is no group of events: walks, io, exits, sched, "
                              "time, memory, or alone all, some, none, off",
                              WORD_ARGS(group));
        more = group.len < value.len;
        value = rest;
    }
    return 0;
}

#define FIELD(name) .offset = offsetof(struct options, name)

static const struct arg_key keys[] = {
    {"sched", .set = set_sched},
    {"charge", FIELD(charge), .words = charge_words},
    {"slice", FIELD(slice), .unit = &arg_time, .low = 100000, .high = NS_PER_SEC,
     .range = "100us to 1s"},
    {"time", FIELD(time), .unit = &arg_time, .low = 1000, .high = 1000 * NS_PER_SEC,
     .range = "1us to 1000s"},
    {"mmu", FIELD(mmu), .words = mmu_words},
    {"trace", .set = set_trace},
    {"tracebuf", FIELD(tracebuf), .unit = &arg_size, .low = 1u << 20, .high = 192u << 20,
     .range = "1M to 192M"},
    {"bench", FIELD(bench), .words = bench_words},
    {"verify", FIELD(verify), .words = verify_words},
};

static const struct argtable table = {"option of the machine", keys, ARRAY_SIZE(keys), false};

int options_parse(const char *text, struct options *options, char *why, size_t why_size)
{
    *options = (struct options){
        .sched = sched_find("rr", 2),
        .charge = CHARGE_EXACT,
        .slice = 10 * (NS_PER_SEC / 1000),
        .time = 10 * NS_PER_SEC,
        .mmu = MMU_NESTED,
        .trace = {"all", 3},
        .tracebuf = 64u << 20,
        .bench = BENCH_NONE,
        .verify = VERIFY_NONE,
    };
    return argtable_parse(&table, &text, options, &(struct arg_error){why, why_size});
}
