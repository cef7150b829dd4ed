/*
 * The extended page tables of Intel as a format: permissions are three positive
 * bits, none of them P, and an entry of a page carries its memory type. There
 * is no user bit, and no bit that forbids. Building and walking are the same
 * code as for NPT (nested.c, descend.c).
 *
 * What NPT calls a reserved bit is a misconfiguration here, an exit of its own.
 * Source: Intel SDM vol. 3C, 28.2.2 (tables 28-1 to 28-6), 28.2.3.1, 28.2.5.
 */
#include "kernel/todo.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

#define EPT_READ        (1ull << 0)
#define EPT_WRITE       (1ull << 1)
#define EPT_EXEC        (1ull << 2)
#define EPT_TYPE(entry) ((entry) >> 3 & 7)
#define EPT_TYPE_WB     (6ull << 3) /* write-back: what guests expect of memory */
#define EPT_LARGE       (1ull << 7)
#define EPT_A           (1ull << 8)
#define EPT_D           (1ull << 9)

u64 ept_entry(hpa_t to, u8 level, bool is_page, u8 access)
{
    /* LAB 5 BEGIN: An entry in Intel's format. */
    u64 entry = to.v | EPT_READ;

    entry |= access & ACCESS_WRITE ? EPT_WRITE : 0;
    entry |= access & ACCESS_EXEC ? EPT_EXEC : 0;
    if (!is_page)
        return entry;
    return entry | EPT_TYPE_WB | (level > 1 ? EPT_LARGE : 0);
    /* LAB 5 END: todo(5, "5.2", to, level, is_page, access); */
}

/* 28.2.3.1: writable, but not readable; or a memory type that there is not. */
static bool ept_malformed(u64 entry, bool is_page)
{
    u64 type = EPT_TYPE(entry);

    if ((entry & (EPT_READ | EPT_WRITE)) == EPT_WRITE)
        return true;
    return is_page && (type == 2 || type == 3 || type == 7);
}

/* clang-format off */
#define TABLE_ZERO PT_BITS(3, 6) /* where an entry of a page has type and IPAT */

const struct pt_format pt_ept = {
    .name = "EPT", .levels = 4, .width = 8, .root_mask = PTE_ADDR, .ept = true,
    .present = EPT_READ | EPT_WRITE | EPT_EXEC,
    .read = EPT_READ, .write = EPT_WRITE, .exec = EPT_EXEC,
    .accessed = EPT_A, .dirty = EPT_D, .large = EPT_LARGE,
    .entry = ept_entry, .malformed = ept_malformed,
    .level = {{4, 39, 9, false, true, .zero_table = TABLE_ZERO | EPT_LARGE},
              {3, 30, 9, true, true, .zero_table = TABLE_ZERO, .zero_page = PT_BITS(12, 29)},
              {2, 21, 9, true, true, .zero_table = TABLE_ZERO, .zero_page = PT_BITS(12, 20)},
              {1, 12, 9, true, true}},
};
/* clang-format on */
