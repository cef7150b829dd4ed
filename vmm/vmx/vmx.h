/*
 * What the files of the VMX backend share. Nobody else includes it.
 */
#ifndef VMM_VMX_VMX_H
#define VMM_VMX_VMX_H

#include "vmm/vcpu.h"
#include "vmm/vmx/vmcs.h"

/* MSRs that only a change of vCPU switches. */
enum { OWN_STAR, OWN_LSTAR, OWN_CSTAR, OWN_SFMASK, OWN_KERNEL_GS_BASE, OWN_MSRS };

struct vmx_vcpu {
    hpa_t vmcs;
    bool launched;
    bool injected;  /* an event goes in at the next entry */
    bool paging_changed; /* by the VMM, since the last entry */
    u8 blocking;    /* the interruptibility state, as the VMCS holds it */
    u8 shadow;      /* of it, what blocks interrupts */
    bool polls;     /* the preemption timer is on: poll() in vmx.c */
    u64 watched_if; /* RFLAGS.IF; where nobody needs to poll: 0 */
    u64 seen_if;    /* what it was at the last entry */
    bool on_shadow; /* it runs on ctl.shadow_root; then CR3 is the guest's own */
    u64 cr3;
    u64 cr0_guest, cr4_guest; /* bits that the guest changes without an exit */
    u64 tpr, cr2, dr6;
    u64 own[OWN_MSRS];
};

static inline struct vmx_vcpu *vmx_of(struct vcpu *v)
{
    return v->backend;
}

/* What the processor can do, from its capability MSRs (vmx_caps.c). */
enum { CONTROL_PIN, CONTROL_PROC, CONTROL_PROC2, CONTROL_EXIT, CONTROL_ENTRY, VMX_CONTROLS };
struct vmx_caps {
    u32 revision;               /* of the VMCS, its first word */
    u64 allowed[VMX_CONTROLS];  /* low half: bits that must be 1; high: that may be */
    u32 control[VMX_CONTROLS];  /* as they are always set */
    u64 cr0_ones, cr0_may, cr4_ones, cr4_may; /* bits that must, may be 1 */
    bool ept_ad, large_1g;
};
extern struct vmx_caps vmx_caps;
/* Fill vmx_caps. -ENOTSUP: something that is needed is not there. */
int vmx_learn(void);
/* A control word with all bits of `want`, as a capability MSR allows. -ENOTSUP if
 * one of them may not be, or one of `never` must be. */
int vmx_round(u64 msr, u32 want, u32 never, u32 *out);
/* IA32_FEATURE_CONTROL as it is to be; -ENOTSUP: locked, with VMX forbidden. */
int vmx_lock(u64 now, u64 *then);
/* and as the processor has it then. */
int vmx_allow(void);

/* Make this vCPU's VMCS the current one. */
void vmx_use(struct vcpu *);
void vmx_load(struct vcpu *);
void vmx_save(struct vcpu *);
/* The EPT pointer that its settings ask for. */
u64 vmx_eptp(const struct vcpu *);

/* Fields that never change, of host and guest (vmx_setup.c). */
void vmx_setup(struct vcpu *);
/* vcpu->ctl into the VMCS. */
void vmx_configure(struct vcpu *);

/* Registers and segments (vmx_regs.c), as hv.h has them. */
u64 vmx_reg(struct vcpu *, enum hv_reg, const u64 *set);
void vmx_seg(struct vcpu *, enum hv_seg, struct seg *, bool set);
/* PAE's four directory pointers belong to the guest's state: read them anew. */
void vmx_load_pdptes(struct vcpu *);
/* After so many instructions the preemption timer ends a guest's run, where it is on:
 * Bochs counts them, whatever IA32_VMX_MISC says. */
#define VMX_POLL_TICKS 10000
/* vcpu->ctl.shadow_root into the VMCS (vmx_paging.c). */
void vmx_paging_configure(struct vcpu *);
void vmx_set_own_cr3(struct vcpu *, u64 value); /* on a shadow */
void vmx_set_cr0(struct vmx_vcpu *, u64 value);
void vmx_set_cr4(struct vmx_vcpu *, u64 value);
u64 vmx_get_cr0(const struct vmx_vcpu *);
u64 vmx_get_cr4(const struct vmx_vcpu *);

/* The world switch (vmx_run.S): loads the general registers at gpr but RSP,
 * enters the guest, stores them. 0, or VMfail: 1. */
u64 vmx_enter(u64 *gpr, u64 launched);
extern const u8 vmx_exit_point[];

/* The hardware's exit in neutral words (vmx_exit.c). */
void vmx_translate(struct vcpu *, u32 reason, struct exit *);

/* Which rule does the current VMCS break? Fills exit->fail; false: none
 * (vmx_check.c). */
bool vmx_check(struct exit *);
bool vmx_check_guest(struct exit *);

/* Break one rule on purpose, for study and tests; false: no such name
 * (vmx_break.c). */
bool vmx_break(const char *name);

/* A field as the manual names it; all of them to the console (vmx_dump.c). */
const char *vmcs_words(u32 field);
void vmx_dump(void);

/* The bitmaps, shared by all vCPUs (vmx_maps.c). */
hpa_t vmx_io_map(void); /* two pages */
hpa_t vmx_msr_map(void);

#endif
