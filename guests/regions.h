/*
 * The guest regions: what it knows of its memory (regions.c), and how it uses it
 * (regions_use.c).
 */
#ifndef GUESTS_REGIONS_H
#define GUESTS_REGIONS_H

#include "guests/lib/guest.h"

#define MOST_PARTS 24

enum kind { RAM, ROM, NOEXEC, HOLE };

struct part {
    enum kind kind;
    u64 first; /* its gPA, and its gVA */
    u32 pages;
};

struct machine {
    u32 parts;
    struct part part[MOST_PARTS];
    u64 root, seed, rounds;
    struct rng rng;
};
extern struct machine regions;

/* Use a page of it once, in each way that its kind allows, and in each that must
 * do nothing; count what was not as promised. */
void regions_use(const struct part *);
/* Touch every page that there is. */
void regions_sweep(void);
/* Page tables in memory that is not executable work. */
void regions_tables(void);
/* What the VMM's walker says of each part. */
void regions_walks(void);
/* Which pages were used, asked of the VMM. */
void regions_harvest(void);
/* The self-checks. */
void regions_report(void);

#endif
