/*
 * The bundle's check: a good bundle passes, and each thing that formats.md
 * section 2 forbids is refused by the name of its field.
 */
#include <string.h>
#include "kernel/bundle.h"
#include "vmm/tests/check.h"

#define SIZE (4 * 4096u)

static union {
    struct bundle b;
    u8 bytes[SIZE + 4096];
} u;

/* Another CRC-32 than the kernel's: bit by bit, most significant first, on
 * reflected bytes. */
static u32 reflect(u32 value, int bits)
{
    u32 out = 0;

    for (int i = 0; i < bits; i++)
        out |= (value >> i & 1) << (bits - 1 - i);
    return out;
}

static u32 slow_crc(const u8 *p, u32 n)
{
    u32 crc = ~0u;

    for (u32 i = 0; i < n; i++) {
        crc ^= reflect(p[i], 8) << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000 ? crc << 1 ^ 0x04c11db7 : crc << 1;
    }
    return ~reflect(crc, 32);
}

static void seal(void)
{
    u.b.crc = 0;
    u.b.crc = slow_crc(u.bytes, u.b.size);
}

/* Two guests: one page, and the rest. */
static void make_good(void)
{
    memset(&u, 0, sizeof(u));
    memcpy(u.b.magic, BUNDLE_MAGIC, 8);
    u.b.version = 1;
    u.b.size = SIZE;
    u.b.guests = 2;
    u.b.nonce = 0x1122334455667788;
    strcpy(u.b.platform, "qemu-svm");
    strcpy(u.b.cmdline, "sched=rr");
    u.b.guest[0] = (struct bundle_guest){4096, 4096, "one", {0}, "mem=16M"};
    u.b.guest[1] = (struct bundle_guest){8192, SIZE - 8192, "two", {0}, ""};
    for (u32 i = 4096; i < SIZE; i++)
        u.bytes[i] = (u8)(i * 7 + (i >> 8));
    seal();
}

static void check_refused(const char *field)
{
    const char *why = bundle_check(&u.b, SIZE);

    check_about("%s", field);
    if (CHECK(why != NULL)) {
        char start[64] = {0};
        memcpy(start, why, min_u64(strlen(field), strlen(why)));
        CHECK_STR(start, field);
    }
}

/* Set a field of any size, seal, and expect that field to be named. */
#define REFUSE(field_name, assignment)                                                             \
    do {                                                                                           \
        make_good();                                                                               \
        assignment;                                                                                \
        seal();                                                                                    \
        check_refused(field_name ": ");                                                            \
    } while (0)

static void test_good(void)
{
    CHECK_EQ(slow_crc((const u8 *)"123456789", 9), 0xcbf43926); /* the standard's check value */
    make_good();
    CHECK_STR(bundle_check(&u.b, SIZE), NULL);
    CHECK(bundle_image(&u.b, 1) == u.bytes + 8192);
    /* Where it was put into memory before reset, more may follow. */
    CHECK_STR(bundle_check(&u.b, SIZE + 4096), NULL);
    u.b.guests = 0;
    seal();
    CHECK_STR(bundle_check(&u.b, SIZE), NULL);
    u.b.size = sizeof(u.b);
    seal();
    CHECK_STR(bundle_check(&u.b, sizeof(u.b)), NULL);
}

static void test_header(void)
{
    REFUSE("magic", u.b.magic[7] = '2');
    REFUSE("version", u.b.version = 2);
    REFUSE("guests", u.b.guests = 16);
    REFUSE("guests", (u.b.guests = 5, u.b.size = 624 + 4 * 576));
    REFUSE("platform", memset(u.b.platform, 'x', 24));
    REFUSE("cmdline", memset(u.b.cmdline, 'x', 512));
    REFUSE("build_id", memset(u.b.build_id, 'x', 40));
    make_good();
    u.b.size++;
    check_refused("size: ");
    u.b.size = sizeof(u.b) - 1;
    check_refused("size: ");
    check_about("short");
    for (u64 n = 0; n < sizeof(u.b); n += 89)
        CHECK_STR(bundle_check(&u.b, n), "size: too few bytes for a bundle's header");
}

static void test_guests(void)
{
    REFUSE("guests[1].image_off", u.b.guest[1].image_off = 8193);
    REFUSE("guests[0].image_off", u.b.guest[0].image_off = 0);
    REFUSE("guests[0].image_off", (u.b.guests = 7, u.b.guest[0].image_off = 4096));
    REFUSE("guests[0].image_off", u.b.guest[0].image_off = SIZE + 4096);
    REFUSE("guests[0].image_off", u.b.guest[0].image_off = 0xfffff000);
    REFUSE("guests[1].image_size", u.b.guest[1].image_size = 0);
    REFUSE("guests[1].image_size", u.b.guest[1].image_size++);
    REFUSE("guests[1].image_size", u.b.guest[1].image_size = 0xffffffff);
    REFUSE("guests[0].image_size", u.b.guest[0].image_off = SIZE);
    REFUSE("guests[0].reserved", u.b.guest[0].reserved[15] = 1);
    REFUSE("guests[1].name", memset(u.b.guest[1].name, 'x', 40));
    REFUSE("guests[1].args", memset(u.b.guest[1].args, 'x', 512));
}

/* Every damaged bit is found, in the crc's own field too. */
static void test_damage(void)
{
    make_good();
    for (u32 bit = 0; bit < 8 * SIZE; bit += 5) {
        if (bit / 8 >= 8 && bit / 8 < 16)
            continue; /* version and size are judged by themselves */
        u.bytes[bit / 8] ^= (u8)(1u << bit % 8);
        check_about("bit %u", bit);
        const char *why = bundle_check(&u.b, SIZE);
        CHECK_STR(why, bit < 64 ? "magic: this is no bundle" : "crc: the contents are damaged");
        u.bytes[bit / 8] ^= (u8)(1u << bit % 8);
    }
    check_about("repaired");
    CHECK_STR(bundle_check(&u.b, SIZE), NULL);
}

int main(void)
{
    test_good();
    test_header();
    test_guests();
    test_damage();
    return check_done("bundle");
}
