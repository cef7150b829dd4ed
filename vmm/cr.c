/*
 * The rules of CR0, CR3, CR4 and EFER. Source: AMD64 Manual vol. 2, 3.1, and
 * the #GP conditions of MOV CRn and WRMSR in vol. 2, 3.1.3, 14.6, vol. 3.
 */
#include "vmm/cpubits.h"
#include "vmm/cr.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/vm.h"

/* PE MP EM TS ET NE WP AM NW CD PG; the others are ignored, read as 0 */
#define CR0_KNOWN 0xe005003full
/* VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT: what CPUID offers */
#define CR4_KNOWN 0x7ffull
/* Changing one of these in PAE mode loads the directory pointers: SDM vol. 3A, 4.4.1 */
#define CR0_LOADS (CR0_PG | CR0_CD | CR0_NW)
#define CR4_LOADS (CR4_PAE | CR4_PGE | CR4_PSE)

static bool code_is_64bit(struct vcpu *v)
{
    struct seg cs;

    hv_get_seg(v, SEG_CS, &cs);
    return cs.attr & SEG_ATTR_L;
}

/* Paging goes on with LME set: long mode begins, or ends with paging. It
 * begins in compatibility mode: CS.L, without meaning so far, must be 0. */
static bool set_long_mode(struct vcpu *v, u64 cr0)
{
    u64 efer = hv_get(v, HV_EFER);
    bool paging = cr0 & CR0_PG;

    if (paging && efer & EFER_LME && (!(hv_get(v, HV_CR4) & CR4_PAE) || code_is_64bit(v)))
        return false;
    if (!paging && efer & EFER_LMA && vcpu_mode(v) == 8)
        return false;
    efer = paging && efer & EFER_LME ? efer | EFER_LMA : efer & ~EFER_LMA;
    hv_set(v, HV_EFER, efer);
    return true;
}

/* In PAE mode this write loads the directory pointers; false: malformed ones. */
static bool loads_pointers(struct vcpu *v, enum hv_reg r, u64 value)
{
    struct guest_paging then = vcpu_paging(v);

    *(r == HV_CR0 ? &then.cr0 : r == HV_CR3 ? &then.cr3 : &then.cr4) = value;
    return shadow_load_pointers(v, &then);
}

bool cr_write_0(struct vcpu *v, u64 value)
{
    u64 old = hv_get(v, HV_CR0);

    if (value >> 32)
        return false;
    value = (value & CR0_KNOWN) | CR0_ET;
    if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
        return false;
    if ((old ^ value) & CR0_PG && !set_long_mode(v, value))
        return false;
    bool unseen = v->vm->shadow.on && !v->vm->shadow.active; /* CR0.TS: MOV CR3 made no exit */
    if ((unseen || (old ^ value) & CR0_LOADS) && !loads_pointers(v, HV_CR0, value))
        return false;
    hv_set(v, HV_CR0, value);
    hv->flush(v, HV_FLUSH_ALL, 0);
    shadow_reload(v);
    return true;
}

/* On a shadow: the mode is known, and the root comes from there. */
static bool switch_shadow(struct vcpu *v, u64 value)
{
    enum paging_mode mode = v->vm->shadow.mode;

    if ((mode == PAGING_LONG4 && value >> pt_phys_bits) ||
        (mode == PAGING_PAE && !loads_pointers(v, HV_CR3, value)))
        return false;
    hv->flush(v, HV_FLUSH_ALL, 0);
    shadow_switch(v, value);
    return true;
}

bool cr_write_3(struct vcpu *v, u64 value)
{
    if (v->vm->shadow.active)
        return switch_shadow(v, value);
    if (hv_get(v, HV_EFER) & EFER_LMA && value >> pt_phys_bits)
        return false;
    hv_set(v, HV_CR3, value);
    hv->flush(v, HV_FLUSH_ALL, 0);
    return true;
}

bool cr_write_4(struct vcpu *v, u64 value)
{
    if (value & ~CR4_KNOWN)
        return false;
    if (hv_get(v, HV_EFER) & EFER_LMA && !(value & CR4_PAE))
        return false;
    if ((hv_get(v, HV_CR4) ^ value) & CR4_LOADS && !loads_pointers(v, HV_CR4, value))
        return false;
    hv_set(v, HV_CR4, value);
    hv->flush(v, HV_FLUSH_ALL, 0);
    shadow_reload(v);
    return true;
}

/* SVME stays hidden: a guest gets no virtualization extension of its own. */
bool cr_write_efer(struct vcpu *v, u64 value)
{
    u64 old = hv_get(v, HV_EFER);

    if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return false;
    if (hv_get(v, HV_CR0) & CR0_PG && (old ^ value) & EFER_LME)
        return false;
    hv_set(v, HV_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
    hv->flush(v, HV_FLUSH_ALL, 0);
    shadow_reload(v);
    return true;
}
