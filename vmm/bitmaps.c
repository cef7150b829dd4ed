/*
 * What exits, of ports and MSRs, in the form that the backends hand to their
 * processors (bitmaps.h).
 */
#include "kernel/mem.h"
#include "vmm/bitmaps.h"

/* What hv->load and hv->save exchange, or the control block itself: STAR, LSTAR,
 * CSTAR, SFMASK, FS, GS and KernelGS base, SYSENTER CS, ESP and EIP. */
static const u32 own_msrs[] = {0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
                               0xc0000101, 0xc0000102, 0x174,      0x175,      0x176};

static void fill(struct bitmaps *b)
{
    if (b->filled)
        return;
    memset(b->io, 0xff, b->io_size);
    memset(b->msr, 0xff, b->msr_size);
    for (u32 i = 0; i < ARRAY_SIZE(own_msrs); i++)
        b->allow(b->msr, own_msrs[i]);
    b->filled = true;
}

hpa_t bitmaps_io(struct bitmaps *b)
{
    fill(b);
    return ptr_hpa(b->io);
}

hpa_t bitmaps_msr(struct bitmaps *b)
{
    fill(b);
    return ptr_hpa(b->msr);
}
