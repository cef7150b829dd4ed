/*
 * The permission maps: every port exits; of the MSRs all but those that
 * VMLOAD and VMSAVE switch anyway. One copy serves all vCPUs.
 * Source: AMD64 Manual vol. 2, 15.10.1, 15.11.
 */
#include "kernel/mem.h"
#include "vmm/svm/svm.h"

#define IO_MAP_SIZE  (3 * PAGE_SIZE) /* 64 Ki bits and a spare page */
#define MSR_MAP_SIZE (2 * PAGE_SIZE)

static u8 io_map[IO_MAP_SIZE] __attribute__((aligned(4096)));
/* A hole of QEMU 7.2 that no map closes: for MSRs below 0x2000 it takes bits 32
 * and 33 of RCX into the map's index, finds no memory 1 to 3 GiB behind the map,
 * and lets the access pass. A guest that means harm can so switch off the real
 * local APIC, and with it the host's timer. */
static u8 msr_map[MSR_MAP_SIZE] __attribute__((aligned(4096)));
static bool ready;

/* STAR, LSTAR, CSTAR, SFMASK, FS, GS and KernelGS base, SYSENTER CS/ESP/EIP */
static const u32 own_msrs[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                               0xc0000101, 0xc0000102, 0x174,      0x175,      0x176};

/* Two bits an MSR, read and write; three ranges of 8192 of them. */
static void allow_msr(u32 msr)
{
    u32 range = msr < 0x2000 ? 0 : msr < 0xc0002000 ? 0x800 : 0x1000;
    u32 bit = (msr & 0x1fff) * 2;

    msr_map[range + bit / 8] &= ~(3u << bit % 8);
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

hpa_t svm_io_map(void)
{
    prepare();
    return ptr_hpa(io_map);
}

hpa_t svm_msr_map(void)
{
    prepare();
    return ptr_hpa(msr_map);
}
