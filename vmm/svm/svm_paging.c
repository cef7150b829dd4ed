/*
 * CR0, CR3 and CR4 of a guest, on its nested table and on a shadow root. On a shadow
 * root nested paging is off, or a fence (vmm/mmu/shadow_fence.c), and the processor runs
 * with CR3, CR0.PG, CR0.WP and CR4.PAE of the host's choice; what the guest reads is kept
 * here, and reading it exits where it differs. Which root that is, is not decided here.
 *
 * QEMU 10 makes no exit of reading CR3 and CR4: a guest on a shadow would see the
 * host's. Source: AMD64 Manual vol. 2, 15.5.1, 15.8.1, 15.25.3 (nested paging off).
 */
#include "vmm/svm/svm.h"

/* The bits that are not the guest's to set while it runs on a shadow. */
#define CR0_FORCED (CR0_PG | CR0_WP)
#define CR4_FORCED CR4_PAE

#define READS(n) (1u << (n))

static u64 get(const struct svm_vcpu *s, enum hv_reg r)
{
    const struct vmcb *b = s->vmcb;

    if (!s->on_shadow)
        return r == HV_CR0 ? b->cr0 : r == HV_CR3 ? b->cr3 : b->cr4;
    if (r == HV_CR3)
        return s->cr3;
    return r == HV_CR0 ? (b->cr0 & ~CR0_FORCED) | s->cr0 : (b->cr4 & ~CR4_FORCED) | s->cr4;
}

static void set_on_shadow(struct svm_vcpu *s, enum hv_reg r, u64 value)
{
    struct vmcb *b = s->vmcb;

    if (r == HV_CR3) {
        s->cr3 = value;
    } else if (r == HV_CR0) {
        s->cr0 = value & CR0_FORCED;
        b->cr0 = value | CR0_FORCED;
    } else {
        s->cr4 = value & CR4_FORCED;
        b->cr4 = value | CR4_FORCED;
    }
    s->changed |= r != HV_CR3;
}

static void set_plain(struct svm_vcpu *s, enum hv_reg r, u64 value)
{
    struct vmcb *b = s->vmcb;

    *(r == HV_CR0 ? &b->cr0 : r == HV_CR3 ? &b->cr3 : &b->cr4) = value;
    s->changed = true;
}

u64 svm_paging_reg(struct vcpu *v, enum hv_reg r, const u64 *set)
{
    struct svm_vcpu *s = svm_of(v);

    if (set && s->on_shadow) {
        set_on_shadow(s, r, *set);
        s->vmcb->cr3 = v->ctl.shadow_root.v;
    }
    if (set && !s->on_shadow)
        set_plain(s, r, *set);
    return get(s, r);
}

/* From the nested table to a shadow or back: what the guest set stays. */
static void change(struct svm_vcpu *s, bool on_shadow)
{
    static const enum hv_reg regs[] = {HV_CR0, HV_CR3, HV_CR4};
    u64 value[ARRAY_SIZE(regs)];

    for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
        value[i] = get(s, regs[i]);
    s->on_shadow = on_shadow;
    for (u32 i = 0; i < ARRAY_SIZE(regs); i++)
        (on_shadow ? set_on_shadow : set_plain)(s, regs[i], value[i]);
    s->changed = true;
}

/* Which VM's block this is, one who reads the machine's memory knows by its nested table. */
static void fence(struct svm_vcpu *s, const struct hv_ctl *c)
{
    struct vmcb *b = s->vmcb;

    s->fenced = c->fence_root.v;
    s->look = s->fenced || s->injected;
    b->np_enable = s->fenced || !c->shadow_root.v;
    b->host_use[0] = s->fenced ? c->nested_root.v : 0;
    if (s->fenced)
        b->n_cr3 = c->fence_root.v;
}

/* TS was clear at the entry, and who clears it exits: if it is set now, tasks were switched.
 * A refused entry is the VM's end in any case. */
void svm_paging_after(const struct vmcb *b, struct exit *x)
{
    if (b->cr0 & CR0_TS && x->reason != EXIT_ENTRY_FAILED)
        x->reason = EXIT_TASK_SWITCH;
}

/* The root's address alone breaks no rule: no need to remember it (svm.c). */
void svm_paging_configure(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);
    u64 root = v->ctl.shadow_root.v;

    if (s->on_shadow != (root != 0))
        change(s, root != 0);
    fence(s, &v->ctl);
    s->vmcb->cr_read = 0;
    if (!root)
        return;
    s->vmcb->cr3 = root;
    s->vmcb->cr_read =
        READS(3) | (s->cr0 & CR0_WP ? 0 : READS(0)) | (s->cr4 & CR4_PAE ? 0 : READS(4));
}
