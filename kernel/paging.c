/*
 * The host's page tables: 2 MiB pages, but 4 KiB where the kernel lies, so
 * that each of its parts gets its own permission. Not: guests' tables, which
 * are vmm/mmu/'s. Source: AMD64 Manual vol. 2, 5.3.
 */
#include "kernel/paging.h"
#include "kernel/cpu.h"
#include "kernel/frame.h"
#include "kernel/panic.h"

#define P   (1ull << 0)
#define W   (1ull << 1)
#define PCD (1ull << 4)
#define PS  (1ull << 7)
#define NX  (1ull << 63)

#define LARGE      (2ull << 20)
#define IDENTITY   (4ull << 30) /* mapped one to one */
#define FIRST_MMIO 0xc0000000ull

#define MAX_HOLES 2

extern u8 kernel_start[], text_end[], rodata_end[], kernel_end[], stack_guard[];

/* The entries of pages that are not mapped. */
static u64 *hole[MAX_HOLES], hole_at[MAX_HOLES];
static u32 holes;

static u64 *table_new(void)
{
    hpa_t a = frame_alloc_zeroed(OWNER_KERNEL);

    if (!a.v)
        panic("no memory for the host's page tables");
    return hpa_ptr(a);
}

static u64 small_page_flags(u64 a)
{
    if (a == 0 || a == (u64)stack_guard)
        return 0;
    if (a >= (u64)kernel_start && a < (u64)text_end)
        return P;
    if (a >= (u64)text_end && a < (u64)rodata_end)
        return P | NX;
    return P | W | NX;
}

static u64 map_small(u64 base)
{
    u64 *pt = table_new();

    for (u64 i = 0; i < 512; i++) {
        u64 a = base + i * PAGE_SIZE, flags = small_page_flags(a);
        pt[i] = flags ? a | flags : 0;
        if (!flags && holes < MAX_HOLES) {
            hole[holes] = &pt[i];
            hole_at[holes++] = a;
        }
    }
    return ptr_hpa(pt).v | P | W;
}

void paging_init(void)
{
    u64 *pml4 = table_new(), *pdpt = table_new();

    pml4[0] = ptr_hpa(pdpt).v | P | W;
    for (u64 base = 0; base < IDENTITY; base += LARGE) {
        u64 g = base >> 30;
        if (!pdpt[g])
            pdpt[g] = ptr_hpa(table_new()).v | P | W;
        u64 *pd = hpa_ptr(hpa(pdpt[g] & ~PAGE_MASK));
        u64 cache = base >= FIRST_MMIO ? PCD : 0;
        pd[base >> 21 & 511] =
            base < (u64)kernel_end ? map_small(base) : base | P | W | NX | PS | cache;
    }
    write_cr3(ptr_hpa(pml4).v);
}

void paging_reveal(void)
{
    for (u32 i = 0; i < holes; i++)
        *hole[i] = hole_at[i] | P | NX;
}
