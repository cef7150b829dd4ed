/*
 * A scheduler that answers calls, for whoever plays the VMs: see serve.c.
 */
#ifndef VMM_SCHED_SIM_SERVE_H
#define VMM_SCHED_SIM_SERVE_H

/* Until the input ends. The program's exit code. */
int serve(void);

#endif
