/*
 * The real interval timer, used for one thing: to measure the TSC where
 * nobody told its frequency. Guests have virtual ones (vmm/dev/pit.c).
 */
#ifndef KERNEL_PIT_H
#define KERNEL_PIT_H

#include "kernel/types.h"

/* TSC ticks per second, measured over 10 ms. */
u64 pit_measure_tsc(void);

#endif
