/*
 * churn: touches pages of a working set in a seeded order, and changes the tables
 * in between, as often as it is told: a page gets its other frame, by a write to
 * its entry and INVLPG. What that costs is measured from outside, between the
 * checkpoints `begin` and `end`; the order is a function of `stream` alone, so that
 * a model of a TLB can be asked about the same accesses. Every access is checked.
 * Arguments: pages, accesses, changes (in 1000 accesses), stream.
 */
#include "guests/lib/guest.h"
#include "guests/lib/rng.h"
#include "guests/lib/table.h"

#define FIRST     (64 * GIB) /* the working set's first address */
#define MAX_PAGES 4096

extern char image_end[];

static struct {
    u64 root, pages;
    u64 frame[2];      /* of the two sets of frames the first */
    u8 now[MAX_PAGES]; /* which of them each page has */
    u64 wrong;
    struct rng rng;
} churn;

static u64 gva_of(u64 page)
{
    return FIRST + page * PAGE_SIZE;
}

static u64 frame_of(u64 page, u8 set)
{
    return churn.frame[set] + page * PAGE_SIZE;
}

/* The working set, on the first set of frames; each frame's first word is its own address, and
 * no frame is touched for the first time later. */
static void make_pages(void)
{
    for (u8 set = 0; set < 2; set++) {
        churn.frame[set] = frames_take(churn.pages, PAGE_SIZE);
        for (u64 page = 0; page < churn.pages; page++)
            *(u64 *)(uintptr_t)frame_of(page, set) = frame_of(page, set);
    }
    for (u64 page = 0; page < churn.pages; page++)
        table_map(churn.root, gva_of(page), frame_of(page, 0), 1, PTE_P | PTE_W);
}

static void change(u64 page)
{
    u8 set = churn.now[page] ^= 1;
    *table_entry(churn.root, gva_of(page), 1) = frame_of(page, set) | PTE_P | PTE_W;
    invlpg((const void *)(uintptr_t)gva_of(page));
}

static void access_page(u64 page)
{
    u64 *at = (u64 *)(uintptr_t)gva_of(page);
    churn.wrong += *(volatile u64 *)at != frame_of(page, churn.now[page]);
}

/* Some changes, some accesses; grader/experiment/churn.py makes the same stream. */
static void run(u64 accesses, u32 changes)
{
    for (u64 i = 0; i < accesses; i++) {
        if (rng_permille(&churn.rng, changes))
            change(rng_below(&churn.rng, (u32)churn.pages));
        access_page(rng_below(&churn.rng, (u32)churn.pages));
    }
}

void guest_main(const struct multiboot_info *info)
{
    (void)info;
    args_allow("pages accesses changes stream");
    churn.pages = args_number("pages", 256, 1, MAX_PAGES);
    u64 accesses = args_number("accesses", 20000, 1, 1ull << 40);
    u32 changes = (u32)args_number("changes", 10, 0, 1000);
    churn.rng.state = args_number("stream", 1, 0, 1ull << 62);

    frames_init((u64)(uintptr_t)image_end, guest_memory_end());
    churn.root = table_new();
    table_map_identity(churn.root, guest_memory_end(), 1);
    make_pages();
    table_activate(churn.root);
    for (u64 page = 0; page < churn.pages; page++)
        access_page(page);
    guest_walk(FIRST, WALK_READ); /* where walks are traced, it tells how long one is */
    checkpoint("begin", accesses);
    run(accesses, changes);
    checkpoint("end", churn.rng.state);
    check("contents", churn.wrong, 0);
}
