/*
 * What is written into a VMCS once: the host's state to which each exit
 * returns, the controls that never change, and a guest's state that passes the
 * checks before the VMM sets registers and segments.
 * Source: Intel SDM vol. 3C, 24.4 to 24.8, 26.2.2.
 */
#include "kernel/cpu.h"
#include "vmm/cpubits.h"
#include "vmm/vmx/vmx.h"

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18
#define PAT_RESET    0x0007040600070406ull
#define DR7_RESET    0x400

struct table_pointer {
    u16 limit;
    u64 base;
} __attribute__((packed));

/* The host's one TSS, by its descriptor. */
static u64 tss_base(u64 gdt)
{
    const u64 *d = (const u64 *)(gdt + SELECTOR_TSS);

    return (d[0] >> 16 & 0xffffff) | (d[0] >> 56 & 0xff) << 24 | d[1] << 32;
}

static void setup_host(void)
{
    struct table_pointer gdt, idt;

    __asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));
    vmcs_write(VMCS_HOST_CR0, read_cr0());
    vmcs_write(VMCS_HOST_CR3, read_cr3());
    vmcs_write(VMCS_HOST_CR4, read_cr4());
    vmcs_write(VMCS_HOST_CS, SELECTOR_CODE);
    for (u32 field = VMCS_HOST_SS; field <= VMCS_HOST_GS; field += 2)
        vmcs_write(field, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_ES, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_TR, SELECTOR_TSS);
    vmcs_write(VMCS_HOST_TR_BASE, tss_base(gdt.base));
    vmcs_write(VMCS_HOST_GDTR_BASE, gdt.base);
    vmcs_write(VMCS_HOST_IDTR_BASE, idt.base);
    vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    vmcs_write(VMCS_HOST_RIP, (u64)vmx_exit_point);
}

/* Fields that stay 0, as in a new VMCS on Bochs, but on no other processor. */
static const u16 zeros[] = {
    VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE, VMCS_HOST_SYSENTER_CS, VMCS_HOST_SYSENTER_ESP,
    VMCS_HOST_SYSENTER_EIP, VMCS_PF_ERROR_MASK, VMCS_PF_ERROR_MATCH, VMCS_CR3_TARGETS,
    VMCS_EXIT_MSR_STORES, VMCS_EXIT_MSR_LOADS, VMCS_ENTRY_MSR_LOADS, VMCS_ENTRY_EVENT,
    VMCS_ENTRY_ERROR, VMCS_ENTRY_LENGTH, VMCS_GUEST_DEBUGCTL, VMCS_GUEST_BLOCKING,
    VMCS_GUEST_ACTIVITY, VMCS_GUEST_DEBUG, VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_ESP,
    VMCS_GUEST_SYSENTER_EIP, VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1, VMCS_GUEST_PDPTE2,
    VMCS_GUEST_PDPTE3,
};

static void setup_controls(const struct vcpu *v)
{
    vmcs_write(VMCS_PIN_CONTROLS, vmx_caps.control[CONTROL_PIN]);
    vmcs_write(VMCS_EXIT_CONTROLS, vmx_caps.control[CONTROL_EXIT]);
    vmcs_write(VMCS_IO_BITMAP_A, vmx_io_map().v);
    vmcs_write(VMCS_IO_BITMAP_B, vmx_io_map().v + PAGE_SIZE);
    vmcs_write(VMCS_MSR_BITMAP, vmx_msr_map().v);
    vmcs_write(VMCS_VPID, v->vm_id);
    vmcs_write(VMCS_GUEST_TIMER, VMX_POLL_TICKS);
}

void vmx_setup(struct vcpu *v)
{
    for (u32 i = 0; i < ARRAY_SIZE(zeros); i++)
        vmcs_write(zeros[i], 0);
    setup_host();
    setup_controls(v);
    vmcs_write(VMCS_LINK_POINTER, ~0ull);
    vmcs_write(VMCS_GUEST_PAT, PAT_RESET);
    vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
}

void vmx_configure(struct vcpu *v)
{
    const struct hv_ctl *c = &v->ctl;

    vmx_use(v);
    vmcs_write(VMCS_EXCEPTION_BITMAP, c->exceptions);
    vmcs_write(VMCS_PROC_CONTROLS,
               vmx_caps.control[CONTROL_PROC] | (c->intr_window ? PROC_INTR_WINDOW : 0) |
                   (c->cr3_exits ? PROC_CR3_LOAD | PROC_CR3_STORE : 0) |
                   (c->invlpg_exits ? PROC_INVLPG : 0) | (c->rdtsc_exits ? PROC_RDTSC : 0));
    vmcs_write(VMCS_TSC_OFFSET, c->tsc_offset);
    vmcs_write(VMCS_EPTP, vmx_eptp(v));
    vmx_paging_configure(v);
}
