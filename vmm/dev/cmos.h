/*
 * The battery-backed memory and clock at ports 0x70 and 0x71 (MC146818).
 *
 * The date begins at 2020-01-01 00:00:00 when the VM is created and follows
 * the VM's clock; setting it is ignored, and it raises no interrupts. The
 * memory size is where the BIOS of a PC leaves it. 114 bytes are just memory.
 */
#ifndef VMM_DEV_CMOS_H
#define VMM_DEV_CMOS_H

#include "kernel/types.h"
#include "vmm/dev/bus.h"

#define CMOS_SIZE 128

struct cmos {
    u8 index;
    u8 ram[CMOS_SIZE];
    u64 (*now)(void *opaque); /* the VM's clock in ns */
    void *opaque;
};

/* memory_end: the guest's memory in bytes from address 0. */
void cmos_init(struct cmos *, u64 memory_end, u64 (*now)(void *), void *opaque);
void cmos_attach(struct cmos *, struct bus *);

#endif
