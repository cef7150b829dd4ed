/*
 * a x b / c without losing a bit: 64 x 64 bits make 128, divided to 64 again.
 *
 * By the processor's own MUL and DIV, so that neither the kernel needs a
 * library for 128-bit division nor a clock that ran for years drifts. A
 * quotient of more than 64 bits becomes ~0 ("never", for a time). c is not 0.
 */
#ifndef KERNEL_MULDIV_H
#define KERNEL_MULDIV_H

#include "kernel/types.h"

static inline u64 div_u128(u128 n, u64 c)
{
    u64 high = (u64)(n >> 64), quotient, remainder;

    if (high >= c) /* DIV would trap */
        return ~0ull;
    __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"((u64)n), "d"(high), "r"(c) : "cc");
    return quotient;
}

/* Rounded down. */
static inline u64 muldiv(u64 a, u64 b, u64 c)
{
    return div_u128((u128)a * b, c);
}

/* Rounded up. */
static inline u64 muldiv_up(u64 a, u64 b, u64 c)
{
    return div_u128((u128)a * b + (c - 1), c);
}

/* a + b, or ~0 where that is past the end of time. */
static inline u64 add_capped(u64 a, u64 b)
{
    return b > ~0ull - a ? ~0ull : a + b;
}

#endif
