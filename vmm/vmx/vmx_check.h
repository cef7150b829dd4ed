/*
 * What the two files of entry checks share.
 */
#ifndef VMM_VMX_VMX_CHECK_H
#define VMM_VMX_VMX_CHECK_H

#include "vmm/cpubits.h"
#include "vmm/vmx/vmx.h"

#define EFER_KNOWN 0xd01ull /* SCE, LME, LMA, NXE */

/* Fill exit->fail and return true. */
bool vmx_broken(struct exit *, u32 field, const char *section, const char *why);

/* In a check: a broken rule is its answer. */
#define RULE(FIELD, section, why, broken)                                                          \
    do {                                                                                           \
        if (broken)                                                                                \
            return vmx_broken(x, VMCS_##FIELD, section, why);                                      \
    } while (0)

static inline bool not_canonical(u32 field)
{
    u64 high = vmcs_read(field) >> 47;
    return high && high != 0x1ffff;
}

/* A bit that must be 1 is 0, or one that must be 0 is 1. */
static inline bool vmx_bad_fixed(u64 value, u64 ones, u64 may)
{
    return (value & ones) != ones || value & ~may;
}

/* Each byte a memory type: UC, WC, WT, WP, WB, UC-. */
static inline bool vmx_bad_pat(u32 field)
{
    u64 pat = vmcs_read(field);

    for (u32 i = 0; i < 8; i++, pat >>= 8)
        if ((pat & 0xff) > 7 || (pat & 0xff) == 2 || (pat & 0xff) == 3)
            return true;
    return false;
}

#endif
