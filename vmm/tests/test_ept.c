/*
 * ept.c: what nested.c builds in EPT's format, entry by entry, and what a walk makes
 * of entries of all kinds. Intel SDM vol. 3C, 28.2.2, tables 28-1 to 28-6.
 */
#include <string.h>
#include "kernel/frame.h"
#include "vmm/hv.h"
#include "vmm/mmu/nested.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"
#include "vmm/tests/check.h"

#define VM 3
#define R 1ull
#define W 2ull
#define X 4ull
#define WB (6ull << 3)

static struct nested nested;
static struct walk w;

static enum walk_fault walk_to(u64 at, u8 access)
{
    walk_init(&w, PAGING_OFF, gva(at), access);
    return walk_nested(nested.root, gpa(at), access, 0, &w);
}

static u64 *entry_of(u8 level)
{
    struct walk_ref *r = &w.ref[4 - level];
    return (u64 *)hpa_ptr(r->table) + r->index;
}

static void test_map(void)
{
    check_about("map");
    CHECK_EQ(nested_init(&nested, VM), 0);
    CHECK_EQ(nested_map(&nested, gpa(0x8040201000), hpa(0x5000), ACCESS_WRITE | ACCESS_EXEC), 0);
    CHECK_EQ(walk_to(0x8040201000 + 0x123, 0), FAULT_NONE);
    CHECK_EQ(w.hpa.v, 0x5123);
    CHECK_EQ(w.refs, 4);
    for (u8 level = 4; level > 1; level--)
        CHECK_EQ(*entry_of(level) & PAGE_MASK, R | W | X);
    CHECK_EQ(*entry_of(1), 0x5000 | R | W | X | WB);
}

static void test_rights(void)
{
    static const struct {
        u8 access;
        u64 bits;
    } kinds[] = {{0, R}, {ACCESS_WRITE, R | W}, {ACCESS_EXEC, R | X},
                 {ACCESS_WRITE | ACCESS_EXEC, R | W | X}};

    for (u32 i = 0; i < ARRAY_SIZE(kinds); i++) {
        u8 access = kinds[i].access;
        check_about("access %u", access);
        nested_map(&nested, gpa(0x3000), hpa(0x7000), access);
        CHECK_EQ(walk_to(0x3000, 0), FAULT_NONE);
        CHECK_EQ(*entry_of(1), 0x7000 | kinds[i].bits | WB);
        CHECK_EQ(walk_to(0x3000, ACCESS_WRITE), access & ACCESS_WRITE ? FAULT_NONE : FAULT_WRITE);
        CHECK_EQ(walk_to(0x3000, ACCESS_EXEC), access & ACCESS_EXEC ? FAULT_NONE : FAULT_EXECUTE);
        CHECK(nested_protect(&nested, gpa(0x3000), access));
        CHECK_EQ(*entry_of(1), 0x7000 | kinds[i].bits | WB);
    }
    *entry_of(1) |= 1ull << 8 | 1ull << 9; /* A and D, as the processor does */
    CHECK(nested_protect(&nested, gpa(0x3000), 0));
    CHECK_EQ(*entry_of(1), 0x7000 | R | WB | 1ull << 8 | 1ull << 9);
}

/* An entry of a level, and what a reading, a writing, a fetching walk ends in. */
static const struct {
    u8 level;
    u64 entry;
    enum walk_fault read, write, exec;
} entries[] = {
    {1, 0, FAULT_NOT_PRESENT, FAULT_NOT_PRESENT, FAULT_NOT_PRESENT},
    {1, 0x9000 | WB, FAULT_NOT_PRESENT, FAULT_NOT_PRESENT, FAULT_NOT_PRESENT},
    {1, 0x9000 | X | WB, FAULT_READ, FAULT_WRITE, FAULT_NONE}, /* execute-only */
    {1, 0x9000 | R | W | 1ull << 6 | WB, FAULT_NONE, FAULT_NONE, FAULT_EXECUTE},
    {1, 0x9000 | W | WB, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {1, 0x9000 | W | X | WB, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {1, 0x9000 | R | 2 << 3, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {1, 0x9000 | R | 3 << 3, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {1, 0x9000 | R | 7 << 3, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {1, 0x9000 | R | 5 << 3, FAULT_NONE, FAULT_WRITE, FAULT_EXECUTE},
    {1, 0x9000 | R | X | WB | 1ull << 63, FAULT_NONE, FAULT_WRITE, FAULT_NONE}, /* #VE: ignored */
    {2, 0x600000 | R | X | WB | 1 << 7, FAULT_NONE, FAULT_WRITE, FAULT_NONE}, /* 2M */
    {2, 0x601000 | R | X | WB | 1 << 7, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {3, 0x40000000 | R | W | WB | 1 << 7, FAULT_NONE, FAULT_NONE, FAULT_EXECUTE}, /* 1G */
    {3, 0x40200000 | R | W | WB | 1 << 7, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
    {4, 0x1000 | R | W | X | 1 << 7, FAULT_RESERVED, FAULT_RESERVED, FAULT_RESERVED},
};

static void test_entries(void)
{
    for (u32 i = 0; i < ARRAY_SIZE(entries); i++) {
        u8 level = entries[i].level;
        check_about("level %u entry %#llx", level, (unsigned long long)entries[i].entry);
        nested_map(&nested, gpa(0x3000), hpa(0x7000), ACCESS_WRITE | ACCESS_EXEC);
        walk_to(0x3000, 0);
        u64 *place = entry_of(level), was = *place;
        *place = entries[i].entry;
        CHECK_EQ(walk_to(0x3000, 0), entries[i].read);
        CHECK_EQ(walk_to(0x3000, ACCESS_WRITE), entries[i].write);
        CHECK_EQ(walk_to(0x3000, ACCESS_EXEC), entries[i].exec);
        CHECK(!w.fault || w.fault_level == level);
        *place = was;
    }
}

/* What a violation's exit says of the access, of the entries and of where it was. */
static void test_qualification(void)
{
    static const struct {
        u64 entry;
        u8 access, serves;
        u64 error;
    } cases[] = {
        {0, 0, 0, EPTQ_READ | EPTQ_GVA | EPTQ_FINAL},
        {0, ACCESS_WRITE, 0, EPTQ_WRITE | EPTQ_GVA | EPTQ_FINAL},
        {0, ACCESS_EXEC, 0, EPTQ_FETCH | EPTQ_GVA | EPTQ_FINAL},
        {0, ACCESS_WRITE, 2, EPTQ_READ | EPTQ_WRITE | EPTQ_GVA},
        {0x9000 | R | X | WB, ACCESS_WRITE, 0, 0x1aa},
        {0x9000 | R | X | WB, ACCESS_WRITE, 3, 0x0ab},
        {0x9000 | R | W | WB, ACCESS_EXEC, 0, 0x19c},
        {0x9000 | X | WB, 0, 0, 0x1a1},
        {0x9000 | W | WB, ACCESS_WRITE, 0, 0},
    };

    nested_map(&nested, gpa(0x3000), hpa(0x7000), ACCESS_WRITE | ACCESS_EXEC);
    walk_to(0x3000, 0);
    u64 *place = entry_of(1), was = *place;
    for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
        check_about("qualification %u", i);
        *place = cases[i].entry;
        walk_init(&w, PAGING_OFF, gva(0x3000), cases[i].access);
        walk_nested(nested.root, gpa(0x3000), cases[i].access, cases[i].serves, &w);
        CHECK(w.fault != FAULT_NONE);
        CHECK_EQ(w.error, cases[i].error);
    }
    *place = was;
}

/* A table's entry narrows what lies below, and has no memory type. */
static void test_tables(void)
{
    check_about("tables");
    walk_to(0x3000, 0);
    u64 *place = entry_of(3), was = *place;
    *place = was & ~W;
    CHECK_EQ(walk_to(0x3000, ACCESS_WRITE), FAULT_WRITE);
    CHECK_EQ(w.fault_level, 3);
    CHECK_EQ(walk_to(0x3000, ACCESS_EXEC), FAULT_NONE);
    *place = was | WB;
    CHECK_EQ(walk_to(0x3000, 0), FAULT_RESERVED);
    *place = was & ~(R | W);
    CHECK_EQ(walk_to(0x3000, 0), FAULT_READ);
    *place = was;
}

static void test_fini(void)
{
    check_about("unmap and fini");
    CHECK(nested_unmap(&nested, gpa(0x3000)));
    CHECK_EQ(walk_to(0x3000, 0), FAULT_NOT_PRESENT);
    CHECK(!nested_unmap(&nested, gpa(0x3000)));
    nested_fini(&nested);
    CHECK_EQ(frames_owned(OWNER_VM_TABLE + VM), 0);
}

int main(void)
{
    pt_phys_bits = 52; /* the host's own pointers are the frames' addresses */
    pt_nested = &pt_ept;
    test_map();
    test_rights();
    test_entries();
    test_qualification();
    test_tables();
    test_fini();
    return check_done("ept");
}
