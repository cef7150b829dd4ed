/*
 * A guest's registers and segments, as hv.h names them, in the VMCS or in the
 * processor. CR0 and CR4, split between guest and host, are vmx_paging.c's.
 * Source: Intel SDM vol. 3C, 24.4.1, 26.3.1, 26.3.2.4 (PDPTEs).
 */
#include "kernel/cpu.h"
#include "vmm/cpubits.h"
#include "vmm/mmu/walk.h"
#include "vmm/vmx/vmx.h"

#define PDPTES 4

static void set_efer(u64 value)
{
    vmcs_write(VMCS_GUEST_EFER, value);
    vmcs_write(VMCS_ENTRY_CONTROLS,
               vmx_caps.control[CONTROL_ENTRY] | (value & EFER_LMA ? ENTRY_IA32E : 0));
}

/* Where the plain ones are; 0: elsewhere. */
static const u16 fields[HV_REG_COUNT] = {
    [HV_CR3] = VMCS_GUEST_CR3,
    [HV_DR7] = VMCS_GUEST_DR7,
    [HV_PAT] = VMCS_GUEST_PAT,
    [HV_SYSENTER_CS] = VMCS_GUEST_SYSENTER_CS,
    [HV_SYSENTER_ESP] = VMCS_GUEST_SYSENTER_ESP,
    [HV_SYSENTER_EIP] = VMCS_GUEST_SYSENTER_EIP,
};

static void set_field(struct vcpu *v, enum hv_reg r, u64 value)
{
    struct vmx_vcpu *s = vmx_of(v);

    s->paging_changed |= r == HV_CR0 || r == HV_CR3 || r == HV_CR4 || r == HV_EFER;
    if (r == HV_CR0)
        vmx_set_cr0(s, value);
    else if (r == HV_CR4)
        vmx_set_cr4(s, value);
    else if (r == HV_EFER)
        set_efer(value);
    else if (r == HV_CR3 && s->on_shadow)
        vmx_set_own_cr3(v, value);
    else
        vmcs_write(fields[r], value);
}

static u64 get_field(const struct vmx_vcpu *s, enum hv_reg r)
{
    if (r == HV_CR0)
        return vmx_get_cr0(s);
    if (r == HV_CR4)
        return vmx_get_cr4(s);
    if (r == HV_CR3 && s->on_shadow)
        return s->cr3;
    return vmcs_read(r == HV_EFER ? VMCS_GUEST_EFER : fields[r]);
}

/* Those that no entry or exit switches: in the processor while the vCPU is
 * loaded. NULL: another kind. */
static u64 *saved_place(struct vmx_vcpu *s, enum hv_reg r)
{
    if (r == HV_TPR)
        return &s->tpr;
    if (r == HV_CR2)
        return &s->cr2;
    if (r == HV_DR6)
        return &s->dr6;
    return r >= HV_STAR && r <= HV_KERNEL_GS_BASE ? &s->own[r - HV_STAR] : NULL;
}

u64 vmx_reg(struct vcpu *v, enum hv_reg r, const u64 *set)
{
    u64 *place = saved_place(vmx_of(v), r);

    if (!place) {
        vmx_use(v);
        if (set)
            set_field(v, r, *set);
        return get_field(vmx_of(v), r);
    }
    bool switched = v->loaded && r != HV_TPR;
    if (switched)
        vmx_save(v);
    if (set)
        *place = *set;
    if (switched && set)
        vmx_load(v);
    return *place;
}

/* --- Segments ---------------------------------------------------------------- */

/* A segment that is not present cannot be used, whatever else is said of it. */
static u32 rights_of(u16 attr)
{
    return (attr & 0xffu) | (attr & 0xf00u) << 4 | (attr & SEG_ATTR_P ? 0 : RIGHTS_UNUSABLE);
}

static u16 attr_of(u32 rights)
{
    u16 attr = (u16)((rights & 0xff) | (rights >> 4 & 0xf00));

    return rights & RIGHTS_UNUSABLE ? attr & ~SEG_ATTR_P : attr;
}

static void set_seg(enum hv_seg n, const struct seg *seg)
{
    vmcs_write(VMCS_BASE(n), seg->base);
    vmcs_write(VMCS_LIMIT(n), seg->limit);
    if (n >= SEG_GDTR)
        return;
    vmcs_write(VMCS_SELECTOR(n), seg->selector);
    vmcs_write(VMCS_RIGHTS(n), rights_of(seg->attr));
}

void vmx_seg(struct vcpu *v, enum hv_seg n, struct seg *seg, bool set)
{
    vmx_use(v);
    if (set) {
        set_seg(n, seg);
        return;
    }
    *seg = (struct seg){.base = vmcs_read(VMCS_BASE(n)), .limit = (u32)vmcs_read(VMCS_LIMIT(n))};
    if (n >= SEG_GDTR)
        return;
    seg->selector = (u16)vmcs_read(VMCS_SELECTOR(n));
    seg->attr = attr_of((u32)vmcs_read(VMCS_RIGHTS(n)));
}

/* --- PAE's directory pointers -------------------------------------------------- */

/* The processor reads them when the guest loads CR3; after the VMM did so in its
 * place, it has to. One that is out of reach counts as not present. */
void vmx_load_pdptes(struct vcpu *v)
{
    const struct vmx_vcpu *s = vmx_of(v);
    struct guest_paging p = {.cr0 = get_field(s, HV_CR0), .cr4 = get_field(s, HV_CR4),
                             .efer = get_field(s, HV_EFER)};
    u64 at = vmcs_read(VMCS_GUEST_CR3) & 0xffffffe0;
    struct walk w;

    if (s->on_shadow || paging_mode(&p) != PAGING_PAE)
        return; /* without EPT the entry itself reads them: 26.3.2.4 */
    walk_init(&w, PAGING_OFF, gva(0), 0);
    bool there = walk_nested(v->ctl.nested_root, gpa(at), 0, 0, &w) == FAULT_NONE;
    const u64 *list = hpa_ptr(w.hpa);
    for (u32 i = 0; i < PDPTES; i++)
        vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, there ? list[i] : 0);
}
