/*
 * Putting the parts of an image into a guest's memory. Every number may be
 * hostile: sums are made of 32-bit values in 64 bits, or not made at all.
 */
#include "kernel/mem.h"
#include "kernel/types.h"
#include "vmm/boot/load.h"

#define BELOW_EBDA 0x9f000ull /* kernels expect the BIOS's own data from 0x9fc00 on */
#define END_4G     (1ull << 32)

static bool overlaps(const struct load *l, u32 part, u64 start, u64 end)
{
    return start < l->part[part].end && l->part[part].start < end;
}

static int check_part(struct load *l, u64 offset, u64 file_size, u64 at, u64 mem_size)
{
    if (file_size > mem_size)
        return load_refuse(l, -EINVAL,
                           "the kernel's part at 0x%llx is larger in the file than "
                           "in memory",
                           (unsigned long long)at);
    if (offset > l->size || file_size > l->size - offset)
        return load_refuse(l, -EINVAL, "the kernel's part at 0x%llx ends behind the file's end",
                           (unsigned long long)at);
    if (!memmap_usable(&l->map, at, mem_size))
        return load_refuse(l, -EINVAL,
                           "the kernel wants 0x%llx bytes at 0x%llx, where the VM "
                           "has no memory for them",
                           (unsigned long long)mem_size, (unsigned long long)at);
    for (u32 i = 0; i < l->parts; i++)
        if (overlaps(l, i, at, at + mem_size))
            return load_refuse(l, -EINVAL, "two parts of the kernel overlap at 0x%llx",
                               (unsigned long long)max_u64(at, l->part[i].start));
    if (l->parts == LOAD_MAX_PARTS)
        return load_refuse(l, -EINVAL, "the kernel has more than %d parts", LOAD_MAX_PARTS);
    return 0;
}

/* The range is known to be memory, perhaps in several slots. */
static void zero(const struct guestmem *mem, u64 at, u64 size)
{
    while (size) {
        u64 run;
        u8 *to = guestmem_ptr(mem, gpa(at), &run);
        if (!to)
            return;
        run = min_u64(run, size);
        memset(to, 0, run);
        at += run;
        size -= run;
    }
}

int load_part(struct load *l, u64 offset, u64 file_size, u64 at, u64 mem_size)
{
    int err = check_part(l, offset, file_size, at, mem_size);

    if (!err && guestmem_write(l->mem, gpa(at), l->image + offset, file_size))
        err = load_refuse(l, -EINVAL, "the VM's memory at 0x%llx cannot be written",
                          (unsigned long long)at);
    if (err)
        return err;
    zero(l->mem, at + file_size, mem_size - file_size);
    l->part[l->parts].start = at;
    l->part[l->parts].end = at + mem_size;
    l->parts++;
    return 0;
}

bool load_contains(const struct load *l, u64 at)
{
    for (u32 i = 0; i < l->parts; i++)
        if (at >= l->part[i].start && at < l->part[i].end)
            return true;
    return false;
}

/* The highest free place in [start, end), or 0. Page 0 is the interrupt table's. */
static u64 room_in(const struct load *l, u64 start, u64 end, u64 size)
{
    start = max_u64(start, PAGE_SIZE);
    for (;;) {
        if (end < size || end - size < start)
            return 0;
        u64 at = (end - size) & ~PAGE_MASK;
        if (at < start)
            return 0;
        u32 i = 0;
        while (i < l->parts && !overlaps(l, i, at, at + size))
            i++;
        if (i == l->parts)
            return at;
        end = l->part[i].start;
    }
}

u64 load_find_room(const struct load *l, u64 size)
{
    for (u32 i = 0; i < l->map.ranges; i++) {
        const struct memrange *r = &l->map.range[i];
        u64 limit = r->base < PC_LOW_END ? BELOW_EBDA : END_4G;
        u64 at = r->usable ? room_in(l, r->base, min_u64(r->base + r->size, limit), size) : 0;
        if (at)
            return at;
    }
    return 0;
}
