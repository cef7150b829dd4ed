/*
 * A second timer of the host, whose interrupt is an NMI: nobody can mask it, not even an
 * emulator by mistake. Needed on Bochs only (vmm/svm/svm.c says why).
 */
#ifndef KERNEL_NMI_TIMER_H
#define KERNEL_NMI_TIMER_H

#include "kernel/types.h"

/* Switch it on; false: this machine has no HPET. */
bool nmi_timer_init(void);
/* An NMI at that virtual time (ns), give or take a count of the HPET; if it is past, at
 * once. It replaces what was asked before, and to ask for the same time again does nothing. */
void nmi_timer_arm(u64 at);

#endif
