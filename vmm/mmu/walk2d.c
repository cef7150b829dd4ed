/*
 * The two-dimensional walk: the guest's tables hold guest-physical addresses,
 * so finding each takes a nested walk, and the final gPA takes one more. With
 * 4 KiB pages in four levels both ways: 4 x (4 + 1) + 4 = 24 references.
 *
 * It only composes: a guest descent whose locate() is a nested one. Source:
 * AMD64 Manual vol. 2, 15.25.5 and 15.25.6.
 */
#include "vmm/hv.h"
#include "vmm/mmu/descend.h"
#include "vmm/mmu/walk.h"

/* The processor may set A and D in any guest table, so it looks for them as
 * for writing: a table behind a read-only mapping faults. */
static void *find_nested(const struct descent *d, u64 where, u8 level, struct walk *w)
{
    if (walk_nested(d->nroot, gpa(where), ACCESS_WRITE, level, w))
        return NULL;
    return hpa_ptr(w->hpa);
}

enum walk_fault walk_2d(hpa_t nroot, const struct guest_paging *paging, gva_t a, u8 access,
                        struct walk *w)
{
    struct descent d = {
        .nroot = nroot, .locate = find_nested, .pointers_held = pt_nested == &pt_ept};

    walk_init(w, paging_mode(paging), a, access);
    w->nroot = nroot;
    enum walk_fault fault = walk_guest_tables(&d, paging, w);
    /* Until now these held where the last table was. */
    w->hpa = hpa(0);
    w->nested_size = 0;
    return fault ? fault : walk_nested(nroot, w->gpa, access, 0, w);
}
