/*
 * The translations of vtlb: a hash by space and page number, open addressing. A 2 MiB page
 * is found by its own number, once that of 4 KiB is not there.
 */
#include "guests/vtlb_map.h"

#define SLOTS     4096u /* a power of two */
#define MAX_PAGES 2048u
#define SPACE_CR3 0x7ff000000ull /* CR3 is a name: where that leads, there is no memory */

u32 map_space;
u64 map_misses, map_vanished, map_wrong;

static struct page pages[MAX_PAGES];
static u16 slot[SLOTS]; /* a page's number + 1; 0: free */
static u32 count;

/* --- Hypercalls ---------------------------------------------------------------------------- */

const u8 *hypercall_code(void)
{
    static const u8 vmcall[HYPERCALL_BYTES] = {0x0f, 0x01, 0xc1, 0xc3};
    static const u8 vmmcall[HYPERCALL_BYTES] = {0x0f, 0x01, 0xd9, 0xc3};
    static const u8 *code; /* asked for once */

    if (!code)
        code = cpu_is_intel() ? vmcall : vmmcall;
    return code;
}

unsigned long hypercall(u32 number, u64 a, u64 b, u32 c)
{
    unsigned long answer;

    __asm__ volatile("call *%1"
                     : "=a"(answer)
                     : "r"(hypercall_code()), "a"(number), "b"((unsigned long)a),
                       "c"((unsigned long)b), "d"(c)
                     : "memory", "cc");
    return answer;
}

/* --- Pages --------------------------------------------------------------------------------- */

/* Where it is, or where it would be. */
static u16 *place(u32 space, u64 gva, bool large)
{
    u64 first = gva & (large ? -LARGE_SIZE : -PAGE_SIZE);
    u32 i = (u32)mix(first, space, large) % SLOTS;

    for (;; i = (i + 1) % SLOTS) {
        const struct page *p = slot[i] ? &pages[slot[i] - 1] : NULL;
        if (!p || (p->space == space && !(p->how & VTLB_LARGE) == !large && p->gva == first))
            return &slot[i];
    }
}

struct page *map_add(u32 space, u64 gva, u64 gpa, u32 how)
{
    if (count == MAX_PAGES)
        guest_exit(3);
    struct page *p = &pages[count++];
    *p = (struct page){gva, gpa, space, how, true, false};
    *place(space, gva, how & VTLB_LARGE) = (u16)count;
    return p;
}

struct page *map_find(u64 gva)
{
    for (int large = 0; large < 2; large++) {
        u16 n = *place(map_space, gva, large);
        if (n && pages[n - 1].present)
            return &pages[n - 1];
    }
    return NULL;
}

/* --- The TLB ------------------------------------------------------------------------------- */

void map_fill(struct page *p)
{
    map_misses++;
    map_vanished += p->filled;
    map_wrong += hypercall(VTLB_WRITE, p->gva, p->gpa, p->how) != VTLB_DONE;
    p->filled = true;
}

/* A large page is so many small ones to the TLB. */
void map_flush(struct page *p, bool by_invlpg)
{
    for (u64 a = p->gva; a - p->gva < map_size(p); a += PAGE_SIZE)
        if (by_invlpg)
            invlpg((const void *)(uintptr_t)a);
        else
            map_wrong += hypercall(VTLB_FLUSH, a, 0, 0) != VTLB_DONE;
    p->filled = false;
}

void map_flush_space(void)
{
    map_wrong += hypercall(VTLB_FLUSH_SPACE, 0, 0, 0) != VTLB_DONE;
    for (u32 i = 0; i < count; i++)
        pages[i].filled &= pages[i].space != map_space;
}

void map_switch(u32 space)
{
    map_space = space;
    write_cr3((unsigned long)(SPACE_CR3 + space * PAGE_SIZE));
}
