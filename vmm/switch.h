/*
 * Changing the vCPU whose registers the processor holds: what an exit leaves
 * alone. Apart from the backend's, the only code here that needs a machine.
 */
#ifndef VMM_SWITCH_H
#define VMM_SWITCH_H

#include "vmm/vcpu.h"

/* Make its state the processor's, and back: FPU and SSE, DR0 to DR3, the
 * segments and MSRs of VMLOAD and VMSAVE. */
void switch_load(struct vcpu *);
void switch_save(struct vcpu *);

#endif
