/*
 * vtlb: a guest whose paging is its own invention. It has no page tables: a miss comes to it
 * as a #PF, is looked up in a hash, and filled by hypercall (mmu=vtlb; handouts/formats.md,
 * section 12). Seeded pages of all rights in several spaces are read, written and executed
 * by kernel and user, changed, flushed; what should come of each access is known, code and
 * CR2 of its fault too. Calls that must be refused are tried in between.
 * Arguments: ops, spaces, pages (of each), pae (32-bit code: 0 without), hold (1: halt for
 * ever at the end).
 */
#include "guests/pager/probe.h"
#include "guests/vtlb_map.h"

#define DATA       (4 * MIB) /* frames of small pages; */
#define LARGE_DATA (6 * MIB) /* and of the large one in each space */
#define DATA_PAGES 512u
#define USER       0xf0000000ull /* what users run on: a page of code, one of stack */
#define REGIONS    8u
#define MAX_SPACES 8u
#define MAX_OF_ONE 128u
#define RET        0xc3
#define OPS        3000
#ifdef __x86_64__
#define NOT_CANONICAL (1ull << 47)
#endif

static struct {
    struct rng rng;
    u32 spaces, pages;
    u64 region[REGIONS];
    struct page *page[MAX_SPACES][MAX_OF_ONE];
    u64 op, faults, unmapped;
    u64 refused;
} vtlb;

void diverge(const char *what, u64 gva, u64 value, u64 expected)
{
    print("vtlb: operation %U in space %u: %s at 0x%X: 0x%X, expected 0x%X\n", vtlb.op, map_space,
          what, gva, value, expected);
    check("vtlb", vtlb.op, ~0ull);
    guest_exit(1);
}

/* --- Pages ----------------------------------------------------------------------------------- */

#ifdef __x86_64__
static u64 random_region(u32 n)
{
    u64 base = (u64)(n + 1) << 40 | (u64)rng_below(&vtlb.rng, 1 << 18) << 21;
    return n % 2 ? base | 0xffff800000000000ull : base;
}
#else
static u64 random_region(u32 n)
{
    return GIB + n * (256 * MIB) + rng_below(&vtlb.rng, 128) * LARGE_SIZE;
}
#endif

static u64 random_frame(void)
{
    return DATA + rng_below(&vtlb.rng, DATA_PAGES) * PAGE_SIZE;
}

static u32 random_rights(void)
{
    return rng_below(&vtlb.rng, 8);
}

/* Page 0 is a large one, alone in its region; the others lie in the other regions, a few at the
 * same place by chance: then that slot is left as it is. */
static struct page *random_page(u32 space, u32 n)
{
    u32 own = space % REGIONS;

    if (n == 0)
        return map_add(space, vtlb.region[own], LARGE_DATA, random_rights() | VTLB_LARGE);
    u32 r = (own + 1 + rng_below(&vtlb.rng, REGIONS - 1)) % REGIONS;
    u64 gva = vtlb.region[r] + rng_below(&vtlb.rng, 512) * PAGE_SIZE;
    struct page *there = map_find(gva);
    return there ? there : map_add(space, gva, random_frame(), random_rights());
}

static void make_space(u32 space)
{
    map_switch(space);
    map_add(space, USER, (uintptr_t)probe_stubs, VTLB_U | VTLB_X);
    map_add(space, USER + PAGE_SIZE, (uintptr_t)user_page, VTLB_U | VTLB_W);
    for (u32 n = 0; n < vtlb.pages; n++)
        vtlb.page[space][n] = random_page(space, n);
}

static struct page *any_page(void)
{
    return vtlb.page[map_space][rng_below(&vtlb.rng, vtlb.pages)];
}

/* A page that is there and misses is filled, and the access is made again: rights are judged
 * by the processor. All else is what came of the access. */
static bool on_miss(const struct trap_frame *f)
{
    struct page *p = f->error & ERROR_P ? NULL : map_find(read_cr2());

    if (p)
        map_fill(p);
    return p != NULL;
}

/* --- Accesses -------------------------------------------------------------------------------- */

struct access {
    enum probe_kind kind; /* R4, W4, EXEC */
    bool user;
    u64 gva;
};

/* The code of its fault; 0: there is none. */
static u32 expected_error(const struct access *a, const struct page *p)
{
    bool writes = a->kind == W4, executes = a->kind == EXEC;
    u32 code = (writes ? ERROR_W : 0) | (a->user ? ERROR_U : 0) | (executes ? ERROR_I : 0);

    if (!p)
        return code ? code : ~0u; /* ~0: a code of 0 */
    bool allowed = (!a->user || p->how & VTLB_U) && (!writes || p->how & VTLB_W) &&
                   (!executes || p->how & VTLB_X);
    return allowed ? 0 : code | ERROR_P;
}

static void judge_fault(const struct access *a, const struct probe *seen, u32 error)
{
    vtlb.faults++;
    if (!seen->faulted || seen->error != (error == ~0u ? 0 : error))
        diverge("error code", a->gva, seen->faulted ? seen->error : ~0ull, error);
    if (seen->faulted && seen->cr2 != a->gva)
        diverge("CR2", a->gva, seen->cr2, a->gva);
}

/* By way of the kernel's segment the same word is to be seen. */
static void judge_value(const struct access *a, const struct probe *seen, const volatile u32 *at,
                        u32 before, u32 operand, bool faulted)
{
    u32 after = a->kind == W4 && !faulted ? operand : before;

    if (*at != after)
        diverge("memory", a->gva, *at, after);
    if (!faulted && a->kind == R4 && (u32)seen->ax != before)
        diverge("what was read", a->gva, (u32)seen->ax, before);
}

static void try_access(const struct access *a)
{
    const struct page *p = map_find(a->gva);
    u32 before = a->kind == EXEC ? RET : (u32)rng_next(&vtlb.rng), operand = ~before;
    u32 error = expected_error(a, p);
    struct probe seen = {.ax = operand, .di = (unsigned long)a->gva};
    volatile u32 *at = p ? (volatile u32 *)(uintptr_t)(p->gpa + (a->gva - p->gva)) : NULL;

    if (at)
        *at = before;
    probe_run(&seen, a->kind, a->user);
    if (error)
        judge_fault(a, &seen, error);
    else if (seen.faulted)
        diverge("a fault", a->gva, seen.error, 0);
    if (at)
        judge_value(a, &seen, at, before, operand, error != 0);
    vtlb.unmapped += !p;
}

static void op_access(void)
{
    static const enum probe_kind kinds[] = {R4, W4, EXEC};
    const struct page *p = any_page();
    u64 words = map_size(p) / 4;
    struct access a = {.kind = kinds[rng_below(&vtlb.rng, 3)],
                       .user = rng_permille(&vtlb.rng, 500),
                       .gva = p->gva + rng_below(&vtlb.rng, (u32)words) * 4};

    if (rng_permille(&vtlb.rng, 100)) /* mostly where nothing is */
        a.gva = vtlb.region[rng_below(&vtlb.rng, REGIONS)] + (a.gva & (LARGE_SIZE - 4));
    try_access(&a);
}

/* --- Changes --------------------------------------------------------------------------------- */

/* Elsewhere, with other rights, or gone, or there again; and then a flush. */
static void op_change(void)
{
    struct page *p = any_page();

    p->present = rng_permille(&vtlb.rng, 800);
    p->how = random_rights() | (p->how & VTLB_LARGE);
    if (!(p->how & VTLB_LARGE))
        p->gpa = random_frame();
    map_flush(p, rng_permille(&vtlb.rng, 300));
}

static void op_switch(void)
{
    map_switch(rng_below(&vtlb.rng, vtlb.spaces));
}

/* --- What must be refused -------------------------------------------------------------------- */

static void refuse(u32 number, u64 gva, u64 gpa, u32 how, unsigned long expected)
{
    unsigned long answer = hypercall(number, gva, gpa, how);

    vtlb.refused++;
    if (answer != expected)
        diverge("a call's answer", gva, answer, expected);
}

/* A user calls: the code lies where it may execute it. */
static void refuse_user(const struct page *victim)
{
    struct page *p = map_add(map_space, USER + 2 * PAGE_SIZE, random_frame(), VTLB_U | VTLB_X);
    const u8 *code = hypercall_code();
    struct probe seen = {.ax = VTLB_WRITE,
                         .bx = (unsigned long)victim->gva,
                         .cx = (unsigned long)DATA,
                         .dx = VTLB_W | VTLB_U | VTLB_X,
                         .di = (unsigned long)p->gva};
    u8 *at = (u8 *)(uintptr_t)p->gpa;

    for (int i = 0; i < HYPERCALL_BYTES; i++)
        at[i] = code[i];
    probe_run(&seen, EXEC, true);
    if (seen.faulted || seen.ax != VTLB_NO_SERVICE)
        diverge("a user's call", p->gva, seen.ax, VTLB_NO_SERVICE);
}

static void op_refused(void)
{
    u64 gva = any_page()->gva, end = guest_memory_end();
    u32 bit = 3 + rng_below(&vtlb.rng, 28);

    refuse(VTLB_WRITE, gva + 4, DATA, VTLB_X, VTLB_MALFORMED);
    refuse(VTLB_WRITE, gva, DATA + 8, VTLB_X, VTLB_MALFORMED);
    refuse(VTLB_WRITE, gva, DATA, VTLB_X | (bit == 7 ? 8 : 1u << bit), VTLB_MALFORMED);
    refuse(VTLB_WRITE, rng_below(&vtlb.rng, 1 << 18) * PAGE_SIZE, DATA, VTLB_W, VTLB_MALFORMED);
    refuse(VTLB_WRITE, gva, end + rng_below(&vtlb.rng, 1000) * PAGE_SIZE, VTLB_W, VTLB_NO_MEMORY);
    refuse(VTLB_WRITE, vtlb.region[0], end & -LARGE_SIZE, VTLB_W | VTLB_LARGE, VTLB_NO_MEMORY);
    refuse(VTLB_FLUSH_SPACE + 1, gva, DATA, VTLB_X, VTLB_NO_SERVICE);
#ifdef NOT_CANONICAL
    refuse(VTLB_WRITE, gva ^ NOT_CANONICAL, DATA, VTLB_X, VTLB_MALFORMED);
#endif
}

/* --- All of it ------------------------------------------------------------------------------- */

static const struct {
    u32 weight; /* of 1000 */
    void (*run)(void);
} ops[] = {
    {860, op_access}, {60, op_change}, {60, op_switch}, {5, map_flush_space}, {15, op_refused}};

static void random_op(void)
{
    u32 pick = rng_below(&vtlb.rng, 1000), i = 0;

    while (pick >= ops[i].weight)
        pick -= ops[i++].weight;
    ops[i].run();
}

/* With whatever CR3: from here on nobody looks at tables. */
static void begin_paging(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
#ifndef __x86_64__
    write_cr4(read_cr4() | (args_number("pae", 1, 0, 1) ? CR4_PAE : 0));
    map_switch(0);
    write_cr0(read_cr0() | CR0_PG);
#endif
    probe_init();
    probe_base = USER;
    probe_user_stack = USER + 2 * PAGE_SIZE;
    probe_first = on_miss;
}

static void report(void)
{
    check("vtlb", vtlb.op - 1, args_number("ops", OPS, 1, 1ull << 40));
    check("fills", map_wrong, 0);
    checkpoint("faults", vtlb.faults);
    checkpoint("unmapped", vtlb.unmapped);
    checkpoint("refused", vtlb.refused);
    checkpoint("misses", map_misses);
    checkpoint("vanished", map_vanished);
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("ops spaces pages pae hold");
    u64 count = args_number("ops", OPS, 1, 1ull << 40);
    vtlb.spaces = (u32)args_number("spaces", 4, 1, MAX_SPACES);
    vtlb.pages = (u32)args_number("pages", 64, 2, MAX_OF_ONE);
    guest_needs(LARGE_DATA + LARGE_SIZE);
    vtlb.rng = (struct rng){guest_seed()};
    begin_paging();
    for (u32 r = 0; r < REGIONS; r++)
        vtlb.region[r] = random_region(r);
    for (u32 space = 0; space < vtlb.spaces; space++)
        make_space(space);
    for (vtlb.op = 1; vtlb.op <= count; vtlb.op++)
        random_op();
    refuse_user(any_page());
    report();
    guest_hold();
}
