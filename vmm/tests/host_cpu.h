/*
 * The privileged parts of the kernel and the VMM for unit tests: the one-shot
 * timer, idling, CPUID, and the vCPU switch. Nothing of the developer's own
 * processor is looked at: CPUID says what a test wants it to say.
 */
#ifndef VMM_TESTS_HOST_CPU_H
#define VMM_TESTS_HOST_CPU_H

#include "kernel/types.h"

/* When the timer fires, virtual ns; ~0: it is not armed. A time that is past
 * means at once: until the interrupt is taken no guest runs. */
extern u64 host_timer_at;
/* How often the timer was armed, and how often its interrupt was taken. */
extern u64 host_timer_armed, host_timer_taken;

/* Let virtual time pass. */
void host_clock_advance(u64 ns);

/* One leaf of CPUID from now on; all others are 0 after host_cpuid_clear(). */
void host_cpuid_set(u32 leaf, u32 a, u32 b, u32 c, u32 d);
void host_cpuid_clear(void);

#endif
