/*
 * mix(): the hash that seals self-checks and derives a VM's seed, exactly as
 * handouts/formats.md section 5 defines it.
 */
#ifndef VMM_MIX_H
#define VMM_MIX_H

#include "kernel/types.h"

static inline u64 mix_step(u64 x, u64 word)
{
    x = (x ^ word) * 0x9e3779b97f4a7c15ull;
    return x ^ x >> 29;
}

static inline u64 mix(u64 a, u64 b, u64 c)
{
    u64 x = mix_step(mix_step(a, b), c) * 0xbf58476d1ce4e5b9ull;
    return x ^ x >> 32;
}

#endif
