/*
 * Fuzz target: walks through a guest's tables of any content, in any mode. The
 * input is the guest's memory. No table may be looked for outside the slots,
 * and both walks must agree with each other on what they find.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"
#include "vmm/tests/fuzz.h"

const char *const fuzz_name = "walk";

#define PAGES 8 /* of guest memory, from gPA 0 */

static u8 *ram;     /* the guest's */
static u64 *tables; /* nested: one of each level, the last for those pages */
static struct guestmem mem;

static void begin(void)
{
    if (ram)
        return;
    pt_phys_bits = 52; /* the host's own pointers are the frames' addresses */
    ram = aligned_alloc(4096, PAGES * PAGE_SIZE);
    tables = aligned_alloc(4096, 4 * PAGE_SIZE);
    memset(tables, 0, 4 * PAGE_SIZE);
    guestmem_add(&mem, gpa(0), PAGES * PAGE_SIZE, ptr_hpa(ram));
    for (u32 i = 0; i < 3; i++)
        tables[512 * i] = (u64)(uintptr_t)(tables + 512 * (i + 1)) | 7;
    for (u32 i = 0; i < PAGES; i++)
        tables[512 * 3 + i] = (u64)(uintptr_t)(ram + i * PAGE_SIZE) | 7;
}

struct input {
    struct guest_paging paging;
    u64 at;
    u8 access, unused[7];
};

/* The references of one dimension, which are also those of the other. */
static void check_same(const struct walk *one, const struct walk *two)
{
    u32 n = 0, last = 0;

    for (u32 i = 0; i < two->refs; i++) {
        const struct walk_ref *r = &two->ref[i];
        FUZZ_CHECK(r->n == i + 1);
        if (r->dim == DIM_GUEST) {
            FUZZ_CHECK(n < one->refs && one->ref[n].table.v == r->table.v);
            FUZZ_CHECK(one->ref[n].index == r->index && one->ref[n].before == r->before);
            FUZZ_CHECK(one->ref[n].size == r->size);
            n++;
            last = r->n;
        }
    }
    FUZZ_CHECK(n == one->refs);
    if (one->fault == FAULT_NO_MEMORY)
        FUZZ_CHECK(two->fault_dim == DIM_NESTED);
    else if (one->fault)
        FUZZ_CHECK(two->fault == one->fault && two->error == one->error &&
                   two->fault_level == one->fault_level);
    else
        FUZZ_CHECK(two->gpa.v == one->gpa.v && two->gpa_refs == last);
}

static void check_translation(const struct walk *w)
{
    if (w->fault)
        return;
    FUZZ_CHECK(w->gpa.v < PAGES * PAGE_SIZE);
    FUZZ_CHECK(w->hpa.v == (u64)(uintptr_t)ram + w->gpa.v);
    FUZZ_CHECK(w->refs >= 4 && w->refs <= WALK_MAX_REFS);
}

int fuzz_one(const u8 *data, size_t size)
{
    static struct walk one, two, again;
    struct input in = {0};

    begin();
    memcpy(&in, data, min_u64(size, sizeof(in)));
    memset(ram, 0, PAGES * PAGE_SIZE);
    if (size > sizeof(in))
        memcpy(ram, data + sizeof(in), min_u64(size - sizeof(in), PAGES * PAGE_SIZE));
    walk_guest(&mem, &in.paging, gva(in.at), in.access & 7, false, &one);
    FUZZ_CHECK(walk_2d(ptr_hpa(tables), &in.paging, gva(in.at), in.access & 7, &two) == two.fault);
    check_same(&one, &two);
    check_translation(&two);
    /* Setting A and D changes no result. */
    walk_guest(&mem, &in.paging, gva(in.at), in.access & 7, true, &again);
    FUZZ_CHECK(again.fault == one.fault && again.gpa.v == one.gpa.v && again.error == one.error);
    for (u32 i = 0; i < again.refs; i++)
        FUZZ_CHECK(!((again.ref[i].before ^ again.ref[i].after) & ~(PTE_A | PTE_D)));
    return 0;
}

/* Tables in pages 1 to 5, each mode once; every entry points a page on. */
size_t fuzz_seed(u32 i, u8 *to)
{
    static const struct guest_paging modes[] = {
        {1u << 31, 0x1000, 0x10, 0, 0},
        {1u << 31, 0x1000, 0x20, 0, 0},
        {1u << 31, 0x1000, 0x20, 0xc00, 0},
        {1u << 31 | 1 << 16, 0x1000, 0x1020, 0xc00, 0},
        {0, 0, 0, 0, 0},
    };
    struct input in = {.at = 0x123, .access = (u8)i};
    u8 *guest = to + sizeof(in);

    if (i >= ARRAY_SIZE(modes))
        return 0;
    in.paging = modes[i];
    memset(to, 0, sizeof(in) + PAGES * PAGE_SIZE);
    memcpy(to, &in, sizeof(in));
    for (u32 page = 1; page <= 5; page++) {
        u64 entry = (page + 1) * PAGE_SIZE | (i == 1 && page == 1 ? 1 : 7);
        memcpy(guest + page * PAGE_SIZE, &entry, 8);
    }
    return sizeof(in) + PAGES * PAGE_SIZE;
}
