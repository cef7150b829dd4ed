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

/* How the guest's own paging is set: its control registers as it sees them. */
struct guest_paging {
    u64 cr0, cr3, cr4, efer;
};
enum paging_mode paging_mode(const struct guest_paging *);

struct walk_ref {
    u8 n;            /* from 1 */
    u8 dim;          /* enum walk_dim */
    u8 level;        /* 4 to 1 */
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
    u32 error;       /* page-fault error code, or the nested fault's */
    gpa_t gpa;       /* valid when the guest dimension succeeded */
    hpa_t hpa;       /* valid when fault is FAULT_NONE */
    u64 guest_size, nested_size; /* page sizes, 0 if unpaged or not known */
};

/* gVA -> gPA through the guest's tables only, each table found by its memory
 * slot. On a fault fault_dim is DIM_GUEST and error the #PF code; a table
 * outside memory gives FAULT_NO_MEMORY. set_ad: write A and D back. */
enum walk_fault walk_guest(const struct guestmem *, const struct guest_paging *, gva_t, u8 access,
                           bool set_ad, struct walk *);

/* gPA -> hPA through a nested table (NPT format, 4 levels). */
enum walk_fault walk_nested(hpa_t root, gpa_t, u8 access, u8 serves, struct walk *);

/* Both composed: what the processor does at a TLB miss of a guest with nested
 * paging. Guest tables are read at the hPA that the nested walk gives. */
enum walk_fault walk_2d(hpa_t nroot, const struct guest_paging *, gva_t, u8 access, struct walk *);

/* Write the walk to the trace: begin, one record a reference, end. */
void walk_trace(u16 vm, u8 vcpu, const struct walk *, const struct guest_paging *,
                enum walk_kind, enum walk_cause);

/* The reason in words, for messages. */
const char *walk_fault_words(enum walk_fault);

#endif
