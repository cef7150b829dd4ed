/*
 * A VM's nested tables, in the processor's format (pt_nested): which frame is
 * behind which page of the guest's memory, and what may be done with it.
 *
 * Mappings are of 4 KiB. Tables come from the frame allocator under
 * OWNER_VM_TABLE + vm. Nothing is flushed here: whoever removes or narrows a
 * mapping calls hv->flush(). Sources: AMD64 Manual vol. 2, 15.25.5; Intel SDM
 * vol. 3C, 28.2.
 */
#ifndef VMM_MMU_NESTED_H
#define VMM_MMU_NESTED_H

#include "kernel/types.h"

#define NESTED_GPA_BITS 48
#define NESTED_HARVEST  32u /* pages that one call looks at */

struct nested {
    u16 vm;
    hpa_t root;  /* 0: not made */
    u64 tables;  /* frames in use */
    u64 mapped;  /* 4K pages mapped */
    bool quiet;  /* not the guest's memory: nothing of it is traced */
};

int nested_init(struct nested *, u16 vm); /* 0 or -ENOMEM */
void nested_fini(struct nested *);        /* gives all table frames back */
/* Map one page, replacing what was there; access: ACCESS_WRITE, ACCESS_EXEC,
 * reading is implied. 0 or -ENOMEM. Traces a map record. */
int nested_map(struct nested *, gpa_t, hpa_t, u8 access);
/* Remove; false if nothing was mapped. */
bool nested_unmap(struct nested *, gpa_t);
/* Change the access of what is mapped; false if nothing is. */
bool nested_protect(struct nested *, gpa_t, u8 access);
/* Which of NESTED_HARVEST pages from there on the guest has used since the last
 * time: bit i, page i; bit 32 + i: it has written to it. The processor's notes
 * (A and D) are cleared; it makes no new ones before the caller has flushed. */
u64 nested_harvest(struct nested *, gpa_t);

#endif
