/*
 * Building page tables by hand: memory is reached at its own address, so a
 * table's gPA is also a pointer. AMD64 manual vol. 2, sections 5.2.3 (PAE)
 * and 5.3 (long mode). Non-leaf entries allow everything; leaves restrict.
 */
#include "guests/lib/table.h"

#include "guests/lib/guest.h"

static u64 next_frame, end_of_frames;

void frames_init(u64 first, u64 end)
{
    next_frame = first;
    end_of_frames = end;
}

u64 frames_take(u64 n, u64 align)
{
    u64 first = (next_frame + align - 1) & ~(align - 1);
    if (first + n * PAGE_SIZE > end_of_frames) {
        print("out of memory at 0x%X: give this VM more (mem=)\n", first);
        guest_exit(EXIT_NO_MEMORY);
    }
    next_frame = first + n * PAGE_SIZE;
    memset((void *)(uintptr_t)first, 0, (size_t)(n * PAGE_SIZE));
    return first;
}

u64 table_new(void)
{
    return frames_take(1, PAGE_SIZE);
}

static u64 *entry_of(u64 table, u64 gva, int level)
{
    return (u64 *)(uintptr_t)table + ((gva >> (12 + 9 * (level - 1))) & 511);
}

/* Entries of PAE's top level have no W and U bits: these are reserved there. */
static u64 non_leaf_bits(int level)
{
    return TABLE_LEVELS == 3 && level == 3 ? PTE_P : PTE_P | PTE_W | PTE_U;
}

void table_map(u64 root, u64 gva, u64 gpa, int level, u64 bits)
{
    u64 table = root;
    for (int l = TABLE_LEVELS; l > level; l--) {
        u64 *e = entry_of(table, gva, l);
        if (!(*e & PTE_P))
            *e = frames_take(1, PAGE_SIZE) | non_leaf_bits(l);
        table = *e & PTE_ADDRESS;
    }
    *entry_of(table, gva, level) = gpa | bits | (level > 1 ? PTE_PS : 0);
}

void table_map_identity(u64 root, u64 end, int level)
{
    for (u64 a = 0; a < end; a += table_page_size(level))
        table_map(root, a, a, level, PTE_P | PTE_W);
}

u64 *table_entry(u64 root, u64 gva, int level)
{
    u64 table = root;
    for (int l = TABLE_LEVELS; l > level; l--) {
        u64 e = *entry_of(table, gva, l);
        if (!(e & PTE_P) || (e & PTE_PS && l < 4 && !(TABLE_LEVELS == 3 && l == 3)))
            return NULL;
        table = e & PTE_ADDRESS;
    }
    return entry_of(table, gva, level);
}

void table_activate(u64 root)
{
    write_cr4(read_cr4() | CR4_PAE);
    write_cr3((unsigned long)root);
    write_cr0(read_cr0() | CR0_PG | CR0_WP);
}
