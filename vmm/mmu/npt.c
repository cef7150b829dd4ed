/*
 * Nested page tables: making, changing and removing 4 KiB mappings. It flushes
 * nothing: whoever removes or narrows a mapping calls hv->flush(). Tables that
 * have become empty stay until npt_fini().
 *
 * What an entry looks like is a format's: that of NPT (pt_format.c) or of EPT
 * (ept.c). Sources: AMD64 Manual vol. 2, 15.25.5; Intel SDM vol. 3C, 28.2.
 */
#include "kernel/frame.h"
#include "kernel/panic.h"
#include "vmm/hv.h"
#include "vmm/mmu/npt.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

#define ROOT_LEVEL 4
#define GPA_BITS   48
#define ENTRIES    512 /* of a table of any level */

static owner_t table_owner(const struct npt *npt)
{
    return (owner_t)(OWNER_VM_TABLE + npt->vm);
}

static u64 *entry_at(hpa_t table, const struct pt_level *l, u64 addr)
{
    return (u64 *)hpa_ptr(table) + (addr >> l->shift) % ENTRIES;
}

static hpa_t new_table(struct npt *npt)
{
    hpa_t table = frame_alloc_zeroed(table_owner(npt));

    npt->tables += table.v != 0;
    return table;
}

/* The entry of that level for a gPA, or NULL: its table does not exist. */
static u64 *find_entry(const struct npt *npt, u64 addr, u8 level)
{
    const struct pt_level *l = pt_nested->level;
    hpa_t table = npt->root;

    for (; l->level > level; l++) {
        u64 entry = *entry_at(table, l, addr);
        if (!(entry & pt_nested->present))
            return NULL;
        table = hpa(entry & PTE_ADDR);
    }
    return entry_at(table, l, addr);
}

/* The same, making the tables that are missing. NULL: no memory. */
static u64 *make_entry(struct npt *npt, u64 addr, u8 level)
{
    const struct pt_level *l = pt_nested->level;
    hpa_t table = npt->root;

    for (; l->level > level; l++) {
        u64 *entry = entry_at(table, l, addr);
        if (__builtin_expect(!(*entry & pt_nested->present), 0)) {
            hpa_t below = new_table(npt);
            if (!below.v)
                return NULL;
            *entry = below.v | pt_nested->table;
        }
        table = hpa(*entry & PTE_ADDR);
    }
    return entry_at(table, l, addr);
}

static u64 access_bits(u8 access)
{
    return pt_nested->page | (access & ACCESS_WRITE ? pt_nested->write : 0) |
           (access & ACCESS_EXEC ? pt_nested->exec : pt_nested->no_exec);
}

static void trace_map(const struct npt *npt, u64 at, u64 to, u8 access)
{
    TRACE(map, npt->vm, 0, .gpa = at, .hpa = to, .size = PAGE_SIZE, .access = access);
}

int npt_init(struct npt *npt, u16 vm)
{
    *npt = (struct npt){.vm = vm};
    npt->root = new_table(npt);
    return npt->root.v ? 0 : -ENOMEM;
}

/* Give back a table and all below it. Only tables: what they map is not ours. */
static void free_table(struct npt *npt, hpa_t table, u8 level)
{
    const u64 *entry = hpa_ptr(table);

    for (u32 i = 0; level > 1 && i < ENTRIES; i++)
        if (entry[i] & pt_nested->present)
            free_table(npt, hpa(entry[i] & PTE_ADDR), level - 1);
    frames_free(table, 1, table_owner(npt));
    npt->tables--;
}

void npt_fini(struct npt *npt)
{
    if (npt->root.v)
        free_table(npt, npt->root, ROOT_LEVEL);
    ASSERT(npt->tables == 0);
    npt->root = hpa(0);
    npt->mapped = 0;
}

int npt_map(struct npt *npt, gpa_t at, hpa_t to, u8 access)
{
    ASSERT(!(at.v >> GPA_BITS) && !((at.v | to.v) & ~PTE_ADDR));
    u64 *leaf = make_entry(npt, at.v, 1);
    if (!leaf)
        return -ENOMEM;
    npt->mapped += !(*leaf & pt_nested->present);
    *leaf = to.v | access_bits(access);
    trace_map(npt, at.v, to.v, access);
    return 0;
}

/* The entry that maps a gPA, or NULL. */
static u64 *find_mapped(const struct npt *npt, gpa_t at)
{
    ASSERT(!(at.v >> GPA_BITS));
    u64 *leaf = find_entry(npt, at.v, 1);
    return leaf && (*leaf & pt_nested->present) ? leaf : NULL;
}

bool npt_unmap(struct npt *npt, gpa_t at)
{
    u64 *leaf = find_mapped(npt, at);

    if (!leaf)
        return false;
    *leaf = 0;
    npt->mapped--;
    TRACE(unmap, npt->vm, 0, .gpa = at.v & PTE_ADDR, .size = PAGE_SIZE);
    return true;
}

bool npt_protect(struct npt *npt, gpa_t at, u8 access)
{
    u64 *leaf = find_mapped(npt, at);

    if (!leaf)
        return false;
    *leaf = (*leaf & (PTE_ADDR | pt_nested->accessed | pt_nested->dirty)) | access_bits(access);
    trace_map(npt, at.v & PTE_ADDR, *leaf & PTE_ADDR, access);
    return true;
}
