/*
 * Page walks: one dimension (walk.c), and two composed (walk2d.c).
 *
 * A walk reads tables and reports every reference that the processor would
 * make, in its order. It changes nothing, except that walk_guest() sets A and
 * D on request, as the processor does. Entry formats are data: struct
 * pt_format. Sources: AMD64 Manual vol. 2, 5.2, 5.3, 15.25.
 */
#ifndef VMM_MMU_WALK_H
#define VMM_MMU_WALK_H

#include "kernel/trace.h"
#include "kernel/types.h"
#include "vmm/guestmem.h"

/* Page-table entry bits, long mode, PAE and NPT alike. */
#define PTE_P        (1ull << 0)
#define PTE_W        (1ull << 1)
#define PTE_U        (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_A        (1ull << 5)
#define PTE_D        (1ull << 6)
#define PTE_PS       (1ull << 7)
#define PTE_G        (1ull << 8)
#define PTE_NX       (1ull << 63)
#define PTE_ADDR     0x000ffffffffff000ull

/* Error codes of a page fault, and what a nested fault's adds (EXITINFO1). */
#define PF_P         (1ull << 0)
#define PF_W         (1ull << 1)
#define PF_U         (1ull << 2)
#define PF_RSVD      (1ull << 3)
#define PF_I         (1ull << 4)
#define NPF_FINAL    (1ull << 32) /* while translating the final gPA */
#define NPF_IN_WALK  (1ull << 33) /* while looking for a guest table */

/* An EPT violation's exit qualification: Intel SDM vol. 3C, table 27-7. */
#define EPTQ_READ    (1ull << 0)
#define EPTQ_WRITE   (1ull << 1)
#define EPTQ_FETCH   (1ull << 2)
#define EPTQ_MAY_R   (1ull << 3) /* what all entries together allow */
#define EPTQ_MAY_W   (1ull << 4)
#define EPTQ_MAY_X   (1ull << 5)
#define EPTQ_GVA     (1ull << 7) /* the gVA is known */
#define EPTQ_FINAL   (1ull << 8) /* while translating the final gPA */

/* How the guest's own paging is set: its control registers as it sees them.
 * Of rflags only AC counts, which suspends SMAP. */
struct guest_paging {
    u64 cr0, cr3, cr4, efer, rflags;
};
enum paging_mode paging_mode(const struct guest_paging *);

struct walk_ref {
    u8 n;            /* from 1 */
    u8 dim;          /* enum walk_dim */
    u8 level;        /* 4 to 1; 5 with LA57 */
    u8 serves;       /* see formats.md 1.4 */
    hpa_t table;
    u16 index;
    u64 before, after;
    u64 size;        /* of the page, if the entry maps one; else 0 */
    u64 addr;        /* being translated */
};

#define WALK_MAX_REFS 40 /* five by five levels make 35 */

struct walk {
    enum paging_mode mode;
    gva_t gva;
    u8 access;       /* ACCESS_ bits */
    hpa_t nroot;
    u32 refs, gpa_refs;
    struct walk_ref ref[WALK_MAX_REFS];
    enum walk_fault fault;
    u8 fault_dim, fault_level;
    u64 error;       /* page-fault error code (PF_), or the nested fault's (NPF_, EPTQ_) */
    gpa_t gpa;       /* valid when the guest dimension succeeded */
    hpa_t hpa;       /* valid when fault is FAULT_NONE; walk_2d() leaves 0 otherwise */
    u64 guest_size, nested_size; /* page sizes, 0 if unpaged or, of walk_2d()'s, not known */
};

/* Begin a walk: all zero but the references, of which there are none yet. */
void walk_init(struct walk *, enum paging_mode, gva_t, u8 access);

/* gVA -> gPA through the guest's tables only, each table found by its memory
 * slot. On a fault fault_dim is DIM_GUEST and error the #PF code; a table
 * outside memory gives FAULT_NO_MEMORY. set_ad: write A and D back. */
enum walk_fault walk_guest(const struct guestmem *, const struct guest_paging *, gva_t, u8 access,
                           bool set_ad, struct walk *);

/* gPA -> hPA through a nested table (pt_nested, 4 levels): walk2d.c. Appends to a
 * walk that walk_init() began. Nested accesses are user accesses (15.25.5). */
enum walk_fault walk_nested(hpa_t root, gpa_t, u8 access, u8 serves, struct walk *);

/* Both composed: what the processor does at a TLB miss of a guest with nested
 * paging. Guest tables are read at the hPA that the nested walk gives; being
 * looked for, they count as written (15.25.6). Nothing is changed. */
enum walk_fault walk_2d(hpa_t nroot, const struct guest_paging *, gva_t, u8 access, struct walk *);

/* Write the walk to the trace: begin, one record a reference, end. */
void walk_trace(u16 vm, u8 vcpu, const struct walk *, const struct guest_paging *,
                enum walk_kind, enum walk_cause);

#endif
