/*
 * The bitmaps: every port exits; of the MSRs all but those that the VMCS or the
 * vCPU switch holds. One copy serves all vCPUs.
 * Source: Intel SDM vol. 3C, 24.6.4, 24.6.9.
 */
#include "kernel/mem.h"
#include "vmm/vmx/vmx.h"

#define HIGH_MSRS  0xc0000000u
#define READ_HIGH  0x400u /* where their bits for reading are; low MSRs at 0 */
#define WRITE      0x800u /* from those for reading to those for writing */

static u8 io_map[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 msr_map[PAGE_SIZE] __attribute__((aligned(4096)));
static bool ready;

/* STAR, LSTAR, CSTAR, SFMASK, FS, GS and KernelGS base, SYSENTER CS/ESP/EIP */
static const u32 own_msrs[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                               0xc0000101, 0xc0000102, 0x174,      0x175,      0x176};

/* One bit an MSR in each of four kibibytes. */
static void allow_msr(u32 msr)
{
    u32 byte = (msr >= HIGH_MSRS ? READ_HIGH : 0) + (msr & 0x1fff) / 8;
    u8 bit = (u8)(1u << msr % 8);

    msr_map[byte] &= ~bit;
    msr_map[byte + WRITE] &= ~bit;
}

static void prepare(void)
{
    if (ready)
        return;
    memset(io_map, 0xff, sizeof(io_map));
    memset(msr_map, 0xff, sizeof(msr_map));
    for (u32 i = 0; i < ARRAY_SIZE(own_msrs); i++)
        allow_msr(own_msrs[i]);
    ready = true;
}

hpa_t vmx_io_map(void)
{
    prepare();
    return ptr_hpa(io_map);
}

hpa_t vmx_msr_map(void)
{
    prepare();
    return ptr_hpa(msr_map);
}
