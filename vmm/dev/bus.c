/*
 * The port bus: finding the device of a port, and splitting accesses that are
 * wider than it. A table says who owns each port, so that no exit searches.
 */
#include "vmm/dev/bus.h"

int bus_add(struct bus *bus, const struct bus_device *d)
{
    if (d->first > d->last)
        return -EINVAL;
    for (u32 port = d->first; port <= d->last; port++)
        if (bus->owner[port])
            return -EINVAL;
    if (bus->count == BUS_MAX_DEVICES)
        return -ENOSPC;
    bus->dev[++bus->count] = *d;
    for (u32 port = d->first; port <= d->last; port++)
        bus->owner[port] = (u8)bus->count;
    return 0;
}

/* Does this device take the access as one piece? Nobody is 0 bytes wide. */
static bool takes_whole(const struct bus_device *d, u32 port, u8 size)
{
    return size <= d->width && port + size - 1 <= d->last;
}

static u32 low_bytes(u32 value, u8 size)
{
    return size < 4 ? value & ((1u << 8 * size) - 1) : value;
}

/* An access in bytes, low one first; past the last port there is nobody. Not
 * inlined: most accesses do not come here and need not save its registers. */
static __attribute__((noinline)) u32 in_bytes(struct bus *bus, u32 port, u8 size)
{
    u32 value = 0;

    for (u8 i = 0; i < size; i++) {
        u32 byte = port + i < BUS_PORTS ? bus_in(bus, (u16)(port + i), 1) : 0xff;
        value |= byte << 8 * i;
    }
    return value;
}

static __attribute__((noinline)) void out_bytes(struct bus *bus, u32 port, u8 size, u32 value)
{
    for (u8 i = 0; i < size && port + i < BUS_PORTS; i++)
        bus_out(bus, (u16)(port + i), 1, value >> 8 * i);
}

u32 bus_in(struct bus *bus, u16 port, u8 size)
{
    const struct bus_device *d = &bus->dev[bus->owner[port]];

    if (takes_whole(d, port, size))
        return low_bytes(d->in(d->device, port, size), size);
    return size > 1 ? in_bytes(bus, port, size) : 0xff;
}

void bus_out(struct bus *bus, u16 port, u8 size, u32 value)
{
    const struct bus_device *d = &bus->dev[bus->owner[port]];

    if (takes_whole(d, port, size))
        d->out(d->device, port, size, low_bytes(value, size));
    else if (size > 1)
        out_bytes(bus, port, size, value);
}
