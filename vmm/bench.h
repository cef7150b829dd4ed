/*
 * Costs that only the host can measure (option bench=).
 */
#ifndef VMM_BENCH_H
#define VMM_BENCH_H

#include "vmm/sched/sched.h"

/* What one trace record costs, in TSC ticks; a note in the trace. */
void bench_record(void);

/* What a decision costs that scheduler, by the number of VMs; notes in the trace.
 * The scheduler must be begun anew afterwards. */
void bench_sched(const struct sched_ops *, enum sched_charge);

#endif
