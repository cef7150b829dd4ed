/*
 * What vtlb has for page tables: a hash of pages, which no processor could walk, and the
 * hypercalls by which they reach the TLB (handouts/formats.md, section 12).
 */
#ifndef GUESTS_VTLB_MAP_H
#define GUESTS_VTLB_MAP_H

#include "guests/lib/guest.h"

enum { VTLB_WRITE = 1, VTLB_FLUSH = 2, VTLB_FLUSH_SPACE = 3 };
enum { VTLB_W = 1, VTLB_U = 2, VTLB_X = 4, VTLB_LARGE = 0x80 };
enum { VTLB_DONE = 0, VTLB_MALFORMED = 1, VTLB_NO_MEMORY = 2 };
#define VTLB_NO_SERVICE (~0ul)

#define LARGE_SIZE (2 * MIB)

struct page {
    u64 gva, gpa;
    u32 space;
    u32 how;      /* VTLB_W, VTLB_U, VTLB_X, VTLB_LARGE */
    bool present; /* it may be used */
    bool filled;  /* the TLB was given it, and has not been told to forget */
};

extern u32 map_space;    /* the current one: what CR3 names */
extern u64 map_misses;   /* how often a page was filled, */
extern u64 map_vanished; /* and of these, how often one that the TLB should have had */
extern u64 map_wrong;    /* answers to fills and flushes that should have been VTLB_DONE */

unsigned long hypercall(u32 number, u64 a, u64 b, u32 c);
/* VMMCALL, or on Intel's VMCALL, and RET: what hypercall() calls, and whoever gets a copy. */
#define HYPERCALL_BYTES 4
const u8 *hypercall_code(void);

/* A new page of the space; ends the guest when there are too many. */
struct page *map_add(u32 space, u64 gva, u64 gpa, u32 how);
/* The page of the current space that holds an address; NULL: there is none that may be used. */
struct page *map_find(u64 gva);
static inline u64 map_size(const struct page *p)
{
    return p->how & VTLB_LARGE ? LARGE_SIZE : PAGE_SIZE;
}
void map_fill(struct page *p);
/* One page, by the hypercall or by INVLPG; the current space. */
void map_flush(struct page *p, bool by_invlpg);
void map_flush_space(void);
void map_switch(u32 space);

#endif
