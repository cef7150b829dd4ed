/*
 * Fuzz target: Multiboot and raw images. The VM's memory is heap blocks of
 * exactly its size, so a byte read or written outside is found. What loads
 * must be enterable, and its information structure must be true.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/boot/multiboot.h"
#include "vmm/tests/fuzz.h"

const char *const fuzz_name = "multiboot";

static u8 *low, *high;
static struct guestmem mem;

/* 1 MiB from 0 and 256 KiB from 1 MiB + 64 KiB: a hole between them. */
static void begin(void)
{
    if (low)
        return;
    low = aligned_alloc(4096, 1 << 20);
    high = aligned_alloc(4096, 256 << 10);
    memset(low, 0, 1 << 20);
    memset(high, 0, 256 << 10);
    guestmem_add(&mem, gpa(0), 1 << 20, ptr_hpa(low));
    guestmem_add(&mem, gpa(0x110000), 256 << 10, ptr_hpa(high));
}

static u32 guest_u32(u64 at)
{
    u32 value = 0;

    FUZZ_CHECK(guestmem_read(&mem, gpa(at), &value, 4) == 0);
    return value;
}

static void check_info(u64 at)
{
    u32 flags = guest_u32(at), mmap = guest_u32(at + 48), length = guest_u32(at + 44);
    char text[8];

    FUZZ_CHECK((flags & ~0x1000u) == 0x24d);
    FUZZ_CHECK(guest_u32(at + 4) == 640 && guest_u32(at + 8) == 0);
    FUZZ_CHECK(guestmem_read(&mem, gpa(guest_u32(at + 16)), text, 6) == 0);
    FUZZ_CHECK(memcmp(text, "x y=1", 6) == 0);
    FUZZ_CHECK(length == 3 * 24);
    FUZZ_CHECK(guest_u32(mmap) == 20 && guest_u32(mmap + 24) == 20 && guest_u32(mmap + 48) == 20);
}

static void check_sentence(int err, const char *why, size_t size)
{
    FUZZ_CHECK(err == -EINVAL || err == -ENOTSUP);
    FUZZ_CHECK(memchr(why, 0, size) && strlen(why) > 15);
}

int fuzz_one(const u8 *data, size_t size)
{
    struct boot_state state;
    char why[160];
    int err;

    begin();
    memset(why, 0x55, sizeof(why));
    err = multiboot_load(&mem, data, size, "x y=1", &state, why, sizeof(why));
    if (err) {
        check_sentence(err, why, sizeof(why));
    } else {
        FUZZ_CHECK(multiboot_recognise(data, size));
        FUZZ_CHECK(!state.real_mode && state.eax == MULTIBOOT_BOOT_MAGIC);
        FUZZ_CHECK(guestmem_has(&mem, gpa(state.entry)));
        check_info(state.ebx);
    }
    err = raw_load(&mem, data, size, &state, why, sizeof(why));
    if (err)
        check_sentence(err, why, sizeof(why));
    else
        FUZZ_CHECK(state.real_mode && state.entry == 0x7c00 && !memcmp(low + 0x7c00, data, size));
    return 0;
}

static void put(u8 *to, size_t at, const u32 *words, u32 n)
{
    memcpy(to + at, words, 4 * n);
}

/* Address fields; ELF with two segments; ELF asking for a text mode. */
size_t fuzz_seed(u32 i, u8 *to)
{
    const u32 fields[] = {0x1badb002, 0x10003,  -(0x1badb002u + 0x10003),
                          0x110010,   0x110000, 0x110200,
                          0x110400,   0x110040};
    u32 flags = i == 2 ? 7 : 3;
    const u32 header[] = {0x1badb002, flags, -(0x1badb002u + flags), 0, 0, 0, 0, 0, 1, 80, 25, 0};
    const u32 elf[] = {
        0x464c457f, 0x00010101, 0,     0,          0x00030002, 1,        0x110000, 52,   0,     0,
        0x00200034, 0x00000002, 0,     1,          0x100,      0x110000, 0x110000, 0x80, 0x200, 7,
        16,         1,          0x180, 0xc0002000, 0x2000,     0x20,     0x20,     7,    16};

    if (i >= 3)
        return 0;
    memset(to, 0x90, 0x200);
    if (i == 0) {
        put(to, 0x10, fields, 8);
    } else {
        put(to, 0, elf, 13);
        memcpy(to + 52, elf + 13, 64);
        put(to, 0x100, header, 12);
    }
    return 0x200;
}
