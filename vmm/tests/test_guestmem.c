/*
 * guestmem.c: slots in order, refused overlaps, holes, and copies across slots
 * that are neighbours in the guest but not in the host. ASan watches the ends.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/guestmem.h"
#include "vmm/hv.h"
#include "vmm/tests/check.h"

#define MiB (1ull << 20)

/* Host memory for a slot: a block of exactly that size. */
static hpa_t block(u64 size, u8 fill)
{
    void *p = aligned_alloc(PAGE_SIZE, size);

    memset(p, fill, size);
    return ptr_hpa(p);
}

static void test_add(void)
{
    static const struct {
        u64 gpa, size, hpa;
        int expected;
    } steps[] = {
        {0x100000, 0x10000, 0x1000, 0},
        {0x0, 0xa0000, 0x200000, 0},         /* before it */
        {0x110000, 0x1000, 0x300000, 0},     /* just behind it */
        {0xff000, 0x2000, 0x1000, -EINVAL},  /* overlaps from below */
        {0x10f000, 0x1000, 0x1000, -EINVAL}, /* inside */
        {0x0, 0x200000, 0x1000, -EINVAL},    /* around all */
        {0x9f000, 0x1000, 0x1000, -EINVAL},  /* the last page of one */
        {0xa0000, 0x60000, 0x400000, 0},     /* fills the gap exactly */
        {0x200800, 0x1000, 0x1000, -EINVAL}, /* not aligned */
        {0x200000, 0x800, 0x1000, -EINVAL},
        {0x200000, 0x1000, 0x1008, -EINVAL},
        {0x200000, 0, 0x1000, -EINVAL},
        {0xfffffffffffff000, 0x1000, 0x1000, 0}, /* the last page there is */
        {0xffffffffffffe000, 0x3000, 0x1000, -EINVAL},
        {0x200000, 0xffffffffffe01000, 0x1000, -EINVAL},
        {0x100000000, 0x1000, 0x1000, 0},
        {0x200000000, 0x1000, 0x1000, 0},
        {0x300000000, 0x1000, 0x1000, 0},
        {0x400000000, 0x1000, 0x1000, -ENOSPC},
    };
    struct guestmem m = {0};

    for (u32 i = 0; i < ARRAY_SIZE(steps); i++) {
        check_about("step %u", i);
        CHECK_EQ(guestmem_add(&m, gpa(steps[i].gpa), steps[i].size, hpa(steps[i].hpa)),
                 steps[i].expected);
    }
    check_about("after all steps");
    CHECK_EQ(m.slots, GUESTMEM_SLOTS);
    u64 size = m.slot[0].size;
    for (u32 i = 1; i < m.slots; i++) {
        CHECK(m.slot[i - 1].gpa.v < m.slot[i].gpa.v);
        size += m.slot[i].size;
    }
    CHECK_EQ(size, 0x111000 + 4 * 0x1000);
}

static void test_pointers(void)
{
    struct guestmem m = {0};
    hpa_t low = block(2 * PAGE_SIZE, 1), high = block(PAGE_SIZE, 2);
    u64 run = 0;

    check_about("pointers");
    CHECK_EQ(guestmem_add(&m, gpa(4 * MiB), 2 * PAGE_SIZE, low), 0);
    CHECK_EQ(guestmem_add(&m, gpa(1ull << 40), PAGE_SIZE, high), 0);
    CHECK(guestmem_ptr(&m, gpa(4 * MiB), &run) == hpa_ptr(low));
    CHECK_EQ(run, 2 * PAGE_SIZE);
    CHECK(guestmem_ptr(&m, gpa(4 * MiB + 8191), &run) == hpa_ptr(hpa(low.v + 8191)));
    CHECK_EQ(run, 1);
    CHECK(guestmem_ptr(&m, gpa(4 * MiB + 8192), NULL) == NULL);
    CHECK(guestmem_ptr(&m, gpa(4 * MiB - 1), NULL) == NULL);
    CHECK(guestmem_ptr(&m, gpa(0), NULL) == NULL);
    CHECK(guestmem_ptr(&m, gpa(~0ull), NULL) == NULL);
    CHECK(guestmem_has(&m, gpa((1ull << 40) + 4095)));
    CHECK(!guestmem_has(&m, gpa((1ull << 40) + 4096)));
    free(hpa_ptr(low));
    free(hpa_ptr(high));
}

/* Three pages in the guest's order, of which the host has two the other way
 * round, then a hole. */
static void test_copies(void)
{
    struct guestmem m = {0};
    hpa_t b = block(PAGE_SIZE, 0xbb), a = block(PAGE_SIZE, 0xaa);
    u8 in[2 * PAGE_SIZE], out[2 * PAGE_SIZE];

    check_about("copies");
    CHECK_EQ(guestmem_add(&m, gpa(0x10000), PAGE_SIZE, a), 0);
    CHECK_EQ(guestmem_add(&m, gpa(0x11000), PAGE_SIZE, b), 0);
    for (u32 i = 0; i < sizeof(in); i++)
        in[i] = (u8)(i * 7 + i / 256);
    CHECK_EQ(guestmem_write(&m, gpa(0x10000), in, sizeof(in)), 0);
    CHECK_MEM(hpa_ptr(a), in, PAGE_SIZE);
    CHECK_MEM(hpa_ptr(b), in + PAGE_SIZE, PAGE_SIZE);
    CHECK_EQ(guestmem_read(&m, gpa(0x10000), out, sizeof(out)), 0);
    CHECK_MEM(out, in, sizeof(in));
    CHECK_EQ(guestmem_read(&m, gpa(0x10ffe), out, 4), 0);
    CHECK_MEM(out, in + 0xffe, 4);

    /* Whole or not at all */
    memset(out, 0x5a, sizeof(out));
    CHECK_EQ(guestmem_write(&m, gpa(0x11ffe), out, 4), -EFAULT);
    CHECK_MEM((u8 *)hpa_ptr(b) + 0xffe, in + 0x1ffe, 2);
    CHECK_EQ(guestmem_read(&m, gpa(0x11ffe), in, 4), -EFAULT);
    CHECK_EQ(guestmem_read(&m, gpa(0xffff), out, 2), -EFAULT);
    CHECK_EQ(guestmem_read(&m, gpa(0x10000), out, ~0ull), -EFAULT);
    CHECK_EQ(guestmem_read(&m, gpa(0x5000), out, 0), 0);
    free(hpa_ptr(a));
    free(hpa_ptr(b));
}

/* Memory that is read-only: read like the rest, and never written, not even half. */
static void test_access(void)
{
    struct guestmem m = {0};
    hpa_t a = block(PAGE_SIZE, 1), b = block(PAGE_SIZE, 2);
    u8 bytes[4] = {9, 9, 9, 9};

    check_about("access");
    CHECK_EQ(guestmem_add_as(&m, gpa(0x11000), PAGE_SIZE, b, ACCESS_EXEC), 0);
    CHECK_EQ(guestmem_add(&m, gpa(0x10000), PAGE_SIZE, a), 0);
    CHECK(guestmem_slot(&m, gpa(0x10fff)) == &m.slot[0]);
    CHECK(guestmem_slot(&m, gpa(0x11000)) == &m.slot[1]);
    CHECK(guestmem_slot(&m, gpa(0x12000)) == NULL);
    CHECK_EQ(m.slot[0].access, ACCESS_WRITE | ACCESS_EXEC);
    CHECK(guestmem_writable(&m, gpa(0x10fff)));
    CHECK(!guestmem_writable(&m, gpa(0x11000)));
    CHECK(!guestmem_writable(&m, gpa(0x12000)));
    CHECK_EQ(guestmem_write(&m, gpa(0x11000), bytes, 4), -EFAULT);
    CHECK_EQ(guestmem_write(&m, gpa(0x10ffe), bytes, 4), -EFAULT);
    CHECK_EQ(guestmem_read(&m, gpa(0x10ffe), bytes, 4), 0);
    CHECK_MEM(bytes, ((u8[]){1, 1, 2, 2}), 4);
    free(hpa_ptr(a));
    free(hpa_ptr(b));
}

/* The end of the address space: nothing wraps to address 0. */
static void test_top(void)
{
    struct guestmem m = {0};
    hpa_t first = block(PAGE_SIZE, 1), last = block(PAGE_SIZE, 2);
    u8 byte[2];

    check_about("top");
    CHECK_EQ(guestmem_add(&m, gpa(0), PAGE_SIZE, first), 0);
    CHECK_EQ(guestmem_add(&m, gpa(0xfffffffffffff000), PAGE_SIZE, last), 0);
    CHECK_EQ(guestmem_read(&m, gpa(~0ull), byte, 1), 0);
    CHECK_EQ(byte[0], 2);
    CHECK_EQ(guestmem_read(&m, gpa(~0ull), byte, 2), -EFAULT);
    free(hpa_ptr(first));
    free(hpa_ptr(last));
}

int main(void)
{
    test_add();
    test_pointers();
    test_copies();
    test_access();
    test_top();
    return check_done("guestmem");
}
