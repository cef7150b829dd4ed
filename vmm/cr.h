/*
 * Writes to the control registers and EFER, with the checks that a processor
 * makes: false is a #GP. Without them the next entry would be refused.
 */
#ifndef VMM_CR_H
#define VMM_CR_H

#include "vmm/vcpu.h"

bool cr_write_0(struct vcpu *, u64 value);
bool cr_write_3(struct vcpu *, u64 value);
bool cr_write_4(struct vcpu *, u64 value);
bool cr_write_efer(struct vcpu *, u64 value);

#endif
