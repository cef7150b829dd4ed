/* Repeating the calls that a trace holds, and comparing what is decided. */
#ifndef VMM_SCHED_SIM_REPLAY_H
#define VMM_SCHED_SIM_REPLAY_H

/* 0: all decisions are the same, which a line on stdout counts; 1: one is not,
 * and the line says which; 2: the trace cannot be read. */
int replay_file(const char *path);

#endif
