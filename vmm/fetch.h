/*
 * Reaching into a guest by its own addresses: the instruction at RIP, and
 * memory through its segments and page tables.
 */
#ifndef VMM_FETCH_H
#define VMM_FETCH_H

#include "vmm/emulate.h"
#include "vmm/insn.h"
#include "vmm/vcpu.h"

/* Decode the instruction at RIP. 0; -EFAULT: its bytes cannot be reached;
 * -EINVAL: no such instruction. */
int fetch_insn(struct vcpu *, struct insn *);
/* Execute it: what touches memory outside the slots, or string I/O. Ends in
 * the guest going on, in a fault of its own, or in that VM's end. */
void fetch_emulate(struct vcpu *, const struct insn *);

#endif
