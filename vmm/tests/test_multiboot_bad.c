/*
 * Kernels that cannot be loaded, and the sentence that says why; raw images,
 * and the files that are none.
 */
#include <stdlib.h>
#include <string.h>
#include "vmm/tests/check.h"
#include "vmm/tests/host_image.h"

static void refuse_addresses(const char *sentence, u32 header, u32 to, u32 load_end, u32 bss_end,
                             u32 entry)
{
    begin();
    put_addresses(0x84, header, to, load_end, bss_end, entry);
    refuse(0x1000, -EINVAL, sentence);
    for (u32 i = 0; i < IMAGE_RAM; i += 997) /* nothing was written before all was checked */
        if (ram[i] != 0xcc && !CHECK_EQ(ram[i], 0xcc))
            return;
}

static void test_bad_addresses(void)
{
    refuse_addresses("the kernel's load_addr 0x200000 does not fit header_addr 0x1fffff", 0x1fffff,
                     0x200000, 0, 0, 0x200000);
    refuse_addresses("the kernel's load_addr 0x200000 does not fit header_addr 0x200085", 0x200085,
                     0x200000, 0, 0, 0x200000);
    refuse_addresses("the kernel's load_end_addr 0x1ff000 or bss_end_addr 0x0 ends before it "
                     "begins",
                     0x200084, 0x200000, 0x1ff000, 0, 0x200000);
    refuse_addresses("the kernel's load_end_addr 0x200800 or bss_end_addr 0x200700 ends before it "
                     "begins",
                     0x200084, 0x200000, 0x200800, 0x200700, 0x200000);
    refuse_addresses("the kernel's part at 0x200000 ends behind the file's end", 0x200084, 0x200000,
                     0x201001, 0, 0x200000);
    refuse_addresses("the kernel wants 0x1000 bytes at 0x7ff800, where the VM has no memory for "
                     "them",
                     0x7ff884, 0x7ff800, 0, 0, 0x7ff800);
    refuse_addresses("the kernel wants 0x1000 bytes at 0x9f800, where the VM has no memory for "
                     "them",
                     0x9f884, 0x9f800, 0, 0, 0x9f800);
    refuse_addresses("the kernel wants 0x1000 bytes at 0xfffff800, where the VM has no memory for "
                     "them",
                     0xfffff884, 0xfffff800, 0, 0, 0xfffff800);
    begin();
    put_addresses(0x84, 0x200084, 0x200000, 0, 0x202000, 0x202000);
    refuse(0x1000, -EINVAL, "the kernel's entry_addr 0x202000 lies outside what was loaded");
}

static void refuse_elf(u32 size, const char *sentence)
{
    refuse(size, -EINVAL, sentence);
}

static void test_bad_elf(void)
{
    put_elf(0x100000, 1);
    image[4] = 2;
    refuse(sizeof(image), -ENOTSUP,
           "the kernel is a 64-bit ELF file, but Multiboot 1 loads "
           "32-bit ones: convert it with objcopy -O elf32-i386 IN OUT");
    put_elf(0x100000, 1);
    image[18] = 40;
    refuse(sizeof(image), -ENOTSUP, "the kernel is an ELF file, but not for i386 (machine 40)");
    put_elf(0x100000, 1);
    image[16] = 3;
    refuse(sizeof(image), -ENOTSUP,
           "the kernel is an ELF file, but no executable (type 3): link "
           "it without -r, -shared and -pie");
    image[1] = 'X';
    refuse_elf(sizeof(image), "the kernel's Multiboot header has no address fields (flag 16), and "
                              "the file is no ELF file");
    put_elf(0x100000, 0);
    refuse_elf(sizeof(image), "the kernel's ELF file has no segment to load");
    put_elf(0x100000, 2);
    const char *headers = "the kernel's ELF program headers lie behind the file's end";
    put32(28, sizeof(image) - 63);
    refuse_elf(sizeof(image), headers);
    put32(28, 0xffffffff);
    refuse_elf(sizeof(image), headers);
    put_elf(0x100000, 0xffff);
    refuse_elf(sizeof(image), headers);
    put_elf(0x100000, 1);
    image[42] = 31;
    refuse_elf(sizeof(image), headers);
}

static void test_bad_segments(void)
{
    put_elf(0x100000, 2);
    put_segment(0, 0x400, 0x100000, 0x100000, 0x100, 0x1000);
    put_segment(1, 0x400, 0x100fff, 0x100fff, 0x100, 0x1000);
    refuse_elf(sizeof(image), "two parts of the kernel overlap at 0x100fff");
    put_segment(1, 0x400, 0, 0x100000, 0x100, 0xff);
    refuse_elf(sizeof(image), "the kernel's part at 0x100000 is larger in the file than in memory");
    put_segment(1, 0xff01, 0, 0x200000, 0x100, 0x100);
    refuse_elf(sizeof(image), "the kernel's part at 0x200000 ends behind the file's end");
    put_segment(1, 0xffffffff, 0, 0x200000, 0xffffffff, 0xffffffff);
    refuse_elf(sizeof(image), "the kernel's part at 0x200000 ends behind the file's end");
    put_segment(1, 0, 0, 0xffffffff, 1, 0xffffffff);
    refuse_elf(sizeof(image), "the kernel wants 0xffffffff bytes at 0xffffffff, where the VM has "
                              "no memory for them");
    put_segment(1, 0, 0, 0x7ff000, 1, 0x1001);
    refuse_elf(sizeof(image), "the kernel wants 0x1001 bytes at 0x7ff000, where the VM has no "
                              "memory for them");
    put_segment(1, 0x400, 0x101000, 0x101000, 0x100, 0x100);
    CHECK_EQ(load(sizeof(image)), 0); /* neighbours */
    put32(24, 0x102000);
    refuse_elf(sizeof(image), "the kernel's entry point 0x102000 lies outside what was loaded");
    put_elf(0x200000, 33);
    put_header(0x800, 3);
    for (u32 i = 0; i < 33; i++)
        put_segment(i, 0x800, 0, 0x200000 + i * 0x1000, 1, 1);
    refuse_elf(sizeof(image), "the kernel has more than 32 parts");
}

static int load_raw(u64 size)
{
    memset(why, 0, sizeof(why));
    return raw_load(&mem, image, size, &state, why, sizeof(why));
}

static void test_raw(void)
{
    check_about("raw");
    begin();
    CHECK_EQ(load_raw(512), 0);
    CHECK(state.real_mode);
    CHECK_EQ(state.entry, 0x7c00);
    CHECK_EQ(state.eax | state.ebx, 0);
    CHECK_MEM(ram + 0x7c00, image, 512);
    CHECK_EQ(ram[0x7e00], 0xcc);
    CHECK_EQ(ram[0x7bff], 0xcc);
    CHECK_EQ(load_raw(sizeof(image)), 0);
    CHECK_EQ(load_raw(0), (u64)-EINVAL);
    CHECK_STR(why, "the image is empty");
    mem.slot[0].size = 0x8000;
    CHECK_EQ(load_raw(0x401), (u64)-EINVAL);
    memcpy(image + 0x202, "HdrS", 4);
    CHECK_EQ(load_raw(0x400), (u64)-ENOTSUP);
    CHECK_STR(why, "the image is a Linux kernel, whose boot protocol this VMM does not have yet");
    memcpy(image, "\177ELF", 4);
    CHECK_EQ(load_raw(0x400), (u64)-ENOTSUP);
}

int main(void)
{
    test_bad_addresses();
    test_bad_elf();
    test_bad_segments();
    test_raw();
    free(ram);
    return check_done("multiboot_bad");
}
