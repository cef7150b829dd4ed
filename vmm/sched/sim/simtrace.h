/*
 * The simulator's trace: the same area as the machine's, in the host's memory,
 * with one buffer a CPU, written to a file in the end (handouts/formats.md 1).
 */
#ifndef VMM_SCHED_SIM_SIMTRACE_H
#define VMM_SCHED_SIM_SIMTRACE_H

#include "kernel/trace.h"

/* Begin a trace of so many bytes and CPUs (at most TRACE_MAX_CPUS). The clock
 * is clock_test_ns. Ends the program if there is no memory. */
void simtrace_begin(u64 bytes, u32 cpus, const char *cmdline, u64 seed);
/* Records that follow are of this CPU. */
void simtrace_cpu(u32 cpu);
/* Write the file; false and a sentence on stderr if that fails. */
bool simtrace_write(const char *path);
/* Records that did not fit. */
u64 simtrace_dropped(void);

#endif
