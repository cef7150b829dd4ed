/*
 * One descent through one set of tables: the step that walk.c makes once and
 * walk2d.c composes. Internal to vmm/mmu.
 */
#ifndef VMM_MMU_DESCEND_H
#define VMM_MMU_DESCEND_H

#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

struct descent {
    const struct pt_format *format;
    u8 dim;    /* enum walk_dim */
    u8 serves; /* nested: the guest level whose table is looked for */
    u8 access; /* ACCESS_ bits */
    u64 addr;  /* to be translated */
    u64 root;  /* address of the first table, as the tables count addresses */
    bool wp, nxe, pse, smep, smap;
    bool set_ad;
    bool pointers_held; /* PAE's directory pointers: by the processor, not read */
    /* The entry at an address of the tables' own kind. NULL: not to be had,
     * and then locate() has put the fault into the walk. NULL function: the
     * addresses are host-physical. */
    void *(*locate)(const struct descent *, u64 where, u8 level, struct walk *);
    const struct guestmem *mem; /* for locate() */
    hpa_t nroot;
};

/* Take the rules from the guest's control registers. */
void descent_set_rules(struct descent *, const struct guest_paging *);

/* Append the references to w. FAULT_NONE: *out is the translation, *size the
 * page's. Else the walk's fault, fault_dim, fault_level and error are set. */
enum walk_fault descend(const struct descent *, struct walk *w, u64 *out, u64 *size);

/* gVA -> gPA for a walk that walk_init() began; d->locate says how tables are
 * found, all else of *d is filled in from the control registers. */
enum walk_fault walk_guest_tables(struct descent *d, const struct guest_paging *, struct walk *w);

/* End the walk with a fault at that level. present: bit 0 of the error code. */
enum walk_fault descent_fail(const struct descent *, struct walk *w, enum walk_fault, u8 level,
                             bool present);

#endif
