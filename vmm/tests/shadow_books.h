/*
 * What holds of a shadow between two exits, whatever its guest does: the books that
 * vmm/mmu/shadow_*.c keep agree with the tables and with each other, and what the
 * processor finds in the tables is no more than the guest's own allow. For fuzz targets.
 */
#ifndef VMM_TESTS_SHADOW_BOOKS_H
#define VMM_TESTS_SHADOW_BOOKS_H

#include "vmm/vm.h"

#define BOOKS_PAGES 64u /* the largest pool that they can look at */

/* Pages, lists, chains and counts. */
void books_check(const struct shadow *);
/* All leaves that the active root leads to, but those of guest tables out of step. */
void books_check_leaves(struct vcpu *);
/* The leaf of one address, after INVLPG of it: out of step or not. */
void books_check_leaf(struct vcpu *, u64 gva);
/* What the processor's walk finds for an address; 0: nothing. */
u64 books_leaf(const struct vcpu *, u64 gva);
/* The number of the frame that a leaf leads to; it must be one of the guest's memory. */
u32 books_frame(const struct shadow *, u64 leaf);

#endif
