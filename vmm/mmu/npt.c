/*
 * AMD's nested page tables as a format: those of long mode, walked with user
 * accesses, so every entry has U; a bit forbids execution. A gPA has no sign.
 * Building and walking are the same code as for EPT (nested.c, descend.c).
 *
 * Sources: AMD64 Manual vol. 2, 5.3 (entries), 15.25.5 (nested walks).
 */
#include "kernel/todo.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

u64 npt_entry(hpa_t to, u8 level, bool is_page, u8 access)
{
    /* LAB 5 BEGIN: An entry in AMD's format. */
    u64 entry = to.v | PTE_P | PTE_U;

    entry |= access & ACCESS_WRITE ? PTE_W : 0;
    entry |= access & ACCESS_EXEC ? 0 : PTE_NX;
    return entry | (is_page && level > 1 ? PTE_PS : 0);
    /* LAB 5 END: todo(5, "5.1", to, level, is_page, access); */
}

/* clang-format off */
const struct pt_format pt_npt = {
    .name = "NPT", .levels = 4, .width = 8, .root_mask = PTE_ADDR,
    .present = PTE_P, .write = PTE_W, .user = PTE_U, .no_exec = PTE_NX,
    .accessed = PTE_A, .dirty = PTE_D, .large = PTE_PS,
    .entry = npt_entry,
    .level = {{4, 39, 9, false, true, .zero = PTE_PS},
              {3, 30, 9, true, true, .zero_page = PT_BITS(13, 29)},
              {2, 21, 9, true, true, .zero_page = PT_BITS(13, 20)},
              {1, 12, 9, true, true}},
};
/* clang-format on */

const struct pt_format *pt_nested = &pt_npt;
