/*
 * watched: touches seeded pages for somebody who looks on. For each it asks the
 * VMM to WALK the address, makes one more exit, after which the processor's TLB
 * is empty, stops at XCHG BX, BX (Bochs's debugger can be told to; elsewhere it
 * does nothing) and makes that one access. grader/bochs_walks.py then compares
 * the references that the VMM's walker told with those that Bochs made.
 *
 * Every page has tables of its own, from the root down. Arguments: pages (of
 * each pool); pool0, pool1, pool2: where 2 MiB of memory lie for tables and data,
 * 0: none. With all three there are as many pages more whose tables and data
 * come of any. It stops once before it touches a pool, and once at the end.
 */
#include "guests/lib/guest.h"
#include "guests/lib/table.h"

#define POOLS     3
#define POOL_SIZE (2 * MIB)
#define JMP_RDI   0xe7ffu    /* JMP RDI or EDI, as it is in memory */
#define BIT_1G    (1u << 26) /* CPUID 80000001h, EDX */

/* So much is mapped to itself, by the first SHARED entries of each root. */
#ifdef __x86_64__
#define IDENTITY (4 * GIB)
#define SHARED   1
#else
#define IDENTITY (2 * GIB)
#define SHARED   2
#endif

struct page {
    u64 root, gva, gpa;
    u64 data;  /* where the word lies that is touched */
    u32 level; /* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB */
    u32 access;
    bool denied; /* the access will be, */
    bool fresh;  /* or its frame was never touched before */
};

static struct {
    u64 next, end;
} pool[POOLS];

extern char image_end[];
static struct rng rng;
static u64 identity;         /* a root */
static unsigned long resume; /* where a page fault leads: below 4 GiB */
static u64 faults;
static u32 levels;

static struct {
    u64 walk, contents, faults;
} wrong;

static volatile u64 *word_at(u64 address)
{
    return (volatile u64 *)(uintptr_t)address;
}

/* Some value that is not 0. */
static u64 pattern(u64 gva)
{
    return ~gva | 1;
}

/* --- Choosing ------------------------------------------------------------------- */

/* which: POOLS for any. */
static u64 take(u32 which)
{
    u32 i = which < POOLS ? which : rng_below(&rng, POOLS);
    frames_init(pool[i].next, pool[i].end);
    u64 frame = frames_take(1, PAGE_SIZE);
    pool[i].next = frame + PAGE_SIZE;
    return frame;
}

/* Nothing where the tables are shared. */
static u64 random_gva(u64 size)
{
    u64 a = rng_next(&rng) & ~(size - 1);
#ifdef __x86_64__
    a = (a & 0x7fffffffffffull) | 1ull << 39;
    return rng_permille(&rng, 500) ? a | 0xffff800000000000ull : a;
#else
    return (a & 0xffffffff) | IDENTITY;
#endif
}

static u32 random_access(void)
{
    static const u32 some[] = {WALK_READ, WALK_READ, WALK_WRITE, WALK_EXECUTE};
    return some[rng_below(&rng, ARRAY_SIZE(some))];
}

/* The data: a frame that holds something, or one that nobody has touched yet. */
static void choose_data(struct page *p, u32 which)
{
    u64 size = table_page_size((int)p->level);
    if (p->fresh) {
        pool[0].end -= PAGE_SIZE;
        p->data = pool[0].end;
    } else {
        p->data = take(which);
    }
    p->gpa = p->data & ~(size - 1);
    p->data += rng_below(&rng, PAGE_SIZE / 8) * 8;
    if (!p->fresh)
        *word_at(p->data) = p->access == WALK_EXECUTE ? JMP_RDI : pattern(p->gva);
}

static u64 leaf_bits(const struct page *p)
{
    bool writable = !p->denied && (p->access == WALK_WRITE || rng_permille(&rng, 500));
    bool present = !p->denied || p->access == WALK_WRITE;
    return (present ? PTE_P : 0) | (writable ? PTE_W : 0) | (p->level > 1 ? PTE_PS : 0);
}

/* PAE's directory pointers have no W and no U. */
static u64 table_bits(u32 level)
{
    return TABLE_LEVELS == 3 && level == 3 ? PTE_P : PTE_P | PTE_W | PTE_U;
}

/* The first pages of a pool are one of each size, and their accesses go through. */
static void choose(struct page *p, u32 which, u32 n)
{
    p->level = 1 + n % levels;
    p->gva = random_gva(table_page_size((int)p->level));
    p->access = random_access();
    p->denied = n >= levels && rng_permille(&rng, 150);
    p->fresh = n >= levels && which == 0 && p->access != WALK_EXECUTE && rng_permille(&rng, 300);
    choose_data(p, which);
    p->root = take(which);
    for (u32 i = 0; i < SHARED; i++)
        word_at(p->root)[i] = word_at(identity)[i];
    for (u32 l = TABLE_LEVELS; l > p->level; l--)
        *table_entry(p->root, p->gva, (int)l) = take(which) | table_bits(l);
    *table_entry(p->root, p->gva, (int)p->level) = p->gpa | leaf_bits(p);
}

/* --- Touching ------------------------------------------------------------------- */

/* The IN makes an exit; XCHG BX, BX brings the code's own page back into the TLB: what is
 * behind it has to be of the same page. */
#define WATCHED(access)                                                                            \
    "mov $1f, %%edi; mov %%edi, %2; .balign 32; inl %%dx, %%eax; xchg %%bx, %%bx\n\t" access       \
    "\n1: nop"
#define WATCH(access, at, value)                                                                   \
    __asm__ volatile(WATCHED(access)                                                               \
                     : "+c"(value), "+b"(at), "=m"(resume)                                         \
                     : "d"(TESTPORT_BASE)                                                          \
                     : "rax", "rdi", "memory")

static unsigned long touch(u32 access, unsigned long at)
{
    unsigned long value = ~at;
    if (access == WALK_READ)
        WATCH("mov (%1), %0", at, value);
    else if (access == WALK_WRITE)
        WATCH("mov %0, (%1)", at, value);
    else
        WATCH("jmp *%1", at, value);
    return value;
}

static void on_fault(struct trap_frame *frame)
{
    faults++;
    frame->ip = resume;
}

static void look_at(const struct page *p)
{
    u64 at = p->gva + (p->data - p->gpa), before = faults;
    write_cr3((unsigned long)p->root);
    if (testport_present()) {
        u64 answer = guest_walk(at, p->access);
        wrong.walk += answer != (p->denied || p->fresh ? WALK_FAILED : p->data);
    }
    unsigned long seen = touch(p->access, (unsigned long)at);
    wrong.faults += faults - before != p->denied;
    if (p->access == WALK_READ && !p->denied)
        wrong.contents += seen != (p->fresh ? 0 : (unsigned long)pattern(p->gva));
    if (p->access == WALK_WRITE && !p->denied)
        wrong.contents += (unsigned long)*word_at(p->data) != ~(unsigned long)at;
}

static void stop(void)
{
    __asm__ volatile("xchg %%bx, %%bx" : : : "memory");
}

/* --- All of it ------------------------------------------------------------------ */

static void map_identity(void)
{
    frames_init((uintptr_t)image_end, 2 * MIB + POOL_SIZE);
    identity = table_new();
    table_map_identity(identity, IDENTITY, 2);
    table_activate(identity);
}

static void look_at_all(u32 pages)
{
    u32 all = pool[1].end && pool[2].end;
    for (u32 which = 0; which < POOLS + all; which++)
        for (u32 i = 0; i < pages && (which == POOLS || pool[which].end); i++) {
            struct page p;
            choose(&p, which, i);
            look_at(&p);
        }
}

void guest_main(const struct multiboot_info *info)
{
    static const char *const keys[POOLS] = {"pool0", "pool1", "pool2"};
    (void)info;
    args_allow("pages pool0 pool1 pool2");
    u32 pages = (u32)args_number("pages", 8, 1, 60);
    for (u32 i = 0; i < POOLS; i++) {
        pool[i].next = args_number(keys[i], i ? 0 : 4 * MIB, 0, IDENTITY - POOL_SIZE);
        pool[i].end = pool[i].next ? pool[i].next + POOL_SIZE : 0;
    }
    guest_needs(pool[0].end);
    rng = (struct rng){guest_seed()};
    levels = TABLE_LEVELS == 4 && cpuid(0x80000001, 0).d & BIT_1G ? 3 : 2;
    trap_set(VECTOR_PF, on_fault);
    map_identity();
    interrupts_on(); /* none comes; but a guest that takes none may be left at any instruction */
    stop();
    look_at_all(pages);
    write_cr3((unsigned long)identity);
    stop();
    check("walk", wrong.walk, 0);
    check("contents", wrong.contents, 0);
    check("faults", wrong.faults, 0);
}
