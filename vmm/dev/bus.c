/*
 * The port bus: finding the device of a port, and splitting accesses that are
 * wider than it. The devices are kept in order of their ports.
 */
#include "vmm/dev/bus.h"

#define PORTS 0x10000u

/* How many devices lie wholly below this port. */
static u32 devices_below(const struct bus *bus, u32 port)
{
    u32 low = 0, high = bus->count;

    while (low < high) {
        u32 middle = (low + high) / 2;
        if (bus->dev[middle].last < port)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int bus_add(struct bus *bus, const struct bus_device *d)
{
    u32 at = devices_below(bus, d->first);

    if (d->first > d->last || (at < bus->count && bus->dev[at].first <= d->last))
        return -EINVAL;
    if (bus->count == BUS_MAX_DEVICES)
        return -ENOSPC;
    for (u32 i = bus->count++; i > at; i--)
        bus->dev[i] = bus->dev[i - 1];
    bus->dev[at] = *d;
    return 0;
}

static const struct bus_device *find(const struct bus *bus, u32 port)
{
    u32 at = devices_below(bus, port);

    return at < bus->count && bus->dev[at].first <= port ? &bus->dev[at] : NULL;
}

/* The device that takes this access as one piece. */
static const struct bus_device *find_whole(const struct bus *bus, u32 port, u8 size)
{
    const struct bus_device *d = find(bus, port);

    return d && size <= d->width && port + size - 1 <= d->last ? d : NULL;
}

static u32 low_bytes(u32 value, u8 size)
{
    return size < 4 ? value & ((1u << 8 * size) - 1) : value;
}

u32 bus_in(struct bus *bus, u16 port, u8 size)
{
    const struct bus_device *d = find_whole(bus, port, size);
    u32 value = 0;

    if (d)
        return low_bytes(d->in(d->device, port, size), size);
    if (size == 1)
        return 0xff;
    for (u8 i = 0; i < size; i++) {
        u32 byte = port + i < PORTS ? bus_in(bus, (u16)(port + i), 1) : 0xff;
        value |= byte << 8 * i;
    }
    return value;
}

void bus_out(struct bus *bus, u16 port, u8 size, u32 value)
{
    const struct bus_device *d = find_whole(bus, port, size);

    if (d) {
        d->out(d->device, port, size, low_bytes(value, size));
        return;
    }
    for (u8 i = 0; i < size && size > 1 && port + i < PORTS; i++)
        bus_out(bus, (u16)(port + i), 1, value >> 8 * i);
}
