/*
 * benchmmu: what work on page tables costs, seen from inside, in ticks of the TSC. Made
 * for mmu=shadow; it runs on any. The best batch counts (NAME) beside the worst (NAMEmax):
 * guests/lib/measure.h.
 * Operations: fault (a page fault that is the guest's own, in a table in use; floor: an
 * exception that does not exit); hidden (first use of a page that is mapped and was
 * used before); upper (a write to an entry of level 2); cr3 (to another root and back, a
 * half of it); map64 (64 entries made, used, removed, and CR3 written; all that counts).
 * Arguments: batches, rounds (operations a batch).
 */
#include "guests/lib/guest.h"
#include "guests/lib/measure.h"
#include "guests/lib/table.h"

#define WINDOW  (1ull << 30) /* where pages come and go */
#define PAGES   64
#define RIGHTS  (PTE_P | PTE_W)
#define SKIPPED 2 /* bytes of the instructions that fault */

static struct {
    u64 root, other; /* two address spaces, alike */
    u64 *leaf;       /* the window's first entry of level 1, */
    u64 *upper;      /* and of level 2 one that maps nothing */
    u64 frame[PAGES];
} t;

/* --- Operations: each is inlined into a loop of its own ----------------------------- */

static inline void op_exception(u32 i)
{
    (void)i;
    __asm__ volatile("ud2" : : : "memory"); /* 2 bytes */
}
static inline void op_fault(u32 i)
{
    (void)i;
    __asm__ volatile("movb (%%rax), %%al" : : "a"(WINDOW + PAGES * PAGE_SIZE) : "memory"); /* 2 */
}
static inline void op_upper(u32 i)
{
    *(volatile u64 *)t.upper = (u64)i << 1; /* never present */
}
static inline void op_cr3(u32 i)
{
    write_cr3(i & 1 ? t.root : t.other);
}

/* --- The window ---------------------------------------------------------------------- */

static void map_all(void)
{
    for (u32 i = 0; i < PAGES; i++)
        *(volatile u64 *)&t.leaf[i] = t.frame[i] | RIGHTS;
}

static void unmap_all(void)
{
    for (u32 i = 0; i < PAGES; i++)
        *(volatile u64 *)&t.leaf[i] = 0;
}

static u64 use_all(void)
{
    u64 start = rdtsc();
    for (u64 i = 0; i < PAGES; i++)
        *(volatile u8 *)(WINDOW + i * PAGE_SIZE) = (u8)i;
    return rdtsc() - start;
}

static u64 map_use_unmap(void)
{
    u64 start = rdtsc();
    map_all();
    use_all();
    unmap_all();
    write_cr3(t.root);
    return rdtsc() - start;
}

static void measure_window(u32 batches)
{
    struct measured whole = MEASURED_NONE, hidden = MEASURED_NONE;
    for (u32 i = 0; i < batches; i++) {
        measured_add(&whole, map_use_unmap());
        map_all();
        u64 first = use_all(), again = use_all();
        measured_add(&hidden, first - again);
        unmap_all();
        write_cr3(t.root);
    }
    report("map64", "map64max", whole, 0, 1);
    report("hidden", "hiddenmx", hidden, 0, PAGES);
}

static u64 make_space(void)
{
    u64 root = table_new();
    table_map_identity(root, guest_memory_end(), 2);
    table_map(root, WINDOW, t.frame[0], 1, RIGHTS);
    return root;
}

static void skip(struct trap_frame *frame)
{
    frame->ip += SKIPPED;
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("batches rounds");
    u32 batches = (u32)args_number("batches", 16, 1, 100000);
    u32 rounds = (u32)args_number("rounds", 64, 1, 100000);

    frames_init(4 * MIB, guest_memory_end());
    for (u32 i = 0; i < PAGES; i++)
        t.frame[i] = frames_take(1, PAGE_SIZE);
    t.root = make_space();
    t.other = make_space();
    t.leaf = table_entry(t.root, WINDOW, 1);
    t.upper = table_entry(t.root, WINDOW, 2) + 1;
    trap_set(VECTOR_PF, skip);
    trap_set(VECTOR_UD, skip);
    table_activate(t.root);
    *t.leaf = t.frame[0] | RIGHTS;
    use_all(); /* the others fault */

    u64 floor = measure(op_nothing, batches, rounds).best;
    u64 delivery = measure(op_exception, batches, rounds).best;
    report("fault", "faultmax", measure(op_fault, batches, rounds), delivery, rounds);
    report("upper", "uppermax", measure(op_upper, batches, rounds), floor, rounds);
    report("cr3", "cr3max", measure(op_cr3, batches, rounds), floor, rounds);
    write_cr3(t.root);
    measure_window(batches);
    check("done", batches, batches);
}
