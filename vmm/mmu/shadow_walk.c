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

enum walk_fault shadow_walk_guest(struct vcpu *v, const struct guest_paging *paging, gva_t a,
                                  u8 access, bool set_ad, struct walk *w)
{
    struct shadow *s = &v->vm->shadow;
    struct shadow_descent sd = {
        .d = {.mem = &v->vm->mem, .locate = find_table, .set_ad = set_ad, .pointers_held = true},
        .s = s};

    walk_init(w, paging_mode(paging), a, access);
    return walk_guest_tables(&sd.d, paging, w);
}

/* The processor's own walk, appended. Its table is a long-mode or PAE one. */
static void append_shadow(const struct shadow *s, struct walk *w)
{
    const struct shadow_page *root = &s->page[s->root];
    bool pointers = root->role & ROLE_POINTERS;
    struct descent d = {.format = pointers ? &pt_pae : &pt_long4,
                        .dim = DIM_SHADOW,
                        .access = w->access,
                        .addr = w->gva.v,
                        .root = shadow_table(root).v,
                        .wp = true,
                        .nxe = true};

    w->nroot = shadow_table(root);
    descend(&d, w, &w->hpa.v, &w->nested_size);
}

enum walk_fault walk_shadow(struct vcpu *v, const struct guest_paging *paging, gva_t a, u8 access,
                            struct walk *w)
{
    enum walk_fault fault = shadow_walk_guest(v, paging, a, access, false, w);

    if (!fault)
        append_shadow(&v->vm->shadow, w);
    return fault;
}
