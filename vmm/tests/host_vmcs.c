/*
 * The VMCS of host_vmcs.h: an array instead of a processor's own memory.
 */
#include <string.h>
#include "vmm/tests/host_vmcs.h"

#define ENCODINGS 0x8000

static u64 fields[ENCODINGS];

u64 vmcs_read(u32 field)
{
    return fields[field];
}

void vmcs_write(u32 field, u64 value)
{
    fields[field] = value;
}

void host_vmcs_clear(void)
{
    memset(fields, 0, sizeof(fields));
}

/* Low half: must be 1; high: may be. As Bochs's tigerlake says, about. */
static void set_caps(void)
{
    vmx_caps = (struct vmx_caps){
        .allowed = {[CONTROL_PIN] = 0x0000007f00000016, [CONTROL_PROC] = 0xfffbfffe04006172,
                    [CONTROL_PROC2] = 0x000fffff00000000, [CONTROL_EXIT] = 0x01ffffff00036dfb,
                    [CONTROL_ENTRY] = 0x0003ffff000011fb},
        .cr0_ones = 0x20,
        .cr0_may = 0xffffffff,
        .cr4_ones = 0x2000,
        .cr4_may = 0x3fffff,
        .ept_ad = true};
}

static void set_controls(void)
{
    vmcs_write(VMCS_PIN_CONTROLS, 0x1f);
    vmcs_write(VMCS_PROC_CONTROLS, 0xb6006172 | PROC_HLT | PROC_TSC_OFFSET);
    vmcs_write(VMCS_PROC_CONTROLS2, PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED);
    vmcs_write(VMCS_EXIT_CONTROLS, 0x36dfb | EXIT_SAVE_DEBUG | EXIT_HOST_64);
    vmcs_write(VMCS_ENTRY_CONTROLS, 0x11fb);
    vmcs_write(VMCS_IO_BITMAP_A, 0x10000);
    vmcs_write(VMCS_IO_BITMAP_B, 0x11000);
    vmcs_write(VMCS_MSR_BITMAP, 0x12000);
    vmcs_write(VMCS_VPID, 1);
    vmcs_write(VMCS_EPTP, 0x100000 | EPTP_WB | EPTP_LEVELS | EPTP_AD);
    vmcs_write(VMCS_LINK_POINTER, ~0ull);
}

static void set_host(void)
{
    vmcs_write(VMCS_HOST_CR0, 0x80010033);
    vmcs_write(VMCS_HOST_CR3, 0x2b5000);
    vmcs_write(VMCS_HOST_CR4, 0x2620);
    vmcs_write(VMCS_HOST_EFER, 0xd00);
    vmcs_write(VMCS_HOST_PAT, 0x0007040600070406);
    vmcs_write(VMCS_HOST_CS, 0x08);
    vmcs_write(VMCS_HOST_DS, 0x10);
    vmcs_write(VMCS_HOST_TR, 0x18);
    vmcs_write(VMCS_HOST_RIP, 0x101000);
}

static void set_segments(void)
{
    for (u32 n = SEG_ES; n <= SEG_TR; n++) {
        vmcs_write(VMCS_LIMIT(n), 0xffffffff);
        vmcs_write(VMCS_RIGHTS(n), 0xc093);
    }
    vmcs_write(VMCS_RIGHTS(SEG_CS), 0xc09b);
    vmcs_write(VMCS_RIGHTS(SEG_LDTR), 0x82);
    vmcs_write(VMCS_RIGHTS(SEG_TR), 0x8b);
    for (u32 n = SEG_LDTR; n <= SEG_IDTR; n++)
        vmcs_write(VMCS_LIMIT(n), 0xffff);
}

void host_vmcs_good(void)
{
    host_vmcs_clear();
    set_caps();
    set_controls();
    set_host();
    set_segments();
    vmcs_write(VMCS_GUEST_CR0, 0x31);
    vmcs_write(VMCS_GUEST_CR4, 0x2000);
    vmcs_write(VMCS_GUEST_DR7, 0x400);
    vmcs_write(VMCS_GUEST_PAT, 0x0007040600070406);
    vmcs_write(VMCS_GUEST_RFLAGS, 2);
    vmcs_write(VMCS_GUEST_RIP, 0x100000);
}

void host_vmcs_long(void)
{
    host_vmcs_good();
    vmcs_write(VMCS_ENTRY_CONTROLS, 0x11fb | ENTRY_IA32E);
    vmcs_write(VMCS_GUEST_CR0, 0x80010031);
    vmcs_write(VMCS_GUEST_CR3, 0x1000);
    vmcs_write(VMCS_GUEST_CR4, 0x2020);
    vmcs_write(VMCS_GUEST_EFER, 0x500);
    vmcs_write(VMCS_GUEST_CS_RIGHTS, 0xa09b);
}
