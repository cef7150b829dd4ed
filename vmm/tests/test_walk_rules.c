/*
 * What the bits of page-table entries allow: rights, reserved bits, canonical
 * addresses, and when A and D are set. The expected results are worked out here
 * anew, from the manual's text (AMD64 vol. 2, 5.2 to 5.6, 8.4.2).
 */
#include <string.h>
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host_tables.h"

enum { RW = PTE_P | PTE_W | PTE_U };
#define WP   (1ull << 16)
#define PG   (1ull << 31)
#define PSE  (1ull << 4)
#define PAE  (1ull << 5)
#define SMEP (1ull << 20)
#define SMAP (1ull << 21)
#define LMA  (1ull << 10)
#define NXE  (1ull << 11)
#define AC   (1ull << 18)

static struct guestmem mem;
static struct tables guest;
static struct walk w;

static u64 random_state = 1;
static u64 random_bits(void)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return random_state >> 24;
}

static void begin(enum table_kind kind, int levels)
{
    ram_begin(&mem);
    tables_guest(&guest, kind, levels);
}

/* The error code that the manual asks for; ~0: the access is allowed. */
static u64 want_error(const struct guest_paging *p, const u64 *entry, int levels, u8 access)
{
    bool write = access & ACCESS_WRITE, user = access & ACCESS_USER, exec = access & ACCESS_EXEC;
    bool w_ok = true, u_ok = true, x_ok = true;

    for (int i = 0; i < levels; i++) {
        w_ok = w_ok && (entry[i] & PTE_W);
        u_ok = u_ok && (entry[i] & PTE_U);
        x_ok = x_ok && !(entry[i] & PTE_NX);
    }
    bool ok = !(user && !u_ok) && !(write && !w_ok && (user || (p->cr0 & WP))) &&
              !(exec && (p->efer & NXE) && !x_ok) && !(exec && !user && u_ok && (p->cr4 & SMEP)) &&
              !(!exec && !user && u_ok && (p->cr4 & SMAP) && !(p->rflags & AC));
    bool i_bit = exec && ((p->efer & NXE) || (p->cr4 & SMEP));
    return ok ? ~0ull : PF_P | (write ? PF_W : 0) | (user ? PF_U : 0) | (i_bit ? PF_I : 0);
}

/* Random rights in every level, random control bits, every kind of access. */
static void test_rights(void)
{
    u64 at = 0x7fff12345000, entry[4];
    u32 allowed = 0, denied = 0;

    begin(TABLE_LONG, 4);
    tables_map(&guest, at, 0x1234000, 1, RW);
    for (int round = 0; round < 40000; round++) {
        u64 r = random_bits();
        struct guest_paging p = {PG | (r & 1 ? WP : 0), 1 << 20,
                                 PAE | (r & 2 ? SMEP : 0) | (r & 4 ? SMAP : 0),
                                 LMA | (r & 8 ? NXE : 0), r & 16 ? AC : 0};
        u8 access = r >> 5 & 7;
        for (int level = 4; level >= 1; level--) {
            u64 pick = random_bits(), e = tables_read(&guest, at, level) & ~(RW | PTE_NX);
            e |= PTE_P | (pick & 7 ? PTE_W : 0) | (pick & 0x38 ? PTE_U : 0);
            e |= !(pick & 0x1c0) && (p.efer & NXE) ? PTE_NX : 0;
            tables_write(&guest, at, level, e);
            entry[4 - level] = e;
        }
        check_about("round %d", round);
        u64 error = want_error(&p, entry, 4, access);
        enum walk_fault fault = walk_guest(&mem, &p, gva(at), access, false, &w);
        if (!CHECK_EQ(fault ? w.error : ~0ull, error))
            return;
        CHECK_EQ(fault, w.fault);
        CHECK_EQ(w.refs, 4);
        allowed += !fault;
        denied += !!fault;
    }
    check_about("both outcomes are tried");
    CHECK(allowed > 1000 && denied > 1000);
}

/* Which level is named, and for what. */
static void test_named_level(void)
{
    static const struct {
        u64 clear, set;
        u8 access;
        enum walk_fault fault;
    } cases[] = {
        {PTE_P, 0, 0, FAULT_NOT_PRESENT},    {PTE_W, 0, ACCESS_WRITE, FAULT_WRITE},
        {PTE_U, 0, ACCESS_USER, FAULT_USER}, {0, PTE_NX, ACCESS_EXEC, FAULT_EXECUTE},
        {0, 1ull << 51, 0, FAULT_RESERVED},
    };
    struct guest_paging p = {PG | WP, 1 << 20, PAE, LMA | NXE, 0};
    u64 at = 0x7fff12345000;

    begin(TABLE_LONG, 4);
    tables_map(&guest, at, 0x1234000, 1, RW);
    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int level = 4; level >= 1; level--) {
            check_about("fault %d at level %d", (int)cases[i].fault, level);
            u64 good = tables_read(&guest, at, level);
            tables_write(&guest, at, level, (good & ~cases[i].clear) | cases[i].set);
            CHECK_EQ(walk_guest(&mem, &p, gva(at), cases[i].access, true, &w), cases[i].fault);
            CHECK_EQ(w.fault_level, level);
            CHECK_EQ(w.fault_dim, DIM_GUEST);
            CHECK_EQ(w.gpa_refs, 0);
            tables_write(&guest, at, level, good);
            CHECK_EQ(walk_guest(&mem, &p, gva(at), cases[i].access, false, &w), FAULT_NONE);
        }
    }
    check_about("the highest level that denies it");
    tables_write(&guest, at, 3, tables_read(&guest, at, 3) & ~(PTE_W | PTE_U));
    tables_write(&guest, at, 2, tables_read(&guest, at, 2) & ~(PTE_W | PTE_U));
    walk_guest(&mem, &p, gva(at), ACCESS_WRITE, false, &w);
    CHECK_EQ(w.fault_level, 3);
    walk_guest(&mem, &p, gva(at), ACCESS_USER, false, &w);
    CHECK_EQ(w.fault_level, 3);
}

#define BITS(low, high) ((~0ull >> (63 - (high))) & (~0ull << (low)))
#define ABOVE40         BITS(40, 51)

/* Each bit of each entry alone: reserved exactly where the manual says MBZ. */
static void check_reserved(const struct guest_paging *p, u64 at, int level, u64 reserved)
{
    u64 good = tables_read(&guest, at, level);
    int width = guest.kind == TABLE_LEGACY32 ? 32 : 64;

    for (int bit = 1; bit < width; bit++) {
        u64 bad = good | 1ull << bit;
        if (bit == 7 && level > 1)
            continue; /* turns a table into a page: another kind of entry */
        if (bad == good && !(reserved >> bit & 1))
            continue;
        check_about("%s level %d bit %d", pt_format_of(paging_mode(p))->name, level, bit);
        tables_write(&guest, at, level, bad);
        walk_guest(&mem, p, gva(at), 0, false, &w);
        CHECK_EQ(w.fault == FAULT_RESERVED && w.fault_level == level, reserved >> bit & 1);
        if (w.fault == FAULT_RESERVED)
            CHECK_EQ(w.error, PF_P | PF_RSVD);
        tables_write(&guest, at, level, good);
    }
}

static void test_reserved_long(void)
{
    struct guest_paging p = {PG | WP, 1 << 20, PAE, LMA, 0};
    u64 at = 0x7fff12345000;

    for (int nxe = 0; nxe < 2; nxe++) {
        u64 nx = nxe ? 0 : PTE_NX;
        p.efer = LMA | (nxe ? NXE : 0);
        for (int leaf = 1; leaf <= 3; leaf++) {
            begin(TABLE_LONG, 4);
            tables_map(&guest, at & ~(tables_page_size(&guest, leaf) - 1), 0, leaf, RW);
            for (int level = 4; level > leaf; level--)
                check_reserved(&p, at, level, ABOVE40 | nx);
            u64 low = leaf == 3 ? BITS(13, 29) : leaf == 2 ? BITS(13, 20) : 0;
            check_reserved(&p, at, leaf, ABOVE40 | nx | low);
        }
    }
    /* PS at level 4 is reserved: it does not make a page. */
    tables_write(&guest, at, 4, tables_read(&guest, at, 4) | PTE_PS);
    CHECK_EQ(walk_guest(&mem, &p, gva(at), ACCESS_WRITE, false, &w), FAULT_RESERVED);
    CHECK_EQ(w.error, PF_P | PF_RSVD | PF_W);
    CHECK_EQ(w.fault_level, 4);
}

static void test_reserved_pae(void)
{
    struct guest_paging p = {PG | WP, 1 << 20, PAE, NXE, 0};
    u64 at = 0xc0200000;

    begin(TABLE_PAE, 3);
    tables_map(&guest, at, 0x200000, 1, RW);
    /* Bit 5, too, says the manual; but QEMU sets it there as if it were A. */
    check_reserved(&p, at, 3, BITS(1, 2) | BITS(6, 8) | ABOVE40 | BITS(52, 63));
    check_reserved(&p, at, 2, ABOVE40 | BITS(52, 62));
    check_reserved(&p, at, 1, ABOVE40 | BITS(52, 62));
    tables_map(&guest, at, 0x200000, 2, RW);
    check_reserved(&p, at, 2, ABOVE40 | BITS(52, 62) | BITS(13, 20));
    p.efer = 0;
    check_reserved(&p, at, 2, ABOVE40 | BITS(52, 63) | BITS(13, 20));
    /* PS in a directory pointer: reserved, too. */
    tables_write(&guest, at, 3, tables_read(&guest, at, 3) | PTE_PS);
    CHECK_EQ(walk_guest(&mem, &p, gva(at), 0, false, &w), FAULT_RESERVED);
    /* Directory pointers grant all rights. */
    begin(TABLE_PAE, 3);
    tables_map(&guest, at, 0x200000, 1, RW);
    CHECK_EQ(tables_read(&guest, at, 3) & (PTE_W | PTE_U), 0);
    CHECK_EQ(walk_guest(&mem, &p, gva(at), ACCESS_WRITE | ACCESS_USER, false, &w), FAULT_NONE);
}

static void test_reserved_legacy(void)
{
    struct guest_paging p = {PG | WP, 1 << 20, PSE, NXE, 0};
    u64 at = 0xc0400000;

    begin(TABLE_LEGACY32, 2);
    tables_map(&guest, at, 0x400000, 1, RW);
    check_reserved(&p, at, 2, 0);
    check_reserved(&p, at, 1, 0);
    tables_map(&guest, at, 0x400000, 2, RW);
    check_reserved(&p, at, 2, BITS(21, 21));
    /* There is no NX here, so the error code has no I. */
    tables_write(&guest, at, 2, 0);
    CHECK_EQ(walk_guest(&mem, &p, gva(at), ACCESS_EXEC, false, &w), FAULT_NOT_PRESENT);
    CHECK_EQ(w.error, 0);
    p.cr4 |= SMEP;
    walk_guest(&mem, &p, gva(at), ACCESS_EXEC, false, &w);
    CHECK_EQ(w.error, PF_I);
}

/* PSE-36 (40 bits today): bits 20-13 of a 4 MiB page are address bits 39-32. */
static void test_pse(void)
{
    struct guest_paging p = {PG, 1 << 20, PSE, 0, 0};
    u64 at = 0xc0400000;

    check_about("PSE");
    begin(TABLE_LEGACY32, 2);
    tables_map(&guest, at, 0x12400000 | 0xa5ull << 13, 2, RW);
    CHECK_EQ(walk_guest(&mem, &p, gva(at + 0x54321), 0, false, &w), FAULT_NONE);
    CHECK_EQ(w.gpa.v, 0xa512454321ull);
    CHECK_EQ(w.ref[0].size, 4 << 20);
    /* Without CR4.PSE the bit says nothing, and the entry is a table's. */
    tables_write(&guest, at, 2, 0x300000 | RW | PTE_PS);
    *(u32 *)(RAM_HPA + 0x300000) = 0x55000 | RW;
    p.cr4 = 0;
    CHECK_EQ(walk_guest(&mem, &p, gva(at + 0x321), 0, false, &w), FAULT_NONE);
    CHECK_EQ(w.gpa.v, 0x55321);
    CHECK_EQ(w.refs, 2);
}

static void test_canonical(void)
{
    static const struct {
        u64 at;
        bool ok;
    } cases[] = {{0, true},
                 {0x7fffffffffff, true},
                 {0x800000000000, false},
                 {0xffff7fffffffffff, false},
                 {0xffff800000000000, true},
                 {~0ull, true},
                 {0x1000000000000, false},
                 {0xfffe800000000000, false}};
    struct guest_paging p = {PG, 1 << 20, PAE, LMA, 0};

    begin(TABLE_LONG, 4);
    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        check_about("address 0x%llx", (unsigned long long)cases[i].at);
        enum walk_fault want = cases[i].ok ? FAULT_NOT_PRESENT : FAULT_NON_CANONICAL;
        CHECK_EQ(walk_guest(&mem, &p, gva(cases[i].at), ACCESS_WRITE, false, &w), want);
        CHECK_EQ(w.error, cases[i].ok ? PF_W : 0);
        CHECK_EQ(w.refs, cases[i].ok);
    }
    check_about("5 levels");
    p.cr4 |= 1 << 12;
    CHECK_EQ(walk_guest(&mem, &p, gva(0xfe800000000000), 0, false, &w), FAULT_NOT_PRESENT);
    CHECK_EQ(walk_guest(&mem, &p, gva(0x100000000000000), 0, false, &w), FAULT_NON_CANONICAL);
}

static u64 ad(u64 at, int level)
{
    return tables_read(&guest, at, level) & (PTE_A | PTE_D);
}

/* A in every level as it is passed; A and D in the leaf once all is granted. */
static void test_accessed_dirty(enum table_kind kind, int levels, const struct guest_paging *p)
{
    u64 at = 0x12345000;

    check_about("A and D, %s", pt_format_of(paging_mode(p))->name);
    begin(kind, levels);
    tables_map(&guest, at, 0x1234000, 1, PTE_P | PTE_U);
    tables_map(&guest, at + PAGE_SIZE, 0, 1, 0);
    int top = kind == TABLE_PAE ? 2 : levels; /* directory pointers have no A */
    walk_guest(&mem, p, gva(at), 0, false, &w);
    for (int level = levels; level >= 1; level--)
        CHECK_EQ(ad(at, level), 0);

    CHECK_EQ(walk_guest(&mem, p, gva(at), ACCESS_WRITE, true, &w), FAULT_WRITE);
    for (int level = top; level > 1; level--)
        CHECK_EQ(ad(at, level), PTE_A);
    CHECK_EQ(ad(at, 1), 0);

    CHECK_EQ(walk_guest(&mem, p, gva(at), 0, true, &w), FAULT_NONE);
    CHECK_EQ(ad(at, 1), PTE_A);
    CHECK_EQ(w.ref[w.refs - 1].before & PTE_A, 0);
    CHECK_EQ(w.ref[w.refs - 1].after, w.ref[w.refs - 1].before | PTE_A);

    tables_write(&guest, at, 1, tables_read(&guest, at, 1) | PTE_W);
    CHECK_EQ(walk_guest(&mem, p, gva(at), ACCESS_WRITE, true, &w), FAULT_NONE);
    CHECK_EQ(ad(at, 1), PTE_A | PTE_D);
    for (int level = top; level > 1; level--)
        CHECK_EQ(ad(at, level), PTE_A);
    if (kind == TABLE_PAE)
        CHECK_EQ(ad(at, 3), 0);
    CHECK_EQ(tables_read(&guest, at + PAGE_SIZE, 1), 0); /* its neighbour is untouched */
}

/* A walk of both dimensions is an observer: it sets nothing. */
static void test_observer(void)
{
    static u8 copy[RAM_SIZE];
    struct guest_paging p = {PG, 1 << 20, PAE, LMA, 0};
    struct tables nested;

    check_about("observer");
    begin(TABLE_LONG, 4);
    tables_map(&guest, 0x12345000, 0x1234000, 1, RW);
    tables_nested(&nested);
    for (u64 a = 0; a < GUEST_SIZE; a += PAGE_SIZE)
        tables_map(&nested, a, RAM_HPA + a, 1, RW);
    memcpy(copy, (void *)RAM_HPA, RAM_SIZE);
    CHECK_EQ(walk_2d(hpa(nested.root), &p, gva(0x12345000), ACCESS_WRITE, &w), FAULT_NONE);
    CHECK_MEM((void *)RAM_HPA, copy, RAM_SIZE);
}

int main(void)
{
    test_rights();
    test_named_level();
    test_reserved_long();
    test_reserved_pae();
    test_reserved_legacy();
    test_pse();
    test_canonical();
    test_accessed_dirty(TABLE_LONG, 4, &(struct guest_paging){PG | WP, 1 << 20, PAE, LMA, 0});
    test_accessed_dirty(TABLE_PAE, 3, &(struct guest_paging){PG | WP, 1 << 20, PAE, 0, 0});
    test_accessed_dirty(TABLE_LEGACY32, 2, &(struct guest_paging){PG | WP, 1 << 20, 0, 0, 0});
    test_observer();
    return check_done("walk_rules");
}
