/*
 * The memory map that a guest is told: its slots, less the hole that a PC has
 * between 640 KiB and 1 MiB. Adjoining slots are one range.
 */
#ifndef VMM_BOOT_MEMMAP_H
#define VMM_BOOT_MEMMAP_H

#include "kernel/types.h"
#include "vmm/guestmem.h"

#define PC_LOW_END 0xa0000ull  /* video memory and ROMs from here */
#define PC_HIGH    0x100000ull /* memory again from here */
#define PC_TEXT    0xb8000ull  /* text memory, less than a page: plain RAM for a guest */

/* A slot makes at most one range more than it is, the one across the hole two. */
#define MEMMAP_MAX (GUESTMEM_SLOTS + 2)

struct memrange {
    u64 base, size;
    bool usable; /* else reserved */
};
struct memmap {
    u32 ranges;
    struct memrange range[MEMMAP_MAX]; /* ascending, not overlapping */
};

void memmap_make(struct memmap *, const struct guestmem *);
/* Do all bytes lie in one usable range? False for size 0. */
bool memmap_usable(const struct memmap *, u64 base, u64 size);
/* The bytes of usable memory that follow from this address without a hole. */
u64 memmap_run(const struct memmap *, u64 from);

#endif
