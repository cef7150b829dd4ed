/*
 * Making a guest's memory map from its slots. The hole of a PC is there in any
 * VM, so that kernels which rely on it find it; a VM's memory in it (text
 * memory, for one) exists, but is called reserved.
 */
#include "vmm/boot/memmap.h"

/* Append [base, end); a range that only continues the last one lengthens it. */
static void append(struct memmap *map, u64 base, u64 end, bool usable)
{
    struct memrange *last = map->ranges ? &map->range[map->ranges - 1] : NULL;

    if (base >= end)
        return;
    if (last && last->usable == usable && last->base + last->size == base)
        last->size += end - base;
    else
        map->range[map->ranges++] = (struct memrange){base, end - base, usable};
}

void memmap_make(struct memmap *map, const struct guestmem *mem)
{
    map->ranges = 0;
    for (u32 i = 0; i < mem->slots; i++) {
        u64 base = mem->slot[i].gpa.v, end = base + mem->slot[i].size;
        append(map, base, min_u64(end, PC_LOW_END), true);
        append(map, max_u64(base, PC_LOW_END), min_u64(end, PC_HIGH), false);
        append(map, max_u64(base, PC_HIGH), end, true);
    }
}

u64 memmap_run(const struct memmap *map, u64 from)
{
    for (u32 i = 0; i < map->ranges; i++) {
        const struct memrange *r = &map->range[i];
        if (r->usable && from >= r->base && from - r->base < r->size)
            return r->size - (from - r->base);
    }
    return 0;
}

bool memmap_usable(const struct memmap *map, u64 base, u64 size)
{
    return size && size <= memmap_run(map, base);
}
