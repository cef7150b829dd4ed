/*
 * The Multiboot loader: what is loaded where, and what the kernel is told.
 * What is refused is in test_multiboot_bad.c.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/boot/memmap.h"
#include "vmm/tests/check.h"
#include "vmm/tests/host_image.h"

/* The structure that EBX points to; text: the kernel asked about the screen. */
static void check_info(bool text)
{
    u64 at = state.ebx;

    CHECK(at >= 0x1000 && at + 1024 <= 0x9f000);
    CHECK_EQ(state.eax, 0x2badb002);
    CHECK(!state.real_mode);
    CHECK_EQ(get32(at), 0x24d | (text ? 1 << 12 : 0));
    CHECK_EQ(get32(at + 4), 640);
    CHECK_EQ(get32(at + 8), IMAGE_RAM / 1024 - 1024);
    CHECK_STR((char *)ram + get32(at + 16), "hz=100 -v");
    CHECK_EQ(get32(at + 20), 0);
    CHECK_STR((char *)ram + get32(at + 64), "Nestling");
    CHECK_EQ(get32(at + 44), 3 * 24);
    static const u64 ranges[3][3] = {
        {0, 0xa0000, 1}, {0xa0000, 0x60000, 2}, {0x100000, IMAGE_RAM - 0x100000, 1}};
    for (u32 i = 0; i < 3; i++) {
        u64 entry = get32(at + 48) + 24 * i;
        CHECK_EQ(get32(entry), 20);
        CHECK_EQ(get64(entry + 4), ranges[i][0]);
        CHECK_EQ(get64(entry + 12), ranges[i][1]);
        CHECK_EQ(get32(entry + 20), ranges[i][2]);
    }
    CHECK_EQ(get64(at + 88), text ? 0xb8000 : 0);
    CHECK_EQ(get32(at + 100), text ? 80 : 0);
    CHECK_EQ(ram[at + 109], text ? 2 : 0);
}

static void test_addresses(void)
{
    check_about("address fields");
    begin();
    put_addresses(0x84, 0x200084, 0x200000, 0x204000, 0x208000, 0x200100);
    CHECK(multiboot_recognise(image, sizeof(image)));
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK_EQ(state.entry, 0x200100);
    CHECK_MEM(ram + 0x200000, image, 0x4000);
    for (u32 i = 0x204000; i < 0x208000; i += 0x3ff)
        CHECK_EQ(ram[i], 0);
    CHECK_EQ(ram[0x208000], 0xcc);
    CHECK_EQ(ram[0x1fffff], 0xcc);
    check_info(false);

    check_about("whole file, no bss, its beginning left out");
    begin();
    put_addresses(0x1000, 0x300010, 0x300000, 0, 0, 0x300000);
    CHECK_EQ(load(0x9001), 0);
    CHECK_MEM(ram + 0x300000, image + 0xff0, 0x9001 - 0xff0);
    CHECK_EQ(ram[0x300000 + 0x9001 - 0xff0], 0xcc);

    check_about("address fields come before ELF's");
    put_elf(0x100000, 1);
    put_segment(0, 0, 0x100000, 0x100000, 0x1000, 0x1000);
    image[4] = 2; /* even a 64-bit file's */
    put_addresses(0x400, 0x400400, 0x400000, 0, 0, 0x400000);
    CHECK_EQ(load(0x1000), 0);
    CHECK_EQ(state.entry, 0x400000);
    CHECK_EQ(ram[0x100000], 0xcc);
}

static void test_elf(void)
{
    check_about("ELF");
    put_elf(0x100020, 4);
    put_segment(0, 0x400, 0x100000, 0x100000, 0x1234, 0x1234);
    put_segment(1, 0x2000, 0xc0200000, 0x200000, 0x100, 0x5000);
    put_segment(2, 0, 0, 0, 0, 0);          /* empty */
    put_segment(3, 0xffffffff, 0, 0, 9, 9); /* not to be loaded */
    put32(52 + 32 * 3, 4);
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK_EQ(state.entry, 0x100020);
    CHECK_MEM(ram + 0x100000, image + 0x400, 0x1234);
    CHECK_EQ(ram[0x101234], 0xcc);
    CHECK_MEM(ram + 0x200000, image + 0x2000, 0x100);
    for (u32 i = 0x200100; i < 0x205000; i++)
        if (ram[i])
            CHECK_EQ(ram[i], 0);
    CHECK_EQ(ram[0x205000], 0xcc);
    check_info(false);
    /* A virtual entry point of a segment that runs elsewhere. */
    put32(24, 0xc0200042);
    begin();
    put_elf(0xc0200042, 2);
    put_segment(0, 0x400, 0x100000, 0x100000, 0x1234, 0x1234);
    put_segment(1, 0x2000, 0xc0200000, 0x200000, 0x100, 0x5000);
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK_EQ(state.entry, 0x200042);
}

/* The information never lies on what was loaded. */
static void test_room(void)
{
    check_about("room");
    put_elf(0x90000, 2);
    put_segment(0, 0x400, 0x90000, 0x90000, 0x100, 0x10000);
    put_segment(1, 0x400, 0x8f000, 0x8f000, 0x100, 0x1000);
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK(state.ebx < 0x8f000 && state.ebx >= 0x8d000);
    check_info(false);
    CHECK_EQ(ram[0x8f100], 0);
    /* All of it taken: above, then, but not on the kernel either. */
    put_elf(0x90000, 2);
    put_segment(0, 0x400, 0x1000, 0x1000, 0x100, 0x9f000);
    put_segment(1, 0x400, 0x700000, 0x700000, 0x100, 0x100000);
    put32(24, 0x1000);
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK(state.ebx >= 0x100000 && state.ebx < 0x700000);
    CHECK_STR((char *)ram + get32(state.ebx + 16), "hz=100 -v");
    put_segment(1, 0x400, 0x100000, 0x100000, 0x100, IMAGE_RAM - 0x100000);
    refuse(sizeof(image), -EINVAL,
           "the kernel leaves no room for the Multiboot information in the VM's memory");
}

static void test_search(void)
{
    check_about("search");
    memset(image, 0, sizeof(image));
    CHECK(!multiboot_recognise(image, sizeof(image)));
    CHECK(!multiboot_recognise(image, 0));
    put_header(8192 - 12, 0);
    CHECK(multiboot_recognise(image, sizeof(image)));
    CHECK(multiboot_recognise(image, 8192));
    CHECK(!multiboot_recognise(image, 8191));
    image[8191] ^= 1;
    CHECK(!multiboot_recognise(image, sizeof(image)));
    put_header(4096, 0);
    CHECK(multiboot_recognise(image, sizeof(image)));
    memset(image, 0, sizeof(image));
    put_header(8192 - 8, 0); /* not whole */
    CHECK(!multiboot_recognise(image, sizeof(image)));
    memset(image, 0, sizeof(image));
    put_header(102, 0); /* not aligned */
    CHECK(!multiboot_recognise(image, sizeof(image)));
    refuse(sizeof(image), -EINVAL, "there is no Multiboot header in the first 8192 bytes");
    put32(16384, 0xe85250d6);
    refuse(sizeof(image), -ENOTSUP, "the kernel speaks Multiboot 2 only, this VMM Multiboot 1");
    /* A false magic before the real header does not hide it. */
    begin();
    put32(0x40, IMAGE_MAGIC);
    put_addresses(0x84, 0x200084, 0x200000, 0, 0, 0x200000);
    CHECK_EQ(load(sizeof(image)), 0);
}

static void test_flags(void)
{
    put_video(1, 80, 25, 0);
    CHECK_EQ(load(sizeof(image)), 0);
    check_info(true);
    put_video(0, 0, 0, 0); /* whatever there is */
    CHECK_EQ(load(sizeof(image)), 0);
    check_info(true);
    put_video(0, 1024, 768, 32);
    refuse(sizeof(image), -ENOTSUP,
           "the kernel asks for a graphics mode, 1024 x 768 x 32 "
           "(flag 2), which this VMM does not have");
    put_video(2, 0, 0, 0);
    refuse(sizeof(image), -ENOTSUP, "the kernel asks for a video mode of unknown type 2 (flag 2)");
    put_video(1, 80, 25, 0);
    refuse(0x84 + 47, -EINVAL,
           "the kernel's Multiboot header does not lie whole in the first 8192 bytes");
    mem.slot[0].size = 0xb8000;
    refuse(sizeof(image), -EINVAL,
           "the kernel asks for a text mode (flag 2), but the VM has no memory at 0xb8000");
    for (u32 flag = 3; flag < 16; flag++) {
        begin();
        put_header(0x84, 1u << flag | 3);
        CHECK_EQ(load(sizeof(image)), (u64)-ENOTSUP);
        CHECK(strstr(why, "(Multiboot header flag ") && atoi(strrchr(why, ' ') + 1) == (int)flag);
    }
    begin(); /* what is not required may be ignored */
    put_addresses(0x84, 0x200084, 0x200000, 0, 0, 0x200000);
    put32(0x84 + 4, 0xfffe0000 | 0x10003);
    put32(0x84 + 8, -(IMAGE_MAGIC + (0xfffe0000 | 0x10003)));
    CHECK_EQ(load(sizeof(image)), 0);
}

/* A kernel across two slots that adjoin; a hole between two that do not. */
static void test_slots(void)
{
    static u8 *second;

    check_about("slots");
    if (!second)
        second = aligned_alloc(4096, IMAGE_RAM);
    begin();
    memset(second, 0xcc, IMAGE_RAM);
    mem.slot[0].size = 2 << 20;
    guestmem_add(&mem, gpa(2 << 20), 1 << 20, ptr_hpa(second));
    guestmem_add(&mem, gpa(1ull << 32), 1 << 20, ptr_hpa(second + (4 << 20)));
    put_addresses(0x84, 0x1ff084, 0x1ff000, 0x201000, 0x204000, 0x1ff000);
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK_MEM(ram + 0x1ff000, image, 0x1000);
    CHECK_MEM(second, image + 0x1000, 0x1000);
    CHECK_EQ(second[0x1000], 0);
    CHECK_EQ(second[0x3fff], 0);
    CHECK_EQ(second[0x4000], 0xcc);
    CHECK_EQ(get32(state.ebx + 8), 2048);
    put32(0x84 + 20, 0x1ff800); /* now the zeros, too, lie in both */
    CHECK_EQ(load(sizeof(image)), 0);
    CHECK_EQ(ram[0x1ff7ff], image[0x7ff]);
    CHECK_EQ(ram[0x1ff800] | ram[0x1fffff] | second[0] | second[0x3fff], 0);
    CHECK_EQ(second[0x4000], 0xcc);
    u64 mmap = get32(state.ebx + 48);
    CHECK_EQ(get32(state.ebx + 44), 4 * 24);
    CHECK_EQ(get64(mmap + 2 * 24 + 12), 2 << 20);
    CHECK_EQ(get64(mmap + 3 * 24 + 4), 1ull << 32);
    CHECK_EQ(get64(mmap + 3 * 24 + 12), 1 << 20);
    mem.slot[1].gpa = gpa(3 << 20);
    refuse(sizeof(image), -EINVAL,
           "the kernel wants 0x5000 bytes at 0x1ff000, where the VM has no "
           "memory for them");
    CHECK_EQ(load(sizeof(image)), (u64)-EINVAL);
}

static void test_memmap(void)
{
    struct memmap map;

    check_about("memory map");
    begin();
    mem.slot[0].size = 0x9f000;
    memmap_make(&map, &mem);
    CHECK_EQ(map.ranges, 1);
    CHECK(memmap_usable(&map, 0x9e000, 0x1000));
    CHECK(!memmap_usable(&map, 0x9e000, 0x1001));
    CHECK(!memmap_usable(&map, 0x9e000, 0));
    CHECK(!memmap_usable(&map, 0x9f000, 1));
    CHECK(!memmap_usable(&map, 0x9e000, ~0ull));
    mem.slot[0] = (struct slot){gpa(0xc0000), 0x10000, ptr_hpa(ram), 5};
    memmap_make(&map, &mem);
    CHECK_EQ(map.ranges, 1);
    CHECK(!map.range[0].usable);
    CHECK_EQ(memmap_run(&map, 0xc0000), 0);
    /* The most ranges there can be: eight slots, two cuts. */
    mem.slots = 0;
    for (u64 i = 0; i < 7; i++)
        guestmem_add(&mem, gpa((8 + 2 * i) << 20), 4096, ptr_hpa(ram));
    guestmem_add(&mem, gpa(0), 2 << 20, ptr_hpa(ram));
    memmap_make(&map, &mem);
    CHECK_EQ(map.ranges, MEMMAP_MAX);
}

int main(void)
{
    test_addresses();
    test_elf();
    test_room();
    test_search();
    test_flags();
    test_slots();
    test_memmap();
    free(ram);
    return check_done("multiboot");
}
