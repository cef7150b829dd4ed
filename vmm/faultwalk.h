/*
 * Nested faults as page walks in the trace, for runs with the option
 * trace=walks (handouts/formats.md, sections 1.4 and 4).
 */
#ifndef VMM_FAULTWALK_H
#define VMM_FAULTWALK_H

#include "vmm/vcpu.h"

/* Trace the walk that ended in this nested fault, made on the tables as they
 * are now: before the page is mapped. Nothing is traced when it is not known
 * which gVA the guest was after. */
void faultwalk_trace(struct vcpu *, const struct exit *);

#endif
