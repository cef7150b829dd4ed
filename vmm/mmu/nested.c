/*
 * Making, changing and removing mappings of 4 KiB in nested tables, and asking
 * which were used. Tables that have become empty stay until nested_fini().
 *
 * What an entry looks like is a format's: NPT's (npt.c) or EPT's (ept.c).
 * Sources: AMD64 Manual vol. 2, 15.25.5; Intel SDM vol. 3C, 28.2.
 */
#include "vmm/mmu/nested.h"
#include "kernel/frame.h"
#include "kernel/panic.h"
#include "kernel/todo.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

#define ROOT_LEVEL 4
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

/* --- Entries ---------------------------------------------------------------------- */

/* LAB 5 BEGIN: Helpers of yours: the entry of a gPA, found or made. */
/* The entry that maps a gPA, or NULL: nothing does. */
static u64 *find_mapped(const struct nested *n, u64 addr)
{
    const struct pt_level *l = pt_nested->level;
    hpa_t table = n->root;

    for (; l->level > 1; l++) {
        u64 entry = *entry_at(table, l, addr);
        if (!(entry & pt_nested->present))
            return NULL;
        table = hpa(entry & PTE_ADDR);
    }
    u64 *leaf = entry_at(table, l, addr);
    return *leaf & pt_nested->present ? leaf : NULL;
}

/* The entry for a gPA, making the tables that are missing. NULL: no memory. */
static u64 *make_leaf(struct nested *n, u64 addr)
{
    const struct pt_level *l = pt_nested->level;
    hpa_t table = n->root;

    for (; l->level > 1; l++) {
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
/* LAB 5 END: */

static int map(struct nested *n, u64 at, hpa_t to, u8 access)
{
    /* LAB 5 BEGIN: One page, in place of what was there; tables that are missing are made. */
    u64 *leaf = make_leaf(n, at);

    if (!leaf)
        return -ENOMEM;
    n->mapped += !(*leaf & pt_nested->present);
    *leaf = pt_nested->entry(to, 1, true, access);
    return 0;
    /* LAB 5 END: todo(5, "5.3", n, at, to, access, entry_at, new_table); */
}

/* False: nothing was mapped there. */
static bool unmap(struct nested *n, u64 at)
{
    /* LAB 5 BEGIN: The page is mapped no more; its tables stay. */
    u64 *leaf = find_mapped(n, at);

    if (!leaf)
        return false;
    *leaf = 0;
    n->mapped--;
    return true;
    /* LAB 5 END: todo(5, "5.4", n, at); */
}

/* False: nothing was mapped there. *to: what is. */
static bool protect(struct nested *n, u64 at, u8 access, hpa_t *to)
{
    /* LAB 5 BEGIN: The same page with another access; what the processor noted in it stays. */
    u64 *leaf = find_mapped(n, at);

    if (!leaf)
        return false;
    u64 used = *leaf & (pt_nested->accessed | pt_nested->dirty);
    *to = hpa(*leaf & PTE_ADDR);
    *leaf = pt_nested->entry(*to, 1, true, access) | used;
    return true;
    /* LAB 5 END: todo(5, "5.4", n, at, access, to); */
}

/* Bit i: page i from `at` on was used; bit 32 + i: it was written to. */
static u64 harvest(struct nested *n, u64 at)
{
    /* LAB 5 BEGIN: What the processor noted of 32 pages; none of it is noted any more. */
    u64 used = 0;

    for (u32 i = 0; i < NESTED_HARVEST; i++) {
        u64 *leaf = find_mapped(n, at + i * PAGE_SIZE);
        if (!leaf)
            continue;
        used |= (u64) !!(*leaf & pt_nested->accessed) << i;
        used |= (u64) !!(*leaf & pt_nested->dirty) << (NESTED_HARVEST + i);
        *leaf &= ~(pt_nested->accessed | pt_nested->dirty);
    }
    return used;
    /* LAB 5 END: todo(5, "5.5", n, at); */
}

/* --- What others call: checked, and noted in the trace -------------------------------- */

static void trace_map(const struct nested *n, u64 at, u64 to, u8 access)
{
    if (!n->quiet)
        TRACE(map, n->vm, 0, .gpa = at, .hpa = to, .size = PAGE_SIZE, .access = access);
}

int nested_map(struct nested *n, gpa_t at, hpa_t to, u8 access)
{
    ASSERT(!(at.v >> NESTED_GPA_BITS) && !((at.v | to.v) & ~PTE_ADDR));
    int err = map(n, at.v, to, access);
    if (!err)
        trace_map(n, at.v, to.v, access);
    return err;
}

bool nested_unmap(struct nested *n, gpa_t at)
{
    ASSERT(!(at.v >> NESTED_GPA_BITS));
    bool was = unmap(n, at.v);
    if (was)
        TRACE(unmap, n->vm, 0, .gpa = at.v & PTE_ADDR, .size = PAGE_SIZE);
    return was;
}

bool nested_protect(struct nested *n, gpa_t at, u8 access)
{
    ASSERT(!(at.v >> NESTED_GPA_BITS));
    hpa_t to;
    bool was = protect(n, at.v, access, &to);
    if (was)
        trace_map(n, at.v & PTE_ADDR, to.v, access);
    return was;
}

u64 nested_harvest(struct nested *n, gpa_t at)
{
    ASSERT(at.v + NESTED_HARVEST * PAGE_SIZE <= 1ull << NESTED_GPA_BITS);
    u64 used = harvest(n, at.v & PTE_ADDR);
    TRACE(harvest, n->vm, 0, .gpa = at.v & PTE_ADDR, .used = used);
    return used;
}
