/*
 * A guest's VM arguments: the table of formats.md section 4, and memory slots.
 * Whether there is memory enough for them is seen when the VM is created.
 */
#include "vmm/vmargs.h"
#include "vmm/argtable.h"
#include "vmm/mmu/shadow.h"
#include "vmm/hv.h"

#define ACCESS_ALL (ACCESS_WRITE | ACCESS_EXEC)

/* Insert in order of gPA; -EINVAL: it overlaps another. */
static int insert_slot(struct vm_args *args, u64 at, u64 size, u8 access)
{
    u32 i = args->slots;

    for (; i > 0 && args->slot[i - 1].gpa.v > at; i--)
        args->slot[i] = args->slot[i - 1];
    args->slot[i].gpa = gpa(at);
    args->slot[i].size = size;
    args->slot[i].access = access;
    args->slots++;
    bool below = i > 0 && args->slot[i - 1].gpa.v + args->slot[i - 1].size > at;
    bool above = i + 1 < args->slots && at + size > args->slot[i + 1].gpa.v;
    return below || above ? -EINVAL : 0;
}

static int read_size(struct word text, u64 *out, const struct arg_error *error)
{
    int err = args_size(text, out);

    if (err == -ERANGE)
        return arg_refuse(error, "'%.*s' is out of range", WORD_ARGS(text));
    return err ? arg_refuse(error, "'%.*s' is not %s", WORD_ARGS(text), arg_size.what) : 0;
}

/* SIZE[@GPA]; free: it may leave its gPA out. */
static int add_slot(struct vm_args *args, struct word part, u8 access, bool free,
                    const struct arg_error *error)
{
    struct word where = part, length = arg_cut(&where, '@');
    bool has_at = length.len < part.len;
    u64 at = 0, size;

    if (!free && !has_at)
        return arg_refuse(error,
                          "'%.*s' needs an @GPA: only the first slot starts at 0 by itself",
                          WORD_ARGS(part));
    if (args->slots == GUESTMEM_SLOTS)
        return arg_refuse(error, "more than %d slots", GUESTMEM_SLOTS);
    if (read_size(length, &size, error) || (has_at && read_size(where, &at, error)))
        return -EINVAL;
    if (size == 0 || (size | at) % PAGE_SIZE)
        return arg_refuse(error, "'%.*s' is not a multiple of 4K, or is empty", WORD_ARGS(part));
    if (at > VMARGS_MAX_GPA || size > VMARGS_MAX_GPA - at)
        return arg_refuse(error, "'%.*s' ends above the 48-bit gPAs", WORD_ARGS(part));
    if (insert_slot(args, at, size, access))
        return arg_refuse(error, "'%.*s' overlaps a slot before it", WORD_ARGS(part));
    return 0;
}

/* SIZE[@GPA][,SIZE@GPA]... */
static int add_slots(struct vm_args *args, struct word value, u8 access,
                     const struct arg_error *error)
{
    bool free = access == ACCESS_ALL, more;

    do {
        struct word rest = value, part = arg_cut(&rest, ',');
        more = part.len < value.len; /* there was a comma: something must follow */
        int err = add_slot(args, part, access, free, error);
        if (err)
            return err;
        value = rest;
        free = false;
    } while (more);
    return 0;
}

static int set_mem(void *out, struct word value, const struct arg_error *error)
{
    return add_slots(out, value, ACCESS_ALL, error);
}

static int set_rom(void *out, struct word value, const struct arg_error *error)
{
    return value.len ? add_slots(out, value, ACCESS_EXEC, error) : 0;
}

static int set_noexec(void *out, struct word value, const struct arg_error *error)
{
    return value.len ? add_slots(out, value, ACCESS_WRITE, error) : 0;
}

/* A VM that says nothing of its memory has 16M of it. What is not for everything is
 * so by the entries of nested tables; a shadow knows nothing of it. */
static int finish_memory(struct vm_args *args, const struct arg_error *error)
{
    static const char memory[] = "16M";
    u32 plain = 0;

    for (u32 i = 0; i < args->slots; i++)
        plain += args->slot[i].access == ACCESS_ALL;
    if (plain < args->slots && args->mmu != MMU_NESTED)
        return arg_refuse(error, "rom and noexec are for mmu=nested");
    return plain ? 0 : set_mem(args, (struct word){memory, sizeof(memory) - 1}, error);
}

/* The backend knows which checks there are. */
static int set_break(void *out, struct word value, const struct arg_error *error)
{
    struct vm_args *args = out;

    if (value.len >= sizeof(args->breaks))
        return arg_refuse(error, "'%.*s' is no entry check", WORD_ARGS(value));
    memcpy(args->breaks, value.text, value.len);
    args->breaks[value.len] = 0;
    return 0;
}

/* --- What it asks for later --------------------------------------------------------- */

static const char *const extratime_words[] = {"off", "on", NULL};

/* The keys that may change while it runs, as fields of struct sched_params. */
static const struct arg_key sched_keys[] = {
#define KEY(name, kind, first, last, words)                                                        \
    {#name,           offsetof(struct sched_params, name),                                         \
     .unit = &(kind), .low = (first),                                                              \
     .high = (last),  .range = (words)},
    SCHED_PARAMS(KEY)
#undef KEY
        {"extratime", offsetof(struct sched_params, extratime), .words = extratime_words},
};

static const struct argtable sched_table = {"scheduling parameter", sched_keys,
                                            ARRAY_SIZE(sched_keys), false};

static int set_change(void *out, struct word value, const struct arg_error *error)
{
    (void)error;
    ((struct vm_args *)out)->change = value;
    return 0;
}

/* KEY=VALUE[,KEY=VALUE]... on top of what holds before. */
static int change_params(struct word list, struct sched_params *p, const struct arg_error *error)
{
    char text[512];
    const char *rest = text;
    size_t n = min_u64(list.len, sizeof(text) - 1);

    for (size_t i = 0; i < n; i++)
        text[i] = list.text[i] == ',' ? ' ' : list.text[i];
    text[n] = 0;
    int err = argtable_parse(&sched_table, &rest, p, error);
    return err ? err : sched_check(p, error->text, error->size);
}

/* TIME:LIST */
static int add_change(struct vm_args *args, struct word part, const struct arg_error *error)
{
    struct word list = part, when = arg_cut(&list, ':');
    u32 n = args->changes;

    if (n == VMARGS_MAX_CHANGES)
        return arg_refuse(error, "more than %d changes", VMARGS_MAX_CHANGES);
    if (args_time(when, &args->later[n].at) || !list.len)
        return arg_refuse(error, "'%.*s' is not TIME:KEY=VALUE,...", WORD_ARGS(part));
    if (n && args->later[n].at <= args->later[n - 1].at)
        return arg_refuse(error, "'%.*s' is not after the one before it", WORD_ARGS(part));
    args->later[n].sched = n ? args->later[n - 1].sched : args->sched;
    args->changes++;
    return change_params(list, &args->later[n].sched, error);
}

/* TIME:LIST[/TIME:LIST]..., once all else is known. */
static int parse_changes(struct vm_args *args, const struct arg_error *error)
{
    struct word value = args->change;
    char detail[200];

    while (value.len) {
        struct word rest = value, part = arg_cut(&rest, '/');
        if (add_change(args, part, &(struct arg_error){detail, sizeof(detail)}))
            return arg_refuse(error, "'change=%.*s': %s", WORD_ARGS(args->change), detail);
        value = rest;
    }
    return 0;
}

/* --- The table -------------------------------------------------------------------------- */

static const char *const mmu_words[] = {"nested", "shadow", "vtlb", NULL};
static const char *const boot_words[] = {"auto", "multiboot", "raw", NULL};
static const char *const view_words[] = {"wall", "apparent", NULL};
static const char *const tick_words[] = {"discard", "merge", "delay", "slew", NULL};
static const char *const exits_words[] = {"none", "rdtsc", "invlpg", "ud", "de", NULL};
static const char *const checks_words[] = {"count", "ignore", NULL};

#define FIELD(name) .offset = offsetof(struct vm_args, name)

static const struct arg_key keys[] = {
    {"mem", .set = set_mem},
    {"rom", .set = set_rom},
    {"noexec", .set = set_noexec},
    {"mmu", FIELD(mmu), .words = mmu_words},
    {"shadowpages", FIELD(shadowpages), .unit = &arg_number, .low = SHADOW_MIN_PAGES,
     .high = SHADOW_MAX_PAGES, .range = "32 to 8192"},
    {"boot", FIELD(boot), .words = boot_words},
    {"tsc", FIELD(tsc), .words = view_words},
    {"pit", FIELD(pit), .words = view_words},
    {"ticks", FIELD(ticks), .words = tick_words},
    {"restart", FIELD(restart), .unit = &arg_number, .high = 1000000, .range = "0 to 1000000"},
    {"checks", FIELD(checks), .words = checks_words},
    {"break", .set = set_break},
    {"watchdog", FIELD(watchdog), .unit = &arg_time, .high = 1000 * NS_PER_SEC,
     .range = "0s to 1000s"},
    {"exits", FIELD(exits), .words = exits_words},
#define KEY(name, kind, first, last, words)                                                        \
    {#name, FIELD(sched.name), .unit = &(kind), .low = (first), .high = (last), .range = (words)},
    SCHED_PARAMS(KEY)
#undef KEY
        {"extratime", FIELD(sched.extratime), .words = extratime_words},
    {"change", .set = set_change},
};

static const struct argtable table = {"VM argument", keys, ARRAY_SIZE(keys), true};

int vmargs_parse(const char *text, enum vm_mmu mmu, struct vm_args *args, char *why,
                 size_t why_size)
{
    *args = (struct vm_args){
        .mmu = mmu,
        .shadowpages = SHADOW_DEFAULT_PAGES,
        .tsc = CLOCK_WALL,
        .pit = CLOCK_WALL,
        .ticks = TICK_DELAY,
        .sched = sched_defaults,
    };
    int err = argtable_parse(&table, &text, args, &(struct arg_error){why, why_size});
    if (!err)
        err = finish_memory(args, &(struct arg_error){why, why_size});
    if (!err)
        err = sched_check(&args->sched, why, why_size);
    if (!err)
        err = parse_changes(args, &(struct arg_error){why, why_size});
    while (*text == ' ')
        text++;
    args->cmdline = text;
    return err;
}
