/*
 * pager: tortures its own page tables, and knows what must come of it. Three programs
 * are made of it: pager (long mode), pager-pae, pager32 (two levels, PSE).
 * Arguments: ops, spaces, mix (a mask of operations, in the order of the list below),
 * stops (every so many operations all caches are flushed, all memory compared and
 * a checkpoint made), verbose (print operations from that number on), hold (1: halt
 * for ever at the end, with the tables as they are).
 */
#include "guests/pager/pager.h"

static const struct {
    const char *name;
    void (*run)(void);
    u32 weight;
} ops[] = {
    {"access", op_access, 30}, {"map", op_map, 20},        {"unmap", op_unmap, 4},
    {"remap", op_remap, 5},    {"protect", op_protect, 6}, {"age", op_age, 5},
    {"switch", op_switch, 4},  {"fork", op_fork, 1},       {"cow", op_cow, 4},
    {"large", op_large, 3},    {"split", op_split, 2},     {"self", op_self, 1},
    {"share", op_share, 2},    {"raw", op_raw, 4},         {"mode", op_mode, 2},
    {"flush", op_flush, 2},    {"stale", op_stale, 3},     {"fresh", op_fresh, 1},
    {"data", op_data, 3},      {"pair", op_pair, 2},
};
#define ALL ((1u << ARRAY_SIZE(ops)) - 1)

struct pager pager;
static u64 count[ARRAY_SIZE(ops)];

void diverge(const char *what, u64 gva, u64 value, u64 expected)
{
    print("pager: operation %U (%s) in space %u: %s at 0x%X: 0x%X, expected 0x%X; "
          "wp %u nxe %u pse %u pge %u\n",
          pager.op, pager.doing, pager.current, what, gva, value, expected, pager.wp, pager.nxe,
          pager.pse, pager.pge);
    struct route r;
    route(&r, current_root(), gva, READ);
    for (int i = 0; i < r.steps; i++)
        print("pager: level %u at 0x%X: 0x%X\n", r.step[i].level, r.step[i].at, r.step[i].entry);
    print("pager: ok %u error %u outside %u gpa 0x%X\n", r.ok, r.error, r.outside, r.gpa);
    check("pager", pager.op, ~0ull);
    guest_exit(1);
}

static u32 choose(u32 mask)
{
    u32 total = 0, i = 0;
    for (i = 0; i < ARRAY_SIZE(ops); i++)
        total += mask >> i & 1 ? ops[i].weight : 0;
    u32 n = below(total);
    for (i = 0;; i++) {
        u32 weight = mask >> i & 1 ? ops[i].weight : 0;
        if (n < weight)
            return i;
        n -= weight;
    }
}

static void stop(void)
{
    pager.doing = "stop";
    cached_flush();
    pool_check();
    check("pager", pager.op, pager.op);
    checkpoint("stop", pager.op);
}

static void one(u32 mask)
{
    u32 i = choose(mask);
    pager.doing = ops[i].name;
    if (pager.op >= pager.verbose)
        print("%U %s space %u\n", pager.op, ops[i].name, pager.current);
    ops[i].run();
    count[i]++;
}

static void report(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
        checkpoint(ops[i].name, count[i]);
    checkpoint("ok", pager.done_ok);
    checkpoint("faults", pager.done_fault);
    checkpoint("leftout", pager.skipped);
    checkpoint("old/new", pager.stale);
    checkpoint("root", current_root());
}

static void set_up(void)
{
    u32 bits = cpuid(0x80000008, 0).a & 0xff;
    u64 seen = ~0ull << (bits >= 32 && bits < 52 ? bits : 36);
    pager.rng = (struct rng){guest_seed()};
    pager.address_bits = seen & PTE_ADDRESS;
    pager.pages_1g = cpuid(0x80000001, 0).d >> 26 & 1;
    pager.wp = true;
    pager.pse = format.needs_pse;
    pager.doing = "start";
    spaces_init();
    if (format.pae)
        write_cr4(read_cr4() | CR4_PAE);
    write_cr4(read_cr4() & ~CR4_PGE);
    if (format.needs_pse)
        write_cr4(read_cr4() | CR4_PSE);
    write_cr3((unsigned long)root_of(0));
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
    cached_modes();
    probe_init();
}

/* Everything has been read and written once, so that what follows is the operations' alone. */
static void warm_up(void)
{
    for (u64 a = POOL; a < MEMORY; a += PAGE_SIZE) {
        volatile u64 *word = real_of(a);
        *word = *word;
    }
    checkpoint("begin", MEMORY - POOL);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("ops spaces mix stops verbose hold");
    u64 n = args_number("ops", 2000, 1, 1ull << 40);
    u64 stops = args_number("stops", 1000, 1, 1ull << 40);
    u32 mask = (u32)args_number("mix", ALL, 1, ALL);
    pager.spaces = (u32)args_number("spaces", 100, 1, MAX_SPACES);
    pager.verbose = args_number("verbose", ~0ull >> 1, 0, ~0ull >> 1);
    guest_needs(MEMORY);
    set_up();
    warm_up();
    for (pager.op = 1; pager.op <= n; pager.op++) {
        one(mask);
        if (mod_u64(pager.op, (u32)stops) == 0)
            stop();
    }
    stop();
    report();
    guest_hold();
}
