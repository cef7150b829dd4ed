/*
 * Double faults, where the processor leaves them to the VMM.
 */
#ifndef VMM_DOUBLEFAULT_H
#define VMM_DOUBLEFAULT_H

#include "vmm/vcpu.h"

/* Does the processor make no exit of a triple fault? Known from the start on. */
extern bool doublefault_asks;
/* Have the guest's handler run at the next entry. False: it cannot be reached, so
 * this is a triple fault. */
bool doublefault_deliver(struct vcpu *);

#endif
