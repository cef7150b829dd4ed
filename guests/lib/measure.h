/*
 * Measuring from inside a guest, in ticks of the TSC (under icount one tick is one
 * emulated instruction): an operation runs in batches; the same loop with an
 * operation that is the floor is subtracted. What is kept is the best batch, and
 * the worst one: the host's own timer falls into some.
 */
#ifndef GUESTS_LIB_MEASURE_H
#define GUESTS_LIB_MEASURE_H

#include "guests/lib/guest.h"

/* Ticks of a batch. */
struct measured {
    u64 best, worst;
};
#define MEASURED_NONE ((struct measured){.best = ~0ull})

/* i: the how-manieth of its batch. It is inlined: each measuring is a loop of its own. */
typedef void (*operation)(u32 i);

static inline void op_nothing(u32 i)
{
    (void)i;
    __asm__ volatile("" : : : "memory");
}

static inline void measured_add(struct measured *m, u64 ticks)
{
    m->best = ticks < m->best ? ticks : m->best;
    m->worst = ticks > m->worst ? ticks : m->worst;
}

static inline __attribute__((always_inline)) u64 batch(operation op, u32 rounds)
{
    u64 start = rdtsc();
    for (u32 i = 0; i < rounds; i++) {
        op(i);
        __asm__ volatile("" : "+r"(i));
    }
    return rdtsc() - start;
}

static inline __attribute__((always_inline)) struct measured measure(operation op, u32 batches,
                                                                     u32 rounds)
{
    struct measured m = MEASURED_NONE;
    for (u32 i = 0; i < batches; i++)
        measured_add(&m, batch(op, rounds));
    return m;
}

/* Ticks for one operation, rounded to the nearest. */
static inline u64 mean(u64 total, u64 floor, u32 rounds)
{
    return total > floor ? (total - floor + rounds / 2) / rounds : 0;
}

/* Two checkpoints: the mean of the best batch, and of the worst. */
static inline void report(const char *name, const char *worst, struct measured m, u64 floor,
                          u32 rounds)
{
    checkpoint(name, mean(m.best, floor, rounds));
    checkpoint(worst, mean(m.worst, floor, rounds));
}

#endif
