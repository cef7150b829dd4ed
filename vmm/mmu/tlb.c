/*
 * The TLB model: see tlb.h. An address is looked for among the pages of every
 * size, since nobody knows beforehand how large its page is; real processors
 * do the same, with an array for each size or one that hashes all.
 *
 * What it does not do: translate, tell who may do what, or walk tables.
 */
#include "vmm/mmu/tlb.h"

static const u8 shift[TLB_SIZES] = {12, 21, 30};

static u32 entries_of(const struct tlb_shape *s)
{
    return s->sets * s->ways;
}

u64 tlb_room(const struct tlb_shape shape[TLB_SIZES])
{
    u64 room = 0;

    for (u32 size = 0; size < TLB_SIZES; size++) {
        if (shape[size].sets & (shape[size].sets - 1) || (shape[size].sets && !shape[size].ways))
            return 0;
        room += entries_of(&shape[size]);
    }
    return shape[TLB_4K].sets ? room : 0;
}

void tlb_init(struct tlb *t, const struct tlb_shape shape[TLB_SIZES], struct tlb_entry *room)
{
    *t = (struct tlb){0};
    for (u32 size = 0; size < TLB_SIZES; size++) {
        t->shape[size] = shape[size];
        t->entry[size] = room;
        room += entries_of(&shape[size]);
    }
    tlb_flush_all(t);
    t->counts = (struct tlb_counts){0};
}

/* The set in which a page of this size is, if anywhere. */
static struct tlb_entry *set_of(struct tlb *t, u32 size, u64 page)
{
    return t->entry[size] + (page & (t->shape[size].sets - 1)) * t->shape[size].ways;
}

static struct tlb_entry *find(struct tlb *t, u32 size, u64 root, u64 address)
{
    u64 page = address >> shift[size];

    if (!t->shape[size].sets)
        return NULL;
    struct tlb_entry *set = set_of(t, size, page);
    for (u32 way = 0; way < t->shape[size].ways; way++)
        if (set[way].used && set[way].root == root && set[way].page == page)
            return &set[way];
    return NULL;
}

enum tlb_size tlb_lookup(struct tlb *t, u64 root, u64 address)
{
    for (u32 size = 0; size < TLB_SIZES; size++) {
        struct tlb_entry *e = find(t, size, root, address);
        if (e) {
            e->used = ++t->clock;
            t->counts.hits++;
            return (enum tlb_size)size;
        }
    }
    t->counts.misses++;
    return TLB_MISS;
}

/* A free way, or the one that was used least recently. */
static struct tlb_entry *victim(struct tlb *t, u32 size, u64 page)
{
    struct tlb_entry *set = set_of(t, size, page), *oldest = set;

    for (u32 way = 1; way < t->shape[size].ways; way++)
        if (set[way].used < oldest->used)
            oldest = &set[way];
    return oldest;
}

enum tlb_size tlb_insert(struct tlb *t, u64 root, u64 address, enum tlb_size size)
{
    while (!t->shape[size].sets) /* 4K pages are always held */
        size--;
    u64 page = address >> shift[size];
    struct tlb_entry *e = find(t, size, root, address);
    if (!e) {
        e = victim(t, size, page);
        t->counts.evicted += e->used != 0;
    }
    *e = (struct tlb_entry){.root = root, .page = page, .used = ++t->clock};
    return size;
}

static void forget(struct tlb *t, struct tlb_entry *e)
{
    t->counts.flushed += e->used != 0;
    *e = (struct tlb_entry){0};
}

void tlb_flush_address(struct tlb *t, u64 root, u64 address)
{
    for (u32 size = 0; size < TLB_SIZES; size++) {
        struct tlb_entry *e = find(t, size, root, address);
        if (e)
            forget(t, e);
    }
}

void tlb_flush_root(struct tlb *t, u64 root)
{
    for (u32 size = 0; size < TLB_SIZES; size++)
        for (u32 i = 0; i < entries_of(&t->shape[size]); i++)
            if (t->entry[size][i].used && t->entry[size][i].root == root)
                forget(t, &t->entry[size][i]);
}

void tlb_flush_all(struct tlb *t)
{
    for (u32 size = 0; size < TLB_SIZES; size++)
        for (u32 i = 0; i < entries_of(&t->shape[size]); i++)
            forget(t, &t->entry[size][i]);
}
