/*
 * Raw images: 16-bit code that a BIOS would have read from a disk's first
 * sector, entered at 0x7c00 in real mode. Here it may be longer than a sector.
 * Files that are known to be something else are refused in words.
 */
#include "kernel/mem.h"
#include "vmm/boot/load.h"
#include "vmm/boot/multiboot.h"

#define RAW_ENTRY    0x7c00u
#define LINUX_HEADER 0x202u /* "HdrS": Linux's boot protocol, 2.00 and later */

static bool has_text(const struct load *l, u64 offset, const char *text)
{
    u64 n = strlen(text);

    return offset + n <= l->size && !memcmp(l->image + offset, text, n);
}

int raw_load(const struct guestmem *mem, const void *image, u64 size, struct boot_state *state,
             char *why, size_t why_size)
{
    struct load l = {.mem = mem, .image = image, .size = size, .why = why, .why_size = why_size};

    memmap_make(&l.map, mem);
    if (!size)
        return load_refuse(&l, -EINVAL, "the image is empty");
    if (has_text(&l, 0, "\177ELF"))
        return load_refuse(&l, -ENOTSUP,
                           "the image is an ELF file without a Multiboot 1 header in its "
                           "first 8 KiB, and no raw 16-bit code");
    if (has_text(&l, LINUX_HEADER, "HdrS"))
        return load_refuse(&l, -ENOTSUP,
                           "the image is a Linux kernel, whose boot protocol this "
                           "VMM does not have yet");
    *state = (struct boot_state){.real_mode = true, .entry = RAW_ENTRY};
    return load_part(&l, 0, size, RAW_ENTRY, size);
}
