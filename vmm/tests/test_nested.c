/*
 * Nested tables: mapping, changing and removing 4 KiB pages, the frames that
 * tables take, and what is traced. Results are read by walking the tables.
 */
#include <string.h>
#include "kernel/frame.h"
#include "vmm/hv.h"
#include "vmm/mmu/nested.h"
#include "vmm/mmu/pt_format.h"
#include "vmm/mmu/walk.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host.h"

enum { VM = 5 };
static const owner_t OWNER = OWNER_VM_TABLE + VM;

static struct nested nested;
static struct walk w;

static enum walk_fault walk_to(u64 at, u8 access)
{
    walk_init(&w, PAGING_OFF, gva(at), access);
    return walk_nested(nested.root, gpa(at), access, 0, &w);
}

static void test_map(void)
{
    check_about("map");
    CHECK_EQ(nested_init(&nested, VM), 0);
    CHECK_EQ(nested.tables, 1);
    CHECK_EQ(walk_to(0x1000, 0), FAULT_NOT_PRESENT);
    CHECK_EQ(nested_map(&nested, gpa(0x1000), hpa(0x7654321000), ACCESS_WRITE | ACCESS_EXEC), 0);
    CHECK_EQ(walk_to(0x1abc, ACCESS_WRITE), FAULT_NONE);
    CHECK_EQ(w.hpa.v, 0x7654321abc);
    CHECK_EQ(w.refs, 4);
    CHECK_EQ(walk_to(0x1abc, ACCESS_EXEC), FAULT_NONE);
    CHECK_EQ(walk_to(0x2000, 0), FAULT_NOT_PRESENT);
    CHECK_EQ(w.fault_level, 1);
    CHECK_EQ(nested.tables, 4);
    CHECK_EQ(nested.mapped, 1);
    /* Nested accesses are user accesses: U at every level (15.25.5). */
    for (u32 i = 0; i < w.refs - 1; i++)
        CHECK_EQ(w.ref[i].before & 0xfff, PTE_P | PTE_W | PTE_U);

    /* A neighbour shares the tables; another far away needs three. */
    CHECK_EQ(nested_map(&nested, gpa(0x1ff000), hpa(0x8000), 0), 0);
    CHECK_EQ(nested.tables, 4);
    CHECK_EQ(nested_map(&nested, gpa(0xfffffffff000), hpa(0x9000), 0), 0);
    CHECK_EQ(nested.tables, 7);
    CHECK_EQ(frames_owned(OWNER), 7);
    CHECK_EQ(walk_to(0xfffffffff123, 0), FAULT_NONE);
    CHECK_EQ(w.hpa.v, 0x9123);
    CHECK_EQ(nested.mapped, 3);
}

static void test_access(void)
{
    check_about("access");
    for (int access = 0; access < 8; access++) {
        nested_map(&nested, gpa(0x3000), hpa(0x5000), (u8)access);
        CHECK_EQ(walk_to(0x3000, 0), FAULT_NONE);
        CHECK_EQ(walk_to(0x3000, ACCESS_WRITE), access & ACCESS_WRITE ? FAULT_NONE : FAULT_WRITE);
        CHECK_EQ(walk_to(0x3000, ACCESS_EXEC), access & ACCESS_EXEC ? FAULT_NONE : FAULT_EXECUTE);
    }
    CHECK_EQ(nested.mapped, 4);
}

static void test_protect(void)
{
    check_about("protect");
    nested_map(&nested, gpa(0x4000), hpa(0x6000), ACCESS_WRITE);
    walk_to(0x4000, 0);
    u64 *entry = (u64 *)hpa_ptr(w.ref[3].table) + w.ref[3].index;
    *entry |= PTE_A | PTE_D; /* as the processor does */
    CHECK(nested_protect(&nested, gpa(0x4000), ACCESS_EXEC));
    CHECK_EQ(*entry, 0x6000 | PTE_P | PTE_U | PTE_A | PTE_D);
    CHECK(nested_protect(&nested, gpa(0x4000), ACCESS_WRITE));
    CHECK_EQ(*entry, 0x6000 | PTE_P | PTE_U | PTE_W | PTE_A | PTE_D | PTE_NX);
    CHECK(!nested_protect(&nested, gpa(0x5000), ACCESS_WRITE));
    CHECK(!nested_protect(&nested, gpa(0x800000000), ACCESS_WRITE));
    CHECK_EQ(walk_to(0x5000, 0), FAULT_NOT_PRESENT);
}

static void test_unmap(void)
{
    u64 mapped = nested.mapped;

    check_about("unmap");
    CHECK(nested_unmap(&nested, gpa(0x4000)));
    CHECK_EQ(walk_to(0x4000, 0), FAULT_NOT_PRESENT);
    CHECK_EQ(nested.mapped, mapped - 1);
    CHECK(!nested_unmap(&nested, gpa(0x4000)));
    CHECK(!nested_unmap(&nested, gpa(0x700000000000)));
    CHECK_EQ(nested.mapped, mapped - 1);
    CHECK_EQ(walk_to(0x3000, 0), FAULT_NONE);
}

/* The last records of each kind, against what was just done. */
static void test_trace(void)
{
    check_about("trace");
    host_trace_start();
    nested_map(&nested, gpa(0xa000), hpa(0xb000), ACCESS_WRITE);
    nested_protect(&nested, gpa(0xa010), ACCESS_EXEC);
    nested_unmap(&nested, gpa(0xa020));
    nested_unmap(&nested, gpa(0xa000));
    nested_protect(&nested, gpa(0xa000), 0);
    CHECK_EQ(host_trace_count(EVENT_map), 2);
    CHECK_EQ(host_trace_count(EVENT_unmap), 1);
    const struct trace_record *r = host_trace_find(EVENT_map, NULL);
    const struct trace_map want = {0xa000, 0xb000, 4096, ACCESS_WRITE};
    CHECK_EQ(host_record_vm(r), VM);
    CHECK_MEM(r->payload, &want, sizeof(want));
    const struct trace_map again = {0xa000, 0xb000, 4096, ACCESS_EXEC};
    CHECK_MEM(host_trace_find(EVENT_map, r)->payload, &again, sizeof(again));
    const struct trace_unmap gone = {0xa000, 4096};
    CHECK_MEM(host_trace_find(EVENT_unmap, NULL)->payload, &gone, sizeof(gone));
}

/* No memory at any of the three tables a mapping may need: said, and nothing
 * is lost or half mapped. */
static void test_no_memory(void)
{
    for (int allowed = 0; allowed < 3; allowed++) {
        check_about("%d frames left", allowed);
        struct nested other;
        CHECK_EQ(nested_init(&other, VM + 1), 0);
        host_frames_fail_after(allowed);
        CHECK_EQ(nested_map(&other, gpa(0x1000), hpa(0x2000), 0), (u64)-ENOMEM);
        CHECK_EQ(other.tables, 1 + allowed);
        CHECK_EQ(other.mapped, 0);
        host_frames_fail_after(-1);
        CHECK_EQ(nested_map(&other, gpa(0x1000), hpa(0x2000), 0), 0);
        CHECK_EQ(other.tables, 4);
        nested_fini(&other);
        CHECK_EQ(frames_owned(OWNER_VM_TABLE + VM + 1), 0);
    }
    struct nested none;
    host_frames_fail_after(0);
    CHECK_EQ(nested_init(&none, VM + 1), (u64)-ENOMEM);
    host_frames_fail_after(-1);
    nested_fini(&none); /* nothing was made: nothing to give back */
}

/* Only tables are given back: not what they map, nor others of that owner. */
static void test_fini(void)
{
    u64 before = host_frames_free();
    hpa_t control = frame_alloc_zeroed(OWNER), data = frame_alloc_zeroed(OWNER_VM_RAM + VM);
    u64 tables = nested.tables;

    check_about("fini");
    nested_map(&nested, gpa(0x3000), data, ACCESS_WRITE);
    nested_fini(&nested);
    CHECK_EQ(nested.root.v, 0);
    CHECK_EQ(nested.mapped, 0);
    CHECK_EQ(frames_owned(OWNER), 1);
    CHECK_EQ(frames_owned(OWNER_VM_RAM + VM), 1);
    frames_free(control, 1, OWNER);
    frames_free(data, 1, OWNER_VM_RAM + VM);
    CHECK_EQ(host_frames_free(), before + tables);
}

static void map_badly(void *which)
{
    static const u64 bad[][2] = {{0x1001, 0}, {0x1000, 0x10}, {1ull << 48, 0}, {0, 1ull << 52}};
    const u64 *pair = bad[*(int *)which];

    nested_map(&nested, gpa(pair[0]), hpa(pair[1]), 0);
}

/* Addresses that are no page's are a bug of the host. */
static void test_bad_addresses(void)
{
    check_about("bad addresses");
    CHECK_EQ(nested_init(&nested, VM), 0);
    for (int i = 0; i < 4; i++)
        CHECK(host_panics(map_badly, &i));
    CHECK_EQ(nested.tables, 1);
    nested_fini(&nested);
}

int main(void)
{
    pt_phys_bits = 52; /* the host's own pointers are the frames' addresses */
    test_map();
    test_access();
    test_protect();
    test_unmap();
    test_trace();
    test_no_memory();
    test_fini();
    test_bad_addresses();
    return check_done("nested");
}
