/*
 * The frequency of the TSC: told by the bundle, or measured against the PIT.
 */
#include "kernel/clock.h"
#include "kernel/pit.h"

u64 clock_hz = NS_PER_SEC;
u64 clock_base;

void clock_init(u64 hz)
{
    clock_hz = hz ? hz : pit_measure_tsc();
    clock_base = clock_tsc();
}
