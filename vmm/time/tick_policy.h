/*
 * The four lost-tick policies, by themselves. Only vtimer.c calls this; what
 * each policy promises stands in vtimer.h.
 */
#ifndef VMM_TIME_TICK_POLICY_H
#define VMM_TIME_TICK_POLICY_H

#include "vmm/time/vtimer.h"

/* The guest can take a tick at now, and none is offered: treat the late and
 * the owed ones, and offer one if the policy says so. */
void tick_policy_apply(struct vtimer *, u64 now);

#endif
