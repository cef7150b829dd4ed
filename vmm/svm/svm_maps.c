/*
 * The bitmaps (bitmaps.h) as SVM wants them: a bit a port in three pages; of MSRs
 * two bits, for reading and writing, in two pages.
 * Source: AMD64 Manual vol. 2, 15.10.1, 15.11.
 */
#include "vmm/bitmaps.h"
#include "vmm/svm/svm.h"

#define IO_MAP_SIZE  (3 * PAGE_SIZE) /* 64 Ki bits and a spare page */
#define MSR_MAP_SIZE (2 * PAGE_SIZE)

static u8 io_map[IO_MAP_SIZE] __attribute__((aligned(4096)));
/* A hole of QEMU 7.2 that no map closes: for MSRs below 0x2000 it takes bits 32
 * and 33 of RCX into the map's index, finds no memory 1 to 3 GiB behind the map,
 * and lets the access pass. A guest that means harm can so switch off the real
 * local APIC, and with it the host's timer. */
static u8 msr_map[MSR_MAP_SIZE] __attribute__((aligned(4096)));

/* Three ranges of 8192 MSRs, at 0, 0xc0000000 and 0xc0010000. */
static void allow_msr(u8 *map, u32 msr)
{
    u32 range = msr < 0x2000 ? 0 : msr < 0xc0002000 ? 0x800 : 0x1000;
    u32 bit = (msr & 0x1fff) * 2;

    map[range + bit / 8] &= ~(3u << bit % 8);
}

static struct bitmaps maps = {io_map, msr_map, IO_MAP_SIZE, MSR_MAP_SIZE, allow_msr, false};

hpa_t svm_io_map(void)
{
    return bitmaps_io(&maps);
}

hpa_t svm_msr_map(void)
{
    return bitmaps_msr(&maps);
}
