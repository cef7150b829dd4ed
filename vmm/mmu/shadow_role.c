/*
 * Roles: what a shadow page depends on besides its guest table. The same guest table
 * read under other rules has other shadow entries, so it gets another shadow page, and
 * going back to the old rules finds the old page.
 *
 * Which level, quadrant and access a page has is a matter of its place in the tables:
 * shadow_fill.c. Source: AMD64 Manual vol. 2, 5.6 (what the bits of CR0, CR4 and EFER do).
 */
#include "kernel/todo.h"
#include "vmm/cpubits.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/shadow.h"

u32 role_of(const struct guest_paging *paging)
{
    /* LAB 4 BEGIN: Each register bit that changes what an entry means or allows, and the paging
     * mode. */
    u32 role = (u32)paging_mode(paging) << 10;

    role |= paging->efer & EFER_NXE ? ROLE_NXE : 0;
    role |= paging->cr0 & CR0_WP ? ROLE_WP : 0;
    role |= paging->cr4 & CR4_PSE ? ROLE_PSE : 0;
    role |= paging->cr4 & CR4_SMEP ? ROLE_SMEP : 0;
    role |= paging->cr4 & CR4_SMAP ? ROLE_SMAP : 0;
    return role;
    /* LAB 4 END: todo(4, "4.2", paging); */
}

u64 role_rights(u32 role)
{
    u64 access = ROLE_ACCESS(role);

    return (access & ACCESS_WRITE ? PTE_W : 0) | (access & ACCESS_USER ? PTE_U : 0) |
           (access & ACCESS_EXEC ? 0 : PTE_NX);
}

u64 role_malformed(u32 role)
{
    const struct pt_format *f = pt_format_of(ROLE_MODE(role));

    return pt_reserved(f, &f->level[f->levels - 1], true, role & ROLE_NXE);
}
