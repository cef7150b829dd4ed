/*
 * Making, changing and removing mappings of 4 KiB in nested tables. Tables that
 * have become empty stay until nested_fini().
 *
 * What an entry looks like is a format's: NPT's (npt.c) or EPT's (ept.c).
 * Sources: AMD64 Manual vol. 2, 15.25.5; Intel SDM vol. 3C, 28.2.
 */
#include "vmm/mmu/nested.h"
#include "kernel/frame.h"
#include "kernel/panic.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

#define ROOT_LEVEL 4
#define GPA_BITS   48
#define ENTRIES    512 /* of a table of any level */

static owner_t table_owner(const struct nested *n)
{
    return (owner_t)(OWNER_VM_TABLE + n->vm);
}

static u64 *entry_at(hpa_t table, const struct pt_level *l, u64 addr)
{
    return (u64 *)hpa_ptr(table) + (addr >> l->shift) % ENTRIES;
}

static hpa_t new_table(struct nested *n)
{
    hpa_t table = frame_alloc_zeroed(table_owner(n));

    n->tables += table.v != 0;
    return table;
}

/* The entry of that level for a gPA, or NULL: its table does not exist. */
static u64 *find_entry(const struct nested *n, u64 addr, u8 level)
{
    const struct pt_level *l = pt_nested->level;
    hpa_t table = n->root;

    for (; l->level > level; l++) {
        u64 entry = *entry_at(table, l, addr);
        if (!(entry & pt_nested->present))
            return NULL;
        table = hpa(entry & PTE_ADDR);
    }
    return entry_at(table, l, addr);
}

/* The same, making the tables that are missing. NULL: no memory. */
static u64 *make_entry(struct nested *n, u64 addr, u8 level)
{
    const struct pt_level *l = pt_nested->level;
    hpa_t table = n->root;

    for (; l->level > level; l++) {
        u64 *entry = entry_at(table, l, addr);
        if (__builtin_expect(!(*entry & pt_nested->present), 0)) {
            hpa_t below = new_table(n);
            if (!below.v)
                return NULL;
            *entry = pt_nested->entry(below, l->level, false, ACCESS_WRITE | ACCESS_EXEC);
        }
        table = hpa(*entry & PTE_ADDR);
    }
    return entry_at(table, l, addr);
}

static void trace_map(const struct nested *n, u64 at, u64 to, u8 access)
{
    TRACE(map, n->vm, 0, .gpa = at, .hpa = to, .size = PAGE_SIZE, .access = access);
}

int nested_init(struct nested *n, u16 vm)
{
    *n = (struct nested){.vm = vm};
    n->root = new_table(n);
    return n->root.v ? 0 : -ENOMEM;
}

/* Give back a table and all below it. Only tables: what they map is not ours. */
static void free_table(struct nested *n, hpa_t table, u8 level)
{
    const u64 *entry = hpa_ptr(table);

    for (u32 i = 0; level > 1 && i < ENTRIES; i++)
        if (entry[i] & pt_nested->present)
            free_table(n, hpa(entry[i] & PTE_ADDR), level - 1);
    frames_free(table, 1, table_owner(n));
    n->tables--;
}

void nested_fini(struct nested *n)
{
    if (n->root.v)
        free_table(n, n->root, ROOT_LEVEL);
    ASSERT(n->tables == 0);
    n->root = hpa(0);
    n->mapped = 0;
}

int nested_map(struct nested *n, gpa_t at, hpa_t to, u8 access)
{
    ASSERT(!(at.v >> GPA_BITS) && !((at.v | to.v) & ~PTE_ADDR));
    u64 *leaf = make_entry(n, at.v, 1);
    if (!leaf)
        return -ENOMEM;
    n->mapped += !(*leaf & pt_nested->present);
    *leaf = pt_nested->entry(to, 1, true, access);
    trace_map(n, at.v, to.v, access);
    return 0;
}

/* The entry that maps a gPA, or NULL. */
static u64 *find_mapped(const struct nested *n, gpa_t at)
{
    ASSERT(!(at.v >> GPA_BITS));
    u64 *leaf = find_entry(n, at.v, 1);
    return leaf && (*leaf & pt_nested->present) ? leaf : NULL;
}

bool nested_unmap(struct nested *n, gpa_t at)
{
    u64 *leaf = find_mapped(n, at);

    if (!leaf)
        return false;
    *leaf = 0;
    n->mapped--;
    TRACE(unmap, n->vm, 0, .gpa = at.v & PTE_ADDR, .size = PAGE_SIZE);
    return true;
}

bool nested_protect(struct nested *n, gpa_t at, u8 access)
{
    u64 *leaf = find_mapped(n, at);

    if (!leaf)
        return false;
    hpa_t to = hpa(*leaf & PTE_ADDR);
    u64 used = *leaf & (pt_nested->accessed | pt_nested->dirty);
    *leaf = pt_nested->entry(to, 1, true, access) | used;
    trace_map(n, at.v & PTE_ADDR, to.v, access);
    return true;
}
