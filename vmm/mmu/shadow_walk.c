/*
 * Walks of a guest that runs on a shadow: its own tables, as the VMM reads them, and the
 * shadow's references, which are the processor's. PAE's four directory pointers are
 * those that its processor holds since CR3 was written, so they are no reference.
 * Nothing is changed but A and D on request. Source: AMD64 Manual vol. 2, 5.2.3.
 */
#include "vmm/hv.h"
#include "vmm/mmu/descend.h"
#include "vmm/mmu/shadow.h"
#include "vmm/vm.h"

struct shadow_descent {
    struct descent d; /* first: locate() gets it */
    struct shadow *s;
};

static void *find_table(const struct descent *d, u64 where, u8 level, struct walk *w)
{
    struct shadow *s = ((const struct shadow_descent *)d)->s;
    void *entry = w->mode == PAGING_PAE && level == 3 ? &s->pointer[d->addr >> 30]
                                                      : guestmem_ptr(d->mem, gpa(where), NULL);

    if (!entry)
        descent_fail(d, w, FAULT_NO_MEMORY, level, false);
    return entry;
}

/* The root is found by its number: a PAE walk's CR3 has 32 bits, a host program's memory not. */
static void *find_own(const struct descent *d, u64 where, u8 level, struct walk *w)
{
    const struct shadow *s = ((const struct shadow_descent *)d)->s;
    const struct shadow_page *root = &s->page[s->root];

    (void)w;
    return level == ROLE_LEVEL(root->role) ? &root->entry[shadow_index(level, d->addr)]
                                           : hpa_ptr(hpa(where));
}

/* The processor's own walk. Its table is a long-mode or PAE one. */
static enum walk_fault walk_own(struct shadow *s, struct walk *w)
{
    const struct shadow_page *root = &s->page[s->root];
    struct shadow_descent sd = {.d = {.format = root->role & ROLE_POINTERS ? &pt_pae : &pt_long4,
                                      .dim = DIM_SHADOW,
                                      .access = w->access,
                                      .addr = w->gva.v,
                                      .locate = find_own,
                                      .wp = true,
                                      .nxe = !s->software || s->role & ROLE_NXE},
                                .s = s};

    w->nroot = shadow_table(root);
    if (!pt_canonical(sd.d.format, sd.d.addr))
        return descent_fail(&sd.d, w, FAULT_NON_CANONICAL, 0, false);
    if (s->software && w->access & ACCESS_USER && vtlb_in_segment(w->gva.v))
        return descent_fail(&sd.d, w, FAULT_USER, 1, true);
    return descend(&sd.d, w, &w->hpa.v, &w->nested_size);
}

/* The tables are all that says where an address of the guest's leads; but in its kernel's
 * segment, where it leads to itself. */
static enum walk_fault walk_software(struct shadow *s, struct walk *w)
{
    enum walk_fault fault = walk_own(s, w);

    if (!fault) {
        w->gpa = shadow_gpa_of(s, w->hpa);
    } else if (fault != FAULT_USER && vtlb_in_segment(w->gva.v)) {
        w->gpa = gpa(w->gva.v);
        w->fault = fault = FAULT_NONE;
    }
    return fault;
}

enum walk_fault shadow_walk_guest(struct vcpu *v, const struct guest_paging *paging, gva_t a,
                                  u8 access, bool set_ad, struct walk *w)
{
    struct shadow *s = &v->vm->shadow;
    struct shadow_descent sd = {
        .d = {.mem = &v->vm->mem, .locate = find_table, .set_ad = set_ad, .pointers_held = true},
        .s = s};

    walk_init(w, paging_mode(paging), a, access);
    return s->software ? walk_software(s, w) : walk_guest_tables(&sd.d, paging, w);
}

enum walk_fault walk_shadow(struct vcpu *v, const struct guest_paging *paging, gva_t a, u8 access,
                            struct walk *w)
{
    enum walk_fault fault = shadow_walk_guest(v, paging, a, access, false, w);

    if (!fault && !v->vm->shadow.software)
        walk_own(&v->vm->shadow, w);
    return fault;
}
