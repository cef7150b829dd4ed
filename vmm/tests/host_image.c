/*
 * Images of kernels for the tests of vmm/boot; see host_image.h.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/host_image.h"

u8 *ram;
struct guestmem mem;
struct boot_state state;
char why[160];
u8 image[IMAGE_SIZE];

void put32(u32 at, u32 value)
{
    memcpy(image + at, &value, 4);
}

u32 get32(u64 at)
{
    u32 value;

    memcpy(&value, ram + at, 4);
    return value;
}

u64 get64(u64 at)
{
    return get32(at) | (u64)get32(at + 4) << 32;
}

/* Fresh memory full of rubbish, and an image of recognisable bytes. */
void begin(void)
{
    if (!ram)
        ram = aligned_alloc(4096, IMAGE_RAM);
    memset(ram, 0xcc, IMAGE_RAM);
    memset(&mem, 0, sizeof(mem));
    guestmem_add(&mem, gpa(0), IMAGE_RAM, ptr_hpa(ram));
    for (u32 i = 0; i < sizeof(image); i++)
        image[i] = (u8)(i * 5 + (i >> 8) + 1);
}

void put_header(u32 at, u32 flags)
{
    put32(at, IMAGE_MAGIC);
    put32(at + 4, flags);
    put32(at + 8, -(IMAGE_MAGIC + flags));
}

void put_addresses(u32 at, u32 header, u32 load, u32 load_end, u32 bss_end, u32 entry)
{
    put_header(at, 0x10003);
    put32(at + 12, header);
    put32(at + 16, load);
    put32(at + 20, load_end);
    put32(at + 24, bss_end);
    put32(at + 28, entry);
}

/* An ELF32 for i386 with n program headers at 52, and a header at 0x400. */
void put_elf(u32 entry, u32 n)
{
    static const u8 ident[16] = {0x7f, 'E', 'L', 'F', 1, 1, 1};
    const u16 half[] = {2, 3}, tail[] = {52, 32, (u16)n, 40, 0, 0};

    begin();
    memcpy(image, ident, 16);
    memcpy(image + 16, half, 4);
    put32(20, 1);
    put32(24, entry);
    put32(28, 52);
    put32(32, 0);
    put32(36, 0);
    memcpy(image + 40, tail, 12);
    put_header(0x400, 3);
}

void put_segment(u32 i, u32 offset, u32 vaddr, u32 paddr, u32 filesz, u32 memsz)
{
    const u32 words[] = {1, offset, vaddr, paddr, filesz, memsz, 7, 4096};

    memcpy(image + 52 + 32 * i, words, sizeof(words));
}

int load(u64 size)
{
    memset(why, 0, sizeof(why));
    return multiboot_load(&mem, image, size, "hz=100 -v", &state, why, sizeof(why));
}

void refuse(u64 size, int err, const char *sentence)
{
    check_about("%s", sentence);
    CHECK_EQ(load(size), (u64)err);
    CHECK_STR(why, sentence);
}

void put_video(u32 type, u32 width, u32 height, u32 depth)
{
    begin();
    put_addresses(0x84, 0x200084, 0x200000, 0, 0, 0x200000);
    put32(0x84 + 4, 0x10007);
    put32(0x84 + 8, -(IMAGE_MAGIC + 0x10007));
    put32(0x84 + 32, type);
    put32(0x84 + 36, width);
    put32(0x84 + 40, height);
    put32(0x84 + 44, depth);
}
