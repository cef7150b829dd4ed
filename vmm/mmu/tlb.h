/*
 * A model of a TLB, for studies: emulators do not expose theirs.
 *
 * Set-associative, one array for each page size, least recently used out
 * first. It holds which pages are cached, not what they translate to. Pure
 * C, without memory of its own. Section 5.5 of the AMD64 Manual vol. 2 says
 * what a TLB must forget; how large it is and what it evicts is up to the
 * processor, and here up to who asks.
 */
#ifndef VMM_MMU_TLB_H
#define VMM_MMU_TLB_H

#include "kernel/types.h"

enum tlb_size { TLB_4K, TLB_2M, TLB_1G, TLB_SIZES };
#define TLB_MISS TLB_SIZES

/* The array for one page size: sets is a power of two, or 0 if pages of this
 * size are not held as such: they are splintered into the next smaller ones. */
struct tlb_shape {
    u32 sets, ways;
};

struct tlb_entry {
    u64 root; /* the address space, by whatever number the caller has for it */
    u64 page; /* its first address, divided by its size */
    u64 used; /* when it was used last; 0: the entry is free */
};

struct tlb_counts {
    u64 hits, misses; /* of tlb_lookup() */
    u64 evicted;      /* by an insertion */
    u64 flushed;      /* by a flush */
};

struct tlb {
    struct tlb_shape shape[TLB_SIZES];
    struct tlb_entry *entry[TLB_SIZES];
    u64 clock; /* of uses */
    struct tlb_counts counts;
};

/* How many entries a TLB of this shape has; 0 if the shape makes no sense:
 * sets no power of two, no ways, or no 4K pages. */
u64 tlb_room(const struct tlb_shape[TLB_SIZES]);
/* An empty one; room is tlb_room() entries, which it keeps. */
void tlb_init(struct tlb *, const struct tlb_shape[TLB_SIZES], struct tlb_entry *room);

/* The size of the page that holds this address, or TLB_MISS. A hit counts as
 * a use. */
enum tlb_size tlb_lookup(struct tlb *, u64 root, u64 address);
/* Cache the page of this size around the address; what was used least
 * recently in its set gives way. Returns the size as which it is held. */
enum tlb_size tlb_insert(struct tlb *, u64 root, u64 address, enum tlb_size);

/* INVLPG: the page around the address, whatever its size; of one that was
 * splintered this piece alone, since nothing here knows the others. */
void tlb_flush_address(struct tlb *, u64 root, u64 address);
/* A load of CR3: all of this address space. */
void tlb_flush_root(struct tlb *, u64 root);
void tlb_flush_all(struct tlb *);

#endif
