/*
 * The bitmaps by which a vendor's processor decides what of a guest's port and
 * MSR accesses exits, filled from one neutral rule: every port, and all MSRs but
 * the guest's own. How an MSR finds its bits in a map is the vendor's (svm_maps.c,
 * vmx_maps.c). One copy serves all vCPUs.
 */
#ifndef VMM_BITMAPS_H
#define VMM_BITMAPS_H

#include "kernel/types.h"

struct bitmaps {
    u8 *io, *msr; /* page-aligned; a set bit exits */
    u32 io_size, msr_size;
    void (*allow)(u8 *msr_map, u32 msr); /* clear its bits, for reading and writing */
    bool filled;
};

/* Where the map for ports, or for MSRs, is in memory; filled when first asked for. */
hpa_t bitmaps_io(struct bitmaps *);
hpa_t bitmaps_msr(struct bitmaps *);

#endif
