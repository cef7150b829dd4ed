/*
 * Costs that only the host can measure (option bench=).
 */
#ifndef VMM_BENCH_H
#define VMM_BENCH_H

/* What one trace record costs, in TSC ticks; a note in the trace. */
void bench_record(void);

#endif
