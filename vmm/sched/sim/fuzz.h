/* Random lists of calls, to compare a scheduler's decisions with the oracle's. */
#ifndef VMM_SCHED_SIM_FUZZ_H
#define VMM_SCHED_SIM_FUZZ_H

#include "vmm/sched/sched.h"

/* One workload of at least so many decisions (picks that give another answer
 * than the one before), into the trace. */
void fuzz_workload(const struct sched_ops *, u64 seed, u32 decisions);

#endif
