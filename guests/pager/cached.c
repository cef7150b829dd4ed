/*
 * What the processor may still have cached, and what puts an end to that. A change
 * of an entry that is present and accessed, in a table that was ever walked, may not be
 * seen before its flush: until then each strict access makes one by INVLPG. It need not
 * have been used since the last flush: a processor may load such entries ahead of time.
 * One that was not present, or not accessed, is seen at once. With CR4.PGE, MOV CR3 is
 * no flush: any page may be global. AMD64 manual vol. 2, 5.5; SDM vol. 3A, 4.10.2.
 */
#include "guests/pager/pager.h"

static u32 epoch = 1;
static u32 walked[POOL_FRAMES]; /* in which epoch a frame was walked as a table */
static bool stale;              /* something cached may be old */
static bool pointers;           /* PAE's directory pointers were changed */

static u32 *walked_of(u64 gpa)
{
    return &walked[(gpa - POOL) / PAGE_SIZE];
}

bool cached_is_table(u64 gpa, u64 n)
{
    return *walked_of(gpa) == epoch || *walked_of(gpa + n - 1) == epoch;
}

void cached_walked(const struct route *r)
{
    for (int i = 0; i < r->steps; i++)
        *walked_of(r->step[i].at) = epoch;
}

static bool meets_pointers(u64 gpa, u64 n)
{
    u64 root = current_root();
    return format.pointers && gpa < root + 32 && root < gpa + n;
}

void cached_before_write(u64 gpa, u64 n)
{
    if (meets_pointers(gpa, n))
        pointers = true;
    u64 width = (u64)format.width;
    if (stale) /* n is a page at most */
        return;
    for (u64 at = gpa & ~(width - 1); at < gpa + n; at += width)
        if (*walked_of(at) && (entry_read(mirror_of(at)) & (PTE_P | PTE_A)) == (PTE_P | PTE_A))
            stale = true;
}

bool cached_is_stale(void)
{
    return stale || pointers;
}

static void forget(void)
{
    stale = false;
    epoch++;
}

void cached_load(u32 space)
{
    pager.current = space;
    write_cr3((unsigned long)root_of(space));
    pointers = false;
    if (pager.pge)
        stale = true;
    else
        forget();
}

static unsigned long cr4_wanted(void)
{
    unsigned long keep = read_cr4() & ~(CR4_PSE | CR4_PGE);
    return keep | (pager.pse ? CR4_PSE : 0) | (pager.pge ? CR4_PGE : 0);
}

static void toggle_pge(void)
{
    unsigned long cr4 = read_cr4();
    write_cr4(cr4 ^ CR4_PGE);
    write_cr4(cr4);
    forget();
}

void cached_flush(void)
{
    if (pointers)
        cached_load(pager.current);
    if (pager.pge || permille(300))
        toggle_pge();
    else
        cached_load(pager.current);
}

void cached_modes(void)
{
    unsigned long cr0 = read_cr0() & ~CR0_WP;
    write_cr0(cr0 | (pager.wp ? CR0_WP : 0));
    u64 efer = rdmsr(MSR_EFER) & ~(u64)EFER_NXE;
    if (format.nx && ((rdmsr(MSR_EFER) & EFER_NXE) != 0) != pager.nxe) {
        wrmsr(MSR_EFER, efer | (pager.nxe ? EFER_NXE : 0));
        stale = true;
    }
    if (read_cr4() != cr4_wanted()) {
        write_cr4(cr4_wanted());
        stale = true;
    }
    if (stale)
        cached_flush();
}

void cached_paging_off_and_on(void (*between)(void))
{
#ifndef __x86_64__
    write_cr0(read_cr0() & ~CR0_PG);
    between();
    write_cr0(read_cr0() | CR0_PG);
    pointers = false;
    forget();
#endif
    (void)between;
}

void cached_settle(u64 gva)
{
    if (pointers)
        cached_load(pager.current);
    if (!stale)
        return;
    if (permille(200))
        cached_flush();
    else
        invlpg((const void *)(uintptr_t)gva);
}
