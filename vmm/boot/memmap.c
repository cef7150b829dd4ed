/*
 * Making a guest's memory map from its slots. The hole of a PC is there in any
 * VM, so that kernels which rely on it find it; a VM's memory in it (text
 * memory, for one) exists, but is called reserved. So is memory that a kernel
 * could not use as it likes: read-only, or not executable.
 */
#include "vmm/boot/memmap.h"
#include "vmm/hv.h"

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
    for (const struct slot *s = mem->slot; s < mem->slot + mem->slots; s++) {
        u64 base = s->gpa.v, end = base + s->size;
        bool usable = s->access == (ACCESS_WRITE | ACCESS_EXEC);
        append(map, base, min_u64(end, PC_LOW_END), usable);
        append(map, max_u64(base, PC_LOW_END), min_u64(end, PC_HIGH), false);
        append(map, max_u64(base, PC_HIGH), end, usable);
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
