/*
 * Why VMRUN refused a control block, in words: the manual's consistency
 * checks, one after the other. Emulators make some of them only; all are here.
 * Source: AMD64 Manual vol. 2 (24593 rev. 3.38), 15.5.1, 15.20, 15.25.4.
 */
#include "vmm/cpubits.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/svm/svm.h"

#define CR4_KNOWN 0x0000000001f7ffffull /* UMIP, LA57, ..., CET, bits 11 and 12 included */
#define EFER_KNOWN 0x000000000027fd01ull

struct rule {
    const char *field;
    const char *why;
    const char *section;
    bool (*broken)(const struct vmcb *);
    u64 (*value)(const struct vmcb *);
};

#define VALUE(name, expr)                                                                          \
    static u64 name(const struct vmcb *b)                                                          \
    {                                                                                              \
        return expr;                                                                               \
    }
#define BROKEN(name, expr)                                                                         \
    static bool name(const struct vmcb *b)                                                         \
    {                                                                                              \
        return expr;                                                                               \
    }

VALUE(efer, b->efer)
VALUE(cr0, b->cr0)
VALUE(cr3, b->cr3)
VALUE(cr4, b->cr4)
VALUE(dr6, b->dr6)
VALUE(dr7, b->dr7)
VALUE(cs_attrib, b->seg[SEG_CS].attrib)
VALUE(intercepts2, b->intercepts2)
VALUE(asid, b->guest_asid)
VALUE(iopm, b->iopm_base_pa)
VALUE(msrpm, b->msrpm_base_pa)
VALUE(eventinj, b->eventinj)
VALUE(n_cr3, b->n_cr3)
VALUE(g_pat, b->g_pat)

/* Where this processor's physical addresses end. */
static u64 max_phys(void)
{
    return 1ull << pt_phys_bits;
}

static bool long_active(const struct vmcb *b)
{
    return b->efer & EFER_LME && b->cr0 & CR0_PG;
}

BROKEN(no_svme, !(b->efer & EFER_SVME))
BROKEN(nw_without_cd, b->cr0 & CR0_NW && !(b->cr0 & CR0_CD))
BROKEN(cr0_high, b->cr0 >> 32)
BROKEN(cr3_mbz, long_active(b) && b->cr3 >= max_phys())
BROKEN(cr4_mbz, b->cr4 & ~CR4_KNOWN)
BROKEN(dr6_high, b->dr6 >> 32)
BROKEN(dr7_high, b->dr7 >> 32)
BROKEN(efer_mbz, b->efer & ~EFER_KNOWN)
BROKEN(long_without_pae, long_active(b) && !(b->cr4 & CR4_PAE))
BROKEN(long_without_pe, long_active(b) && !(b->cr0 & CR0_PE))
BROKEN(cs_l_and_d, long_active(b) && b->cr4 & CR4_PAE && b->seg[SEG_CS].attrib & SEG_ATTR_L &&
                       b->seg[SEG_CS].attrib & SEG_ATTR_DB)
BROKEN(no_vmrun, !(b->intercepts2 & INTERCEPT_VMRUN))
BROKEN(asid_zero, !b->guest_asid)
BROKEN(iopm_range, b->iopm_base_pa > max_phys() - 3 * PAGE_SIZE)
BROKEN(msrpm_range, b->msrpm_base_pa > max_phys() - 2 * PAGE_SIZE)
BROKEN(n_cr3_mbz, b->np_enable & 1 && b->n_cr3 >= max_phys())

/* Each byte a memory type: 7.8. */
static bool bad_pat(const struct vmcb *b)
{
    for (u32 i = 0; i < 8; i++) {
        u8 type = (u8)(b->g_pat >> 8 * i);
        if (type > 7 || type == 2 || type == 3)
            return b->np_enable & 1;
    }
    return false;
}

/* 15.20: types 1 and 5 to 7 are reserved; an exception is vector 0 to 31 and
 * not 2; so are #OF and #BR in 64-bit mode, left out here. */
static bool bad_event(const struct vmcb *b)
{
    u64 type = b->eventinj >> 8 & 7, vector = b->eventinj & 0xff;

    if (!(b->eventinj & EVENT_VALID))
        return false;
    return type == 1 || type > 4 || (type == 3 && (vector == 2 || vector > 31));
}

static const struct rule rules[] = {
    {"ASID", "the guest's ASID must not be 0, that is the host's", "15.5.1", asid_zero, asid},
    {"intercept VMRUN", "the VMRUN intercept must be set", "15.5.1", no_vmrun, intercepts2},
    {"EFER", "EFER.SVME must be set in the guest's state", "15.5.1", no_svme, efer},
    {"CR0", "CR0.NW must not be set while CR0.CD is clear", "15.5.1", nw_without_cd, cr0},
    {"CR0", "bits 63 to 32 of CR0 must be 0", "15.5.1", cr0_high, cr0},
    {"CR3", "reserved bits of CR3 must be 0", "15.5.1", cr3_mbz, cr3},
    {"CR4", "reserved bits of CR4 must be 0", "15.5.1", cr4_mbz, cr4},
    {"DR6", "bits 63 to 32 of DR6 must be 0", "15.5.1", dr6_high, dr6},
    {"DR7", "bits 63 to 32 of DR7 must be 0", "15.5.1", dr7_high, dr7},
    {"EFER", "reserved bits of EFER must be 0", "15.5.1", efer_mbz, efer},
    {"CR4", "long mode with paging needs CR4.PAE", "15.5.1", long_without_pae, cr4},
    {"CR0", "long mode with paging needs CR0.PE", "15.5.1", long_without_pe, cr0},
    {"CS.attrib", "CS.L and CS.D must not both be set in long mode", "15.5.1", cs_l_and_d,
     cs_attrib},
    {"IOPM_BASE_PA", "the I/O permission map must lie in physical memory", "15.5.1", iopm_range,
     iopm},
    {"MSRPM_BASE_PA", "the MSR permission map must lie in physical memory", "15.5.1", msrpm_range,
     msrpm},
    {"EVENTINJ", "the event to be injected has no valid type or vector", "15.20", bad_event,
     eventinj},
    {"N_CR3", "reserved bits of nCR3 must be 0", "15.25.4", n_cr3_mbz, n_cr3},
    {"G_PAT", "each byte of G_PAT must be a memory type", "15.25.4", bad_pat, g_pat},
};

bool svm_check(const struct vmcb *b, struct exit *x)
{
    for (u32 i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].broken(b)) {
            x->fail.field = rules[i].field;
            x->fail.why = rules[i].why;
            x->fail.section = rules[i].section;
            x->fail.value = rules[i].value(b);
            return true;
        }
    return false;
}
