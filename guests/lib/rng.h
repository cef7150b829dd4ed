/*
 * Numbers from a seed: splitmix64 (Steele, Lea, Flood, OOPSLA 2014), whose
 * state is one word, so that a guest can keep as many streams as it likes.
 */
#ifndef GUESTS_LIB_RNG_H
#define GUESTS_LIB_RNG_H

#include "guests/lib/types.h"

struct rng {
    u64 state;
};

static inline u64 rng_next(struct rng *r)
{
    u64 z = r->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* From 0 to n - 1; n > 0. */
static inline u32 rng_below(struct rng *r, u32 n)
{
    return (u32)(((rng_next(r) >> 32) * n) >> 32);
}

/* True p times in 1000. */
static inline bool rng_permille(struct rng *r, u32 p)
{
    return rng_below(r, 1000) < p;
}

#endif
