/*
 * A processor's TLB, for fuzz targets of the shadow: it holds leaves of the shadow's tables
 * by the page of their gVA, until the VMM asks the fake backend for a flush.
 */
#ifndef VMM_TESTS_SHADOW_TLB_H
#define VMM_TESTS_SHADOW_TLB_H

#include "vmm/vm.h"

void tlb_empty(void);
void tlb_drop(u64 gva);
u64 tlb_find(u64 gva); /* the leaf, or 0 */
void tlb_fill(u64 gva, u64 leaf);
/* The flushes that the VMM has asked for since the last time. */
void tlb_flushes(void);
/* What it holds the shadow holds, too, and nothing there is writable that has to exit. */
void tlb_check(struct vcpu *);

#endif
