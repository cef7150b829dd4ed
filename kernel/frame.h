/*
 * The frame allocator: who owns which 4 KiB frame of host memory.
 *
 * Every frame has exactly one owner, so a leak is a number: frames_owned()
 * of a VM that is gone must be 0. It does not map anything.
 */
#ifndef KERNEL_FRAME_H
#define KERNEL_FRAME_H

#include "kernel/types.h"

/* Owners. A VM n has two kinds of frames: its memory and the VMM's tables
 * and control blocks for it. */
enum {
    OWNER_FREE = 0,
    OWNER_ABSENT = 1, /* no memory there, or firmware's */
    OWNER_KERNEL = 2,
    OWNER_TRACE = 3,
    OWNER_BUNDLE = 4,
    OWNER_VM_RAM = 0x100,   /* + VM number */
    OWNER_VM_TABLE = 0x200, /* + VM number */
    OWNER_END = 0x300,
};
typedef u16 owner_t;

/* n neighbouring frames whose first address is a multiple of align bytes,
 * *not* zeroed. Returns hpa 0 if there are none. */
hpa_t frames_alloc(u64 n, u64 align, owner_t owner);
/* One zeroed frame, or hpa 0. */
hpa_t frame_alloc_zeroed(owner_t owner);
/* Give back; panics when a frame is not owner's. */
void frames_free(hpa_t first, u64 n, owner_t owner);
/* How many the owner has: counted as they change hands, so asking is cheap. */
u64 frames_owned(owner_t owner);

/* Below it lie the kernel and every frame that was ever handed out. */
hpa_t frames_top(void);

/* Take a fixed range out of the free memory; panics if it is not free. */
void frame_reserve(hpa_t base, u64 size, owner_t owner);

struct bootinfo;
void frame_init(const struct bootinfo *info);

#endif
