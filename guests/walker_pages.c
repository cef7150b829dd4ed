/*
 * How walker chooses: random addresses in what the format can express, each
 * page's addresses disjoint from the others; a frame for each, holding a pattern.
 * Everything that is mapped lies in the VM's own memory, a 1 GiB page apart,
 * of which only the part that exists is touched.
 */
#include "guests/walker_pages.h"

extern char image_end[];

/* Two pages never share the 1 GiB (PAE: 2 MiB) that one of them lies in unless both are small. */
static bool is_taken(const struct walker *w, u32 n, u64 gva, u64 size)
{
    for (u32 i = 0; i < n; i++) {
        u64 other = w->page[i].gva, other_size = table_page_size(w->page[i].level);
        if (gva < other + other_size && other < gva + size)
            return true;
    }
    return false;
}

/* Above what is mapped to itself; in long mode in both canonical halves. */
static u64 random_gva(struct rng *r, u64 size)
{
#ifdef __x86_64__
    u64 a = rng_next(r) & 0x7fffffffffffull;
    if (a < GIB)
        a += GIB;
    a &= ~(size - 1);
    return rng_permille(r, 500) ? a | 0xffff800000000000ull : a;
#else
    return (0x40000000u + rng_below(r, 0xb0000000u)) & ~(size - 1);
#endif
}

static int random_level(struct walker *w)
{
    for (;;) {
        int level = 1 + (int)rng_below(&w->rng, 3);
        if (w->levels >> level & 1)
            return level;
    }
}

/* A 4 KiB page gets a frame of its own; larger ones lie over memory that is there. */
static void choose_target(struct walker *w, struct page *p)
{
    u64 size = table_page_size(p->level);
    if (p->level == 1) {
        p->gpa = frames_take(1, PAGE_SIZE);
        p->offset = rng_below(&w->rng, PAGE_SIZE / 8) * 8;
        return;
    }
    u64 frame = frames_take(1, PAGE_SIZE);
    p->gpa = frame & ~(size - 1);
    p->offset = frame - p->gpa + rng_below(&w->rng, PAGE_SIZE / 8) * 8;
}

void walker_choose(struct walker *w, u32 n)
{
    struct page *p = &w->page[n];
    p->level = random_level(w);
    do
        p->gva = random_gva(&w->rng, table_page_size(p->level));
    while (is_taken(w, n, p->gva, table_page_size(p->level)));
    p->writable = !rng_permille(&w->rng, 250);
    choose_target(w, p);
    table_map(w->root, p->gva, p->gpa, p->level, PTE_P | (p->writable ? PTE_W : 0));
}

void walker_tables(struct walker *w)
{
    u64 end = guest_memory_end();
    frames_init((uintptr_t)image_end, end);
    w->root = table_new();
    table_map_identity(w->root, end < GIB ? end : GIB, 1);
}
