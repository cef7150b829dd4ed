/*
 * The pages of walker: which addresses are mapped where, chosen from the seed.
 */
#ifndef GUESTS_WALKER_PAGES_H
#define GUESTS_WALKER_PAGES_H

#include "guests/lib/guest.h"
#include "guests/lib/table.h"

#define WALKER_MAX_PAGES 512

struct page {
    u64 gva, gpa; /* of the page */
    u64 offset;   /* what is touched, a multiple of 8 */
    int level;    /* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB */
    bool writable;
};

struct walker {
    u64 root;
    struct rng rng;
    u32 pages;
    u32 levels; /* bit n: pages of level n are among them */
    struct page page[WALKER_MAX_PAGES];
};

/* Tables that map all memory to itself by 4 KiB pages, and nothing else yet. */
void walker_tables(struct walker *w);
/* Choose page n and map it. */
void walker_choose(struct walker *w, u32 n);

#endif
