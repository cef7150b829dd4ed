/*
 * The nested walk, gPA to hPA, and the two-dimensional one: the guest's tables
 * hold guest-physical addresses, so finding each takes a nested walk, and the
 * final gPA takes one more. With 4 KiB pages in four levels both ways:
 * 4 x (4 + 1) + 4 = 24 references.
 *
 * It only composes: how one set of tables is descended is in descend.c. Sources:
 * AMD64 Manual vol. 2, 15.25.5 and 15.25.6; Intel SDM vol. 3C, 28.2.2, 28.2.3.
 */
#include "kernel/todo.h"
#include "vmm/hv.h"
#include "vmm/mmu/descend.h"
#include "vmm/mmu/nested.h"
#include "vmm/mmu/walk.h"

enum walk_fault walk_nested(hpa_t root, gpa_t a, u8 access, u8 serves, struct walk *w)
{
    /* LAB 5 BEGIN: One descent through the nested tables, by the nested rules. */
    struct descent d = {
        .format = pt_nested,
        .dim = DIM_NESTED,
        .serves = serves,
        .access = access | ACCESS_USER,
        .addr = a.v,
        .root = root.v,
        .wp = true,
        .nxe = true,
    };

    w->nroot = root;
    if (a.v >> NESTED_GPA_BITS)
        return descent_fail(&d, w, FAULT_NOT_PRESENT, 4, false);
    return descend(&d, w, &w->hpa.v, &w->nested_size);
    /* LAB 5 END: todo(5, "5.8", root, a, access, serves, w, descend, descent_fail); */
}

/* Where the guest's entry at gPA `where` of that level lies for the host; NULL: the
 * nested walk faulted, and w says so. */
static void *find_nested(const struct descent *d, u64 where, u8 level, struct walk *w)
{
    /* LAB 5 BEGIN: An entry of the guest's tables is found by a nested walk, as for writing. */
    /* The processor may set A and D in any guest table, so it looks for them as
     * for writing: a table behind a read-only mapping faults. */
    if (walk_nested(d->nroot, gpa(where), ACCESS_WRITE, level, w))
        return NULL;
    return hpa_ptr(w->hpa);
    /* LAB 5 END: todo(5, "5.9", d, where, level, w); */
}

enum walk_fault walk_2d(hpa_t nroot, const struct guest_paging *paging, gva_t a, u8 access,
                        struct walk *w)
{
    /* LAB 5 BEGIN: First the guest's tables, then where the gPA is that they give. */
    struct descent d = {.nroot = nroot, .locate = find_nested, .pointers_held = pt_nested->ept};

    walk_init(w, paging_mode(paging), a, access);
    w->nroot = nroot;
    enum walk_fault fault = walk_guest_tables(&d, paging, w);
    if (!fault)
        fault = walk_nested(nroot, w->gpa, access, 0, w);
    if (fault) { /* these hold where the last table was, or a page that is forbidden */
        w->hpa = hpa(0);
        w->nested_size = 0;
    }
    return fault;
    /* LAB 5 END: todo(5, "5.9", nroot, paging, a, access, w, find_nested); */
}
