/*
 * The bitmaps (bitmaps.h) as VMX wants them: a bit a port in two pages; of MSRs
 * a bit each for reading and for writing, in four kibibytes.
 * Source: Intel SDM vol. 3C, 24.6.4, 24.6.9.
 */
#include "vmm/bitmaps.h"
#include "vmm/vmx/vmx.h"

#define HIGH_MSRS  0xc0000000u
#define READ_HIGH  0x400u /* where their bits for reading are; low MSRs at 0 */
#define WRITE      0x800u /* from those for reading to those for writing */

static u8 io_map[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 msr_map[PAGE_SIZE] __attribute__((aligned(4096)));

static void allow_msr(u8 *map, u32 msr)
{
    u32 byte = (msr >= HIGH_MSRS ? READ_HIGH : 0) + (msr & 0x1fff) / 8;
    u8 bit = (u8)(1u << msr % 8);

    map[byte] &= ~bit;
    map[byte + WRITE] &= ~bit;
}

static struct bitmaps maps = {io_map, msr_map, sizeof(io_map), sizeof(msr_map), allow_msr, false};

hpa_t vmx_io_map(void)
{
    return bitmaps_io(&maps);
}

hpa_t vmx_msr_map(void)
{
    return bitmaps_msr(&maps);
}
