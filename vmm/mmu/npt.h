/*
 * Nested page tables, in the processor's format (pt_nested): making and
 * removing 4 KiB mappings.
 *
 * Tables come from the frame allocator under OWNER_VM_TABLE + vm. Sources:
 * AMD64 Manual vol. 2, 15.25.5; Intel SDM vol. 3C, 28.2.
 */
#ifndef VMM_MMU_NPT_H
#define VMM_MMU_NPT_H

#include "kernel/types.h"

struct npt {
    u16 vm;
    hpa_t root;  /* 0: not made */
    u64 tables;  /* frames in use */
    u64 mapped;  /* 4K pages mapped */
};

int npt_init(struct npt *, u16 vm); /* 0 or -ENOMEM */
void npt_fini(struct npt *);        /* gives all table frames back */
/* Map one page, replacing what was there; access: ACCESS_WRITE, ACCESS_EXEC,
 * reading is implied. 0 or -ENOMEM. Traces a map record. */
int npt_map(struct npt *, gpa_t, hpa_t, u8 access);
/* Remove; false if nothing was mapped. */
bool npt_unmap(struct npt *, gpa_t);
/* Change the access of what is mapped; false if nothing is. */
bool npt_protect(struct npt *, gpa_t, u8 access);

#endif
