/*
 * The page-table formats of the AMD64 architecture as tables, and what an
 * entry of one says. Bits are named as in the manual (walk.h).
 *
 * Not here: the 32-byte alignment of PAE's CR3 is all that is left of it being
 * a list of four; see descend.c on when that list is read.
 */
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"

/* Tables are to be read as tables. */
/* clang-format off */
#define LONG_BITS                                                                                  \
    .width = 8, .present = PTE_P, .write = PTE_W, .user = PTE_U, .no_exec = PTE_NX,                \
    .accessed = PTE_A, .dirty = PTE_D, .large = PTE_PS

/* Level 4 (and 5) has no large pages yet: PS must be 0 (5.3.3). */
#define LEVEL5 {5, 48, 9, false, true, PTE_PS, 0}
#define LEVEL4 {4, 39, 9, false, true, PTE_PS, 0}
#define LEVEL3 {3, 30, 9, true, true, 0, PT_BITS(13, 29)}
#define LEVEL2 {2, 21, 9, true, true, 0, PT_BITS(13, 20)}
#define LEVEL1 {1, 12, 9, true, true, 0, 0}

const struct pt_format pt_long4 = {
    .name = "4-level", LONG_BITS, .levels = 4, .root_mask = PTE_ADDR, .canonical_bits = 48,
    .level = {LEVEL4, LEVEL3, LEVEL2, LEVEL1},
};

const struct pt_format pt_long5 = {
    .name = "5-level", LONG_BITS, .levels = 5, .root_mask = PTE_ADDR, .canonical_bits = 57,
    .level = {LEVEL5, LEVEL4, LEVEL3, LEVEL2, LEVEL1},
};

/* 5.2.3: bits 62-52 must be 0; a directory pointer holds little more
 * than an address, and grants all rights. Bit 5 is let pass: QEMU sets it in
 * directory pointers as if it were A. */
const struct pt_format pt_pae = {
    .name = "PAE", LONG_BITS, .levels = 3, .root_mask = PT_BITS(5, 31),
    .level = {{3, 30, 2, false, false, PT_BITS(1, 2) | PT_BITS(6, 8) | PT_BITS(52, 63), 0},
              {2, 21, 9, true, true, PT_BITS(52, 62), PT_BITS(13, 20)},
              {1, 12, 9, true, true, PT_BITS(52, 62), 0}},
};

/* 5.2.2: large pages only with CR4.PSE. There is no NX. */
const struct pt_format pt_legacy32 = {
    .name = "32-bit", .levels = 2, .width = 4, .root_mask = PT_BITS(12, 31),
    .present = PTE_P, .write = PTE_W, .user = PTE_U, .accessed = PTE_A, .dirty = PTE_D,
    .large = PTE_PS,
    .level = {{2, 22, 10, true, true, .zero_page = PT_BITS(21, 21)}, {1, 12, 10, true, true}},
};

/* clang-format on */

u8 pt_phys_bits = 40;

const struct pt_format *pt_format_of(enum paging_mode mode)
{
    static const struct pt_format *const formats[] = {
        [PAGING_OFF] = NULL,        [PAGING_LEGACY32] = &pt_legacy32, [PAGING_PAE] = &pt_pae,
        [PAGING_LONG4] = &pt_long4, [PAGING_LONG5] = &pt_long5,
    };
    return formats[mode];
}

bool pt_is_page(const struct pt_format *f, const struct pt_level *l, u64 entry, bool pse)
{
    if (l->level == 1)
        return true;
    return l->maps && (entry & f->large) && (f->width == 8 || pse);
}

u64 pt_target(const struct pt_format *f, const struct pt_level *l, u64 entry, bool is_page)
{
    /* PSE-36, today 40 bits: a 4 MiB page's bits 20-13 are address 39-32. */
    if (f->width == 4 && is_page && l->level > 1)
        return (entry & PT_BITS(22, 31)) | (entry & PT_BITS(13, 20)) << 19;
    u64 base = entry & (f->width == 4 ? PT_BITS(12, 31) : PTE_ADDR);
    return is_page ? base & ~(pt_page_size(l) - 1) : base;
}

u64 pt_reserved(const struct pt_format *f, const struct pt_level *l, bool is_page, bool nxe)
{
    u64 bits = l->zero | (is_page ? l->zero_page : l->zero_table);

    if (f->width == 4)
        return bits;
    if (pt_phys_bits < 52)
        bits |= PT_BITS(pt_phys_bits, 51);
    return nxe ? bits : bits | f->no_exec;
}
