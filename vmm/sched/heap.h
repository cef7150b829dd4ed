/*
 * A queue in order of a key: the first, the second, and any one's leaving in
 * O(log n) or better, without memory of its own. It is a leftist heap: a tree
 * whose right-hand paths are short, so that two heaps merge along these.
 *
 * Of equal keys the one queued earlier is first; of those queued in the same
 * instant the lower VM, then vCPU. So the order of the calls does not matter.
 */
#ifndef VMM_SCHED_HEAP_H
#define VMM_SCHED_HEAP_H

#include "kernel/types.h"

struct sched_unit;

/* A unit's place in one heap. All zero but unit: in none. */
struct heap_node {
    struct heap_node *left, *right, *parent;
    struct heap *in; /* NULL: in none */
    u32 rank;        /* nodes down the right-hand path from here, this one included */
    s64 key;
    u64 since; /* when it was queued, ns */
    struct sched_unit *unit;
};

struct heap {
    struct heap_node *root;
    u32 count;
};

void heap_insert(struct heap *, struct heap_node *, s64 key, u64 since);
/* Nothing happens if it is in none. */
void heap_remove(struct heap_node *);

/* It has another key, and was queued then: to its new place, if it is in a heap. */
void heap_move(struct heap_node *, s64 key, u64 since);
/* The one of two that comes first. */
struct heap_node *heap_lower(struct heap_node *, struct heap_node *);

/* Inline: a decision asks for these more than once. */

/* The unit with the lowest key, or NULL. */
static inline struct sched_unit *heap_first(const struct heap *h)
{
    return h->root ? h->root->unit : NULL;
}

/* The first of those that are not this one, or NULL; O(1) if this one is the
 * first or the second. */
static inline struct heap_node *heap_first_but(const struct heap *h, const struct sched_unit *but)
{
    if (!h->root || h->root->unit != but)
        return h->root;
    return h->root->right ? heap_lower(h->root->left, h->root->right) : h->root->left;
}

/* The next in no order that means anything, to visit all; NULL: begin, end. */
struct heap_node *heap_next(const struct heap *, const struct heap_node *);

#endif
