/*
 * The walk of one dimension: gVA to gPA through the guest's tables. Nested
 * walks are in walk2d.c, the rules in descend.c, the formats in pt_format.c.
 * Source: AMD64 Manual vol. 2, 1.3 (modes), 5.1, 5.3.1.
 */
#include "vmm/cpubits.h"
#include "vmm/mmu/descend.h"
#include "vmm/mmu/walk.h"

enum paging_mode paging_mode(const struct guest_paging *p)
{
    if (!(p->cr0 & CR0_PG))
        return PAGING_OFF;
    if (!(p->cr4 & CR4_PAE))
        return PAGING_LEGACY32;
    if (!(p->efer & EFER_LMA))
        return PAGING_PAE;
    return p->cr4 & CR4_LA57 ? PAGING_LONG5 : PAGING_LONG4;
}

void walk_init(struct walk *w, enum paging_mode mode, gva_t a, u8 access)
{
    bool narrow = mode == PAGING_OFF || mode == PAGING_LEGACY32 || mode == PAGING_PAE;

    w->mode = mode;
    w->gva = gva(narrow ? a.v & 0xffffffff : a.v);
    w->access = access;
    w->nroot = hpa(0);
    w->refs = w->gpa_refs = 0;
    w->fault = FAULT_NONE;
    w->fault_dim = w->fault_level = 0;
    w->error = 0;
    w->gpa = gpa(0);
    w->hpa = hpa(0);
    w->guest_size = w->nested_size = 0;
}

/* What is common to both ways of finding a guest's tables; see walk2d.c. */
enum walk_fault walk_guest_tables(struct descent *d, const struct guest_paging *paging,
                                  struct walk *w)
{
    d->format = pt_format_of(w->mode);
    if (!d->format) { /* paging is off */
        w->gpa = gpa(w->gva.v);
        return FAULT_NONE;
    }
    d->dim = DIM_GUEST;
    d->access = w->access;
    d->addr = w->gva.v;
    d->root = paging->cr3;
    descent_set_rules(d, paging);
    if (!pt_canonical(d->format, d->addr))
        return descent_fail(d, w, FAULT_NON_CANONICAL, 0, false);
    enum walk_fault fault = descend(d, w, &w->gpa.v, &w->guest_size);
    w->gpa_refs = fault ? 0 : w->refs;
    return fault;
}

static void *find_in_slots(const struct descent *d, u64 where, u8 level, struct walk *w)
{
    void *entry = guestmem_ptr(d->mem, gpa(where), NULL);

    if (!entry)
        descent_fail(d, w, FAULT_NO_MEMORY, level, false);
    return entry;
}

enum walk_fault walk_guest(const struct guestmem *mem, const struct guest_paging *paging, gva_t a,
                           u8 access, bool set_ad, struct walk *w)
{
    struct descent d = {.mem = mem, .locate = find_in_slots, .set_ad = set_ad};

    walk_init(w, paging_mode(paging), a, access);
    return walk_guest_tables(&d, paging, w);
}
