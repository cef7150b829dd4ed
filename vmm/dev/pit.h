/*
 * The virtual interval timer: an 8254 with channels 0 to 2 and port 0x61.
 *
 * Counts follow from the VM's clock: nothing here ticks. Channel 0's output is
 * the vtimer; channel 2's gate and output are in port 0x61. Latch, read-back
 * (count and status), LSB/MSB access, BCD, modes 0 to 5 for read-back; ticks
 * for modes 0, 2, 3 and 4. A new count takes effect at once in every mode (the
 * chip finishes a period of modes 2 and 3 first). Source: Intel 8254.
 */
#ifndef VMM_DEV_PIT_H
#define VMM_DEV_PIT_H

#include "kernel/types.h"
#include "vmm/dev/bus.h"
#include "vmm/dev/pit_channel.h"
#include "vmm/time/vtimer.h"

struct pit {
    struct pit_channel ch[3];
    bool speaker;
    struct vtimer *timer;
    u64 (*now)(void *opaque); /* the VM's clock in ns */
    void *opaque;
};

/* Unlike after a PC's BIOS, nothing counts before the guest programs it. */
void pit_init(struct pit *, struct vtimer *, u64 (*now)(void *), void *opaque);
void pit_attach(struct pit *, struct bus *); /* 0x40-0x43, 0x61 */

#endif
