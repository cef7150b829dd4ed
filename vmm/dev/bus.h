/*
 * The port bus of one VM: which device answers which port.
 *
 * Devices are pure C: a struct, and functions on it. An access of 2 or 4 bytes
 * to a device of byte ports is split, low byte first, as the ISA bus does; so is
 * one that reaches past a device's last port. A port nobody answers reads all
 * ones and swallows writes.
 */
#ifndef VMM_DEV_BUS_H
#define VMM_DEV_BUS_H

#include "kernel/types.h"

#define BUS_MAX_DEVICES 24
#define BUS_PORTS       0x10000

struct bus_device {
    const char *name;
    u16 first, last; /* ports, inclusive */
    u8 width;        /* the widest access it takes: 1 or 4 bytes */
    u32 (*in)(void *device, u16 port, u8 size);
    void (*out)(void *device, u16 port, u8 size, u32 value);
    void *device;
};

struct bus {
    u32 count;
    struct bus_device dev[1 + BUS_MAX_DEVICES]; /* 0 is nobody */
    u8 owner[BUS_PORTS];                        /* which of dev has the port */
};

/* An empty bus is all zeros. -EINVAL: overlaps another; -ENOSPC. */
int bus_add(struct bus *, const struct bus_device *);
/* size is 1, 2 or 4; bits above it are 0 in what is read and ignored in what
 * is written. */
u32 bus_in(struct bus *, u16 port, u8 size);
void bus_out(struct bus *, u16 port, u8 size, u32 value);

#endif
