/*
 * Memory of an imagined machine at a fixed place of this program, so that a
 * host-physical address is a pointer here too, and small enough for an entry.
 */
#ifndef VMM_MMU_SIM_ARENA_H
#define VMM_MMU_SIM_ARENA_H

#include "kernel/frame.h"

#define ARENA_BASE   0x4000000000ull
#define ARENA_FRAMES 8192u

/* False: this place is taken. */
bool arena_begin(void);
/* All frames are free again; so many may be taken. */
void arena_reset(u64 allowed);
/* From now on so many more. */
void arena_allow(u64 frames);
/* The eight bytes there, or NULL: no such place. */
u64 *arena_word(u64 at);

#endif
