/*
 * The real timer: this CPU's local APIC as a one-shot. Guests never own it.
 */
#ifndef KERNEL_LAPIC_H
#define KERNEL_LAPIC_H

#include "kernel/types.h"

void lapic_init(void);
/* Interrupt this CPU at that virtual time (ns), or as soon as possible if it
 * is past; ~0: not at all. Replaces what was asked before. */
void timer_arm(u64 at);
/* The time for which it was armed last, ~0 if it has fired since. */
u64 timer_armed(void);
/* Did it fire since it was armed? Asked at every entry of some guests: inline. */
extern volatile bool timer_has_fired;
static inline bool timer_fired(void)
{
    return timer_has_fired;
}

#endif
