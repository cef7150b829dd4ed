/*
 * Walks of one and two dimensions: how many references, which, and in which
 * order. What an entry's bits allow is test_walk_rules.c's.
 */
#include <string.h>
#include "vmm/cpubits.h"
#include "vmm/hv.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"
#include "vmm/tests/host_tables.h"

enum { RW = PTE_P | PTE_W | PTE_U };
#define LMA  (1ull << 10)
#define LA57 (1ull << 12)

static struct guestmem mem;
static struct tables guest, nested;
static struct walk w;

static const struct guest_paging off, long_mode = {CR0_PG, 1 << 20, CR4_PAE, LMA, 0};
static const struct guest_paging five = {CR0_PG, 1 << 20, CR4_PAE | LA57, LMA, 0};
static const struct guest_paging pae = {CR0_PG, 1 << 20, CR4_PAE, 0, 0};
static const struct guest_paging legacy = {CR0_PG, 1 << 20, CR4_PSE, 0, 0};

/* All of the guest's memory through nested pages of one level. */
static void nest(int leaf)
{
    u64 size;

    tables_nested(&nested);
    size = tables_page_size(&nested, leaf);
    for (u64 a = 0; a < GUEST_SIZE; a += size)
        tables_map(&nested, a, RAM_HPA + a, leaf, RW);
}

static void begin(enum table_kind kind, int levels, int nested_leaf)
{
    ram_begin(&mem);
    tables_guest(&guest, kind, levels);
    nest(nested_leaf);
}

/* One reference against the tables it must have read. */
static u32 check_ref(u32 n, const struct tables *t, int dim, int level, int serves, u64 addr,
                     bool is_page)
{
    const struct walk_ref *r = &w.ref[n];
    u64 width = t->kind == TABLE_LEGACY32 ? 4 : 8;
    u64 at = tables_entry_addr(t, addr, level) + t->to_host;

    CHECK_EQ(r->n, n + 1);
    CHECK_EQ(r->dim, dim);
    CHECK_EQ(r->level, level);
    CHECK_EQ(r->serves, serves);
    CHECK_EQ(r->addr, addr);
    CHECK_EQ(r->index, tables_index(t, addr, level));
    CHECK_EQ(r->table.v + r->index * width, at);
    CHECK_EQ(r->table.v % (level == 3 && t->kind == TABLE_PAE ? 32 : PAGE_SIZE), 0);
    CHECK_EQ(r->before, tables_read(t, addr, level));
    CHECK_EQ(r->after, r->before);
    CHECK_EQ(r->size, is_page ? tables_page_size(t, level) : 0);
    return n + 1;
}

static u32 check_nested(u32 n, int leaf, int serves, u64 addr)
{
    for (int level = 4; level >= leaf; level--)
        n = check_ref(n, &nested, DIM_NESTED, level, serves, addr, level == leaf);
    return n;
}

/* Walk, and hold every reference against the order that the manual gives. */
static void check_order(const struct guest_paging *paging, u64 at, int guest_leaf, int nested_leaf,
                        u64 want_gpa)
{
    u32 n = 0;

    CHECK_EQ(walk_2d(hpa(nested.root), paging, gva(at), 0, &w), FAULT_NONE);
    for (int level = guest.levels; level >= guest_leaf; level--) {
        n = check_nested(n, nested_leaf, level, tables_entry_addr(&guest, at, level));
        n = check_ref(n, &guest, DIM_GUEST, level, 0, at, level == guest_leaf);
    }
    CHECK_EQ(w.gpa_refs, n);
    n = check_nested(n, nested_leaf, 0, want_gpa);
    CHECK_EQ(w.refs, n);
    CHECK_EQ(w.gpa.v, want_gpa);
    CHECK_EQ(w.hpa.v, RAM_HPA + want_gpa);
    CHECK_EQ(w.nroot.v, nested.root);
    CHECK_EQ(w.guest_size, tables_page_size(&guest, guest_leaf));
    CHECK_EQ(w.nested_size, tables_page_size(&nested, nested_leaf));
}

/* The table of every textbook: 24 for 4K on 4K, 8 for 1G on 1G. */
static void test_nine_pairs(void)
{
    static const u8 total[3][3] = {{24, 19, 14}, {19, 15, 11}, {14, 11, 8}};
    static const u8 known[3][3] = {{20, 16, 12}, {15, 12, 9}, {10, 8, 6}};
    u64 at = 0xffff912345678000ull;

    for (int g = 1; g <= 3; g++) {
        for (int n = 1; n <= 3; n++) {
            check_about("guest pages of level %d on nested of level %d", g, n);
            begin(TABLE_LONG, 4, n);
            u64 size = tables_page_size(&guest, g), inside = 0x1a5678 & (size - 1);
            u64 base = g == 3 ? 0 : g == 2 ? 0x1000000 : 0x1234000;
            at = (at & ~(size - 1)) | inside;
            tables_map(&guest, at, base, g, RW);
            check_order(&long_mode, at, g, n, base + inside);
            CHECK_EQ(w.refs, total[g - 1][n - 1]);
            CHECK_EQ(w.gpa_refs, known[g - 1][n - 1]);
            CHECK_EQ(w.mode, PAGING_LONG4);
        }
    }
}

static void test_other_modes(void)
{
    check_about("5 levels");
    begin(TABLE_LONG, 5, 1);
    tables_map(&guest, 0xff12345678901000ull, 0x5000, 1, RW);
    check_order(&five, 0xff12345678901abcull, 1, 1, 0x5abc);
    CHECK_EQ(w.refs, 29);

    check_about("PAE");
    begin(TABLE_PAE, 3, 1);
    guest.root += 0x20 * 5; /* the list of four may lie anywhere in its page */
    struct guest_paging list = pae;
    list.cr3 = guest.root | 0x1f;
    tables_map(&guest, 0xc0201000, 0x7000, 1, RW);
    check_order(&list, 0xc0201fff, 1, 1, 0x7fff);
    CHECK_EQ(w.refs, 19);
    tables_map(&guest, 0x40200000, 0x600000, 2, RW);
    check_order(&list, 0x40212345, 2, 1, 0x612345);
    CHECK_EQ(w.refs, 14);

    check_about("32-bit");
    begin(TABLE_LEGACY32, 2, 1);
    tables_map(&guest, 0xc0001000, 0x9000, 1, RW);
    check_order(&legacy, 0xc0001004, 1, 1, 0x9004);
    CHECK_EQ(w.refs, 14);
    tables_map(&guest, 0x80400000, 0x800000, 2, RW);
    check_order(&legacy, 0x80512345, 2, 1, 0x912345);
    CHECK_EQ(w.refs, 9);
}

static void test_paging_off(void)
{
    check_about("paging off");
    begin(TABLE_LONG, 4, 1);
    CHECK_EQ(walk_2d(hpa(nested.root), &off, gva(0x123456), 0, &w), FAULT_NONE);
    CHECK_EQ(w.gpa.v, 0x123456);
    CHECK_EQ(w.hpa.v, RAM_HPA + 0x123456);
    CHECK_EQ(w.gpa_refs, 0);
    CHECK_EQ(w.refs, 4);
    CHECK_EQ(check_nested(0, 1, 0, 0x123456), 4);
    CHECK_EQ(walk_guest(&mem, &off, gva(0x123456), 0, false, &w), FAULT_NONE);
    CHECK_EQ(w.refs, 0);
    CHECK_EQ(w.gpa.v, 0x123456);
}

static void test_modes_by_registers(void)
{
    struct guest_paging p = {0, 0, CR4_PAE | CR4_PSE | LA57, LMA, 0};

    check_about("mode");
    CHECK_EQ(paging_mode(&p), PAGING_OFF);
    p.cr0 = CR0_PG;
    CHECK_EQ(paging_mode(&p), PAGING_LONG5);
    p.cr4 = CR4_PAE;
    CHECK_EQ(paging_mode(&p), PAGING_LONG4);
    p.efer = 0x100; /* LME alone */
    CHECK_EQ(paging_mode(&p), PAGING_PAE);
    p.cr4 = CR4_PSE;
    CHECK_EQ(paging_mode(&p), PAGING_LEGACY32);
}

/* Bits above 31 are none of a 32-bit linear address. */
static void test_narrow_addresses(void)
{
    check_about("narrow");
    begin(TABLE_PAE, 3, 1);
    tables_map(&guest, 0xc0201000, 0x7000, 1, RW);
    CHECK_EQ(walk_guest(&mem, &pae, gva(0x5c0201010), 0, false, &w), FAULT_NONE);
    CHECK_EQ(w.gva.v, 0xc0201010);
    CHECK_EQ(w.gpa.v, 0x7010);
    CHECK_EQ(w.ref[0].addr, 0xc0201010);
}

/* walk_guest finds tables by the slots: the same guest references, no others. */
static void test_one_dimension(void)
{
    check_about("one dimension");
    begin(TABLE_LONG, 4, 1);
    tables_map(&guest, 0x7fff12345000, 0x1234000, 1, RW);
    CHECK_EQ(walk_guest(&mem, &long_mode, gva(0x7fff12345678), 0, false, &w), FAULT_NONE);
    CHECK_EQ(w.refs, 4);
    CHECK_EQ(w.gpa_refs, 4);
    for (int level = 4; level >= 1; level--)
        check_ref(4 - level, &guest, DIM_GUEST, level, 0, 0x7fff12345678, level == 1);
    CHECK_EQ(w.gpa.v, 0x1234678);
    CHECK_EQ(w.nroot.v, 0);
}

/* Two walks in one struct: the second begins anew. */
static void test_nested_appends(void)
{
    check_about("nested");
    begin(TABLE_LONG, 4, 2);
    memset(&w, 0xee, sizeof(w));
    walk_init(&w, PAGING_OFF, gva(1), ACCESS_WRITE);
    CHECK_EQ(walk_nested(hpa(nested.root), gpa(0x212345), 0, 0, &w), FAULT_NONE);
    CHECK_EQ(w.hpa.v, RAM_HPA + 0x212345);
    CHECK_EQ(w.refs, 3);
    CHECK_EQ(w.fault, FAULT_NONE);
    CHECK_EQ(w.nested_size, 2 << 20);
    CHECK_EQ(walk_nested(hpa(nested.root), gpa(0x212345), 0, 3, &w), FAULT_NONE);
    CHECK_EQ(w.refs, 6);
    CHECK_EQ(w.ref[5].serves, 3);
    CHECK_EQ(walk_nested(hpa(nested.root), gpa(1ull << 48), 0, 0, &w), FAULT_NOT_PRESENT);
    CHECK_EQ(w.refs, 6);
    CHECK_EQ(w.fault_level, 4);
    CHECK_EQ(w.error, PF_U | NPF_FINAL);
}

/* Where a nested mapping is missing: for a guest table, or at the end. */
static void test_nested_faults(void)
{
    u64 at = 0x7fff12345000;

    for (int level = 4; level >= 0; level--) {
        check_about("nested fault while looking for level %d", level);
        begin(TABLE_LONG, 4, 1);
        tables_map(&guest, at, 0x1234000, 1, RW);
        u64 missing = level ? tables_entry_addr(&guest, at, level) : 0x1234000;
        /* Tables are a page apart, so only this walk's step is hit. */
        tables_write(&nested, missing, 1, 0);
        CHECK_EQ(walk_2d(hpa(nested.root), &long_mode, gva(at), 0, &w), FAULT_NOT_PRESENT);
        CHECK_EQ(w.fault_dim, DIM_NESTED);
        CHECK_EQ(w.fault_level, 1);
        CHECK_EQ(w.refs, 5 * (4 - level) + 4);
        CHECK_EQ(w.ref[w.refs - 1].serves, level);
        CHECK_EQ(w.ref[w.refs - 1].size, 0);
        CHECK_EQ(w.error, PF_U | (level ? NPF_IN_WALK | PF_W : NPF_FINAL));
        CHECK_EQ(w.gpa_refs, level ? 0 : 20);
        CHECK_EQ(w.hpa.v, 0);
    }
}

/* Looking for a guest table counts as a write, whatever the access is. */
static void test_read_only_table(void)
{
    u64 at = 0x7fff12345000;

    check_about("read-only table");
    begin(TABLE_LONG, 4, 1);
    tables_map(&guest, at, 0x1234000, 1, RW);
    u64 table = tables_entry_addr(&guest, at, 2), entry = tables_read(&nested, table, 1);
    tables_write(&nested, table, 1, entry & ~PTE_W);
    CHECK_EQ(walk_2d(hpa(nested.root), &long_mode, gva(at), 0, &w), FAULT_WRITE);
    CHECK_EQ(w.fault_dim, DIM_NESTED);
    CHECK_EQ(w.error, PF_P | PF_W | PF_U | NPF_IN_WALK);
    /* The data page itself may well be read-only. */
    tables_write(&nested, table, 1, entry);
    tables_write(&nested, 0x1234000, 1, tables_read(&nested, 0x1234000, 1) & ~PTE_W);
    CHECK_EQ(walk_2d(hpa(nested.root), &long_mode, gva(at), 0, &w), FAULT_NONE);
    CHECK_EQ(walk_2d(hpa(nested.root), &long_mode, gva(at), ACCESS_WRITE, &w), FAULT_WRITE);
    CHECK_EQ(w.error, PF_P | PF_W | PF_U | NPF_FINAL);
}

/* A table that is nowhere: a slot's end for one dimension, no mapping for two. */
static void test_tables_outside(void)
{
    struct guest_paging p = long_mode;

    check_about("tables outside memory");
    begin(TABLE_LONG, 4, 1);
    p.cr3 = GUEST_SIZE;
    CHECK_EQ(walk_guest(&mem, &p, gva(0x1000), ACCESS_WRITE, true, &w), FAULT_NO_MEMORY);
    CHECK_EQ(w.fault_dim, DIM_GUEST);
    CHECK_EQ(w.fault_level, 4);
    CHECK_EQ(w.refs, 0);
    CHECK_EQ(walk_2d(hpa(nested.root), &p, gva(0x1000), 0, &w), FAULT_NOT_PRESENT);
    CHECK_EQ(w.fault_dim, DIM_NESTED);
    tables_map(&guest, 0x1000, 0x2000, 1, RW);
    tables_write(&guest, 0x1000, 3, GUEST_SIZE | RW);
    CHECK_EQ(walk_guest(&mem, &long_mode, gva(0x1000), 0, false, &w), FAULT_NO_MEMORY);
    CHECK_EQ(w.fault_level, 2);
    CHECK_EQ(w.refs, 2);
}

static void test_trace(void)
{
    struct guest_paging p = long_mode;
    const struct trace_record *r;

    check_about("trace");
    begin(TABLE_LONG, 4, 1);
    tables_map(&guest, 0x7fff12345000, 0x1234000, 1, RW);
    p.cr3 |= 0x18; /* PWT, PCD */
    walk_2d(hpa(nested.root), &p, gva(0x7fff12345678), ACCESS_USER, &w);
    host_trace_start();
    walk_trace(3, 1, &w, &p, WALK_NESTED, CAUSE_REQUEST);
    r = host_trace_find(EVENT_walk_begin, NULL);
    const struct trace_walk_begin *b = (const void *)r->payload;
    CHECK_EQ(host_record_vm(r), 3);
    CHECK_EQ(b->gva, 0x7fff12345678);
    CHECK_EQ(b->access, ACCESS_USER);
    CHECK_EQ(b->groot, 1 << 20);
    CHECK_EQ(b->nroot, nested.root);
    CHECK_EQ(b->mode, PAGING_LONG4);
    r = NULL;
    for (u32 i = 0; i < 24; i++) {
        r = host_trace_find(EVENT_walk_ref, r);
        const struct trace_walk_ref *ref = (const void *)r->payload;
        CHECK_EQ(ref->n, i + 1);
        CHECK_EQ(ref->table, w.ref[i].table.v);
        CHECK_EQ(ref->before, w.ref[i].before);
        CHECK_EQ(ref->serves, w.ref[i].serves);
    }
    CHECK(host_trace_find(EVENT_walk_ref, r) == NULL);
    const struct trace_walk_end *e = (const void *)host_trace_find(EVENT_walk_end, NULL)->payload;
    CHECK_EQ(e->gpa, 0x1234678);
    CHECK_EQ(e->hpa, RAM_HPA + 0x1234678);
    CHECK_EQ(e->gpa_refs, 20);
    CHECK_EQ(e->refs, 24);
}

int main(void)
{
    test_nine_pairs();
    test_other_modes();
    test_paging_off();
    test_modes_by_registers();
    test_narrow_addresses();
    test_one_dimension();
    test_nested_appends();
    test_nested_faults();
    test_read_only_table();
    test_tables_outside();
    test_trace();
    return check_done("walk");
}
