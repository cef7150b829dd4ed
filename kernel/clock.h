/*
 * The one clock: nanoseconds of virtual time since the trace began, from the
 * TSC and its frequency. Host-built tests set clock_test_ns instead.
 */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include "kernel/muldiv.h"
#include "kernel/types.h"

extern u64 clock_hz;   /* TSC ticks per second */
extern u64 clock_base; /* TSC at virtual time 0 */

#ifdef HOST_BUILD
extern u64 clock_test_ns; /* the time, as a unit test wants it */
static inline u64 clock_tsc(void)
{
    return clock_test_ns;
}
static inline void clock_stamp(u64 *at)
{
    *at = clock_test_ns;
}
#else
static inline u64 clock_tsc(void)
{
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}
/* *at = clock_tsc(), half by half: that saves putting them together. */
static inline void clock_stamp(u64 *at)
{
    typedef u32 half __attribute__((may_alias));
    half *low = (half *)at;
    __asm__ volatile("rdtsc; movl %%eax, %0; movl %%edx, %1"
                     : "=m"(low[0]), "=m"(low[1])
                     :
                     : "eax", "edx");
}
#endif

static inline u64 clock_tsc_to_ns(u64 ticks)
{
    return clock_hz == NS_PER_SEC ? ticks : muldiv(ticks, NS_PER_SEC, clock_hz);
}
/* Rounded up: the first tick that is not before that time. */
static inline u64 clock_ns_to_tsc(u64 ns)
{
    return clock_hz == NS_PER_SEC ? ns : muldiv_up(ns, clock_hz, NS_PER_SEC);
}
static inline u64 clock_now(void)
{
    return clock_tsc_to_ns(clock_tsc() - clock_base);
}

void clock_init(u64 hz);

#endif
