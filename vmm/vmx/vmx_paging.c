/*
 * CR0, CR3 and CR4 of a guest under VMX, with EPT and on a shadow root. CR0 and CR4
 * are split between guest and host: bits of the mask are the host's, the guest reads
 * them from the read shadow, and changing one exits. On a shadow root EPT is off, and
 * with it the unrestricted guest: PE and PG are 1 then, as VMX wants them.
 *
 * Source: Intel SDM vol. 3C, 23.8, 24.6.2 (controls), 24.6.6 (masks), 26.3.1.1.
 */
#include "vmm/mmu/walk.h"
#include "vmm/vmx/vmx.h"

/* What the guest changes without an exit: with EPT, and on a shadow root, where the
 * VMM must know of all that concerns paging. */
#define CR0_GUEST        0x8005000full
#define CR0_GUEST_SHADOW 0x4000eull /* AM TS EM MP */
#define CR4_GUEST        0x7bfull
#define CR4_GUEST_SHADOW 0x70full /* not PSE, PAE, PGE */
#define CR0_FORCED       (CR0_PG | CR0_PE | CR0_WP)
#define PROC2_NESTED     (PROC2_EPT | PROC2_UNRESTRICTED)

/* CD and NW stay the host's: no entry or exit would switch them (26.3.2.1). */
void vmx_set_cr0(struct vmx_vcpu *s, u64 value)
{
    u64 ones = vmx_caps.cr0_ones | (s->on_shadow ? CR0_FORCED : 0);

    vmcs_write(VMCS_CR0_SHADOW, value);
    vmcs_write(VMCS_GUEST_CR0, ((value & ~(CR0_CD | CR0_NW)) | ones) & vmx_caps.cr0_may);
}

void vmx_set_cr4(struct vmx_vcpu *s, u64 value)
{
    u64 ones = vmx_caps.cr4_ones | (s->on_shadow ? CR4_PAE : 0);

    vmcs_write(VMCS_CR4_SHADOW, value);
    vmcs_write(VMCS_GUEST_CR4, (value | ones) & vmx_caps.cr4_may);
}

/* The root may be another one, too: the processor runs on that. */
void vmx_set_own_cr3(struct vcpu *v, u64 value)
{
    vmx_of(v)->cr3 = value;
    vmcs_write(VMCS_GUEST_CR3, v->ctl.shadow_root.v);
}

static u64 get(u32 field, u32 shadow, u64 guests_own)
{
    return (vmcs_read(field) & guests_own) | (vmcs_read(shadow) & ~guests_own);
}

u64 vmx_get_cr0(const struct vmx_vcpu *s)
{
    return get(VMCS_GUEST_CR0, VMCS_CR0_SHADOW, s->cr0_guest);
}

u64 vmx_get_cr4(const struct vmx_vcpu *s)
{
    return get(VMCS_GUEST_CR4, VMCS_CR4_SHADOW, s->cr4_guest);
}

/* From EPT to a shadow or back, or at first: what the guest set stays. */
static void change(struct vcpu *v, bool on_shadow)
{
    struct vmx_vcpu *s = vmx_of(v);
    u64 cr0 = vmx_get_cr0(s), cr4 = vmx_get_cr4(s);
    u64 cr3 = s->on_shadow ? s->cr3 : vmcs_read(VMCS_GUEST_CR3);

    s->on_shadow = on_shadow;
    s->cr3 = cr3;
    s->cr0_guest = on_shadow ? CR0_GUEST_SHADOW : CR0_GUEST & ~(v->ctl.paging_exits ? CR0_PG : 0);
    s->cr4_guest = on_shadow ? CR4_GUEST_SHADOW : CR4_GUEST;
    vmcs_write(VMCS_CR0_MASK, ~s->cr0_guest);
    vmcs_write(VMCS_CR4_MASK, ~s->cr4_guest);
    vmcs_write(VMCS_PROC_CONTROLS2,
               vmx_caps.control[CONTROL_PROC2] & ~(on_shadow ? PROC2_NESTED : 0));
    vmx_set_cr0(s, cr0);
    vmx_set_cr4(s, cr4);
    vmcs_write(VMCS_GUEST_CR3, cr3);
    s->paging_changed = true;
}

void vmx_paging_configure(struct vcpu *v)
{
    struct vmx_vcpu *s = vmx_of(v);
    u64 root = v->ctl.shadow_root.v;

    if (s->on_shadow != (root != 0) || !s->cr0_guest)
        change(v, root != 0);
    if (root)
        vmcs_write(VMCS_GUEST_CR3, root);
}
