/*
 * The bundle: what differs from run to run, in one file (handouts/formats.md
 * section 2). Here it is only checked and looked into, never changed.
 */
#ifndef KERNEL_BUNDLE_H
#define KERNEL_BUNDLE_H

#include "kernel/types.h"

#define BUNDLE_MAGIC      "NESTBND1"
#define BUNDLE_VERSION    1u
#define BUNDLE_MAX_SIZE   (64u << 20)
#define BUNDLE_MAX_GUESTS 15u

struct bundle_guest {
    u32 image_off;
    u32 image_size;
    char name[40];
    u8 reserved[16];
    char args[512];
};

struct bundle {
    char magic[8];
    u32 version;
    u32 size;
    u32 crc;
    u32 guests;
    u64 nonce;
    u64 seed;
    u64 clock_hz;
    char platform[24];
    char cmdline[512];
    char build_id[40];
    struct bundle_guest guest[];
};

/* NULL if the size bytes at b are a bundle of which everything can be
 * trusted, else one sentence that names the field at fault. */
const char *bundle_check(const struct bundle *b, u64 size);

static inline const void *bundle_image(const struct bundle *b, u32 i)
{
    return (const u8 *)b + b->guest[i].image_off;
}

#endif
