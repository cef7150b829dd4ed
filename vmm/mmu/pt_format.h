/*
 * Page-table formats as data: one array of levels each, from the root down.
 * What walks them (descend.c) is the same code for all, and so is what builds the
 * nested ones (nested.c). NPT's is in npt.c, EPT's in ept.c.
 *
 * It reads no memory and judges no access. Sources: AMD64 Manual vol. 2
 * (24593), 5.2 (32-bit and PAE), 5.3 (long mode), 15.25.5 (nested).
 */
#ifndef VMM_MMU_PT_FORMAT_H
#define VMM_MMU_PT_FORMAT_H

#include "kernel/trace.h"
#include "kernel/types.h"

#define PT_MAX_LEVELS 5

struct pt_level {
    u8 level;      /* 5 to 1 */
    u8 shift;      /* the lowest address bit that indexes it: log2 of its pages */
    u8 bits;       /* how many do */
    bool maps;     /* an entry with the large bit maps a page; level 1 always does */
    bool rights;   /* entries have W, U, A (a PAE page-directory pointer has none) */
    u64 zero;      /* bits that must be 0 in a present entry */
    u64 zero_page; /* those that must be 0 if it maps a page, */
    u64 zero_table; /* and those if it does not */
};

struct pt_format {
    const char *name;
    u8 levels;
    u8 width;          /* bytes of an entry */
    u8 canonical_bits; /* addresses are sign-extended from there; 0: they are not */
    bool ept;          /* a fault is an EPT violation or misconfiguration, no page fault */
    u64 root_mask;     /* the table's address in CR3 */
    /* What the bits of an entry are here; 0: there is none. One of the bits of
     * `present` makes it present; reading and executing may take a bit each. */
    u64 present, read, write, user, exec, no_exec, accessed, dirty, large;
    u64 (*entry)(hpa_t to, u8 level, bool is_page, u8 access); /* of nested tables: see below */
    /* A combination of bits that is not allowed; NULL: there is none. */
    bool (*malformed)(u64 entry, bool is_page);
    struct pt_level level[PT_MAX_LEVELS];
};

extern const struct pt_format pt_legacy32, pt_pae, pt_long4, pt_long5, pt_npt, pt_ept;

/* The format of this processor's nested tables (npt.c). NPT until set. */
extern const struct pt_format *pt_nested;

/* An entry of nested tables at that level: it maps the page at `to`, or leads to
 * the table there. access: ACCESS_WRITE, ACCESS_EXEC; reading is implied. A and D
 * are clear. */
u64 npt_entry(hpa_t to, u8 level, bool is_page, u8 access);
u64 ept_entry(hpa_t to, u8 level, bool is_page, u8 access);

/* Of this processor: entry bits from here to 51 must be 0. 40 until set; the
 * VMM takes it from CPUID 80000008h. */
extern u8 pt_phys_bits;

/* Can an address be one at all? */
static inline bool pt_canonical(const struct pt_format *f, u64 addr)
{
    u64 high = f->canonical_bits ? addr >> (f->canonical_bits - 1) : 0;

    return high == 0 || high == ~0ull >> (f->canonical_bits - 1);
}

/* The format of a paging mode; NULL for PAGING_OFF. */
const struct pt_format *pt_format_of(enum paging_mode);

static inline u32 pt_index(const struct pt_level *l, u64 addr)
{
    return (u32)(addr >> l->shift) & ((1u << l->bits) - 1);
}
static inline u64 pt_page_size(const struct pt_level *l)
{
    return 1ull << l->shift;
}
/* Bits low to high, both included. */
#define PT_BITS(low, high) ((~0ull >> (63 - (high))) & (~0ull << (low)))

bool pt_is_page(const struct pt_format *, const struct pt_level *, u64 entry, bool pse);
/* Where a present entry points: the next table, or its page's first byte. */
u64 pt_target(const struct pt_format *, const struct pt_level *, u64 entry, bool is_page);
/* The bits that must be 0 in this entry. */
u64 pt_reserved(const struct pt_format *, const struct pt_level *, bool is_page, bool nxe);

#endif
