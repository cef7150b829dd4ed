/*
 * Old or new, nothing else: what a guest's tables have said of some addresses since each was
 * last flushed. Whatever a shadow says of such an address, the guest's tables said once. For
 * fuzz targets.
 */
#ifndef VMM_TESTS_SHADOW_HISTORY_H
#define VMM_TESTS_SHADOW_HISTORY_H

#include "vmm/vm.h"

#define HISTORY_MAX 64u

/* All is forgotten, as by MOV CR3; from here on these addresses are looked at. */
void history_begin(const u64 *gva, u32 n);
/* INVLPG of that address. */
void history_flush(u64 gva);
/* What the tables say now: to be called before the guest changes them, and after. */
void history_note(struct vcpu *);
/* Each leaf of the active root is what its address has been noted for. */
void history_check(struct vcpu *);

#endif
