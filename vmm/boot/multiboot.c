/*
 * Multiboot 1: finding and judging a kernel's header, and loading it. What can
 * be given: page-aligned modules (there are none), memory information, and a
 * text screen of 80 x 25. Whatever else it requires is refused in words.
 *
 * The kernel is entered in 32-bit protected mode, paging off, A20 on, IF = 0,
 * flat segments; it finds neither a stack nor a GDT or IDT that it may use
 * (3.2). Source: Multiboot Specification 0.6.96.
 */
#include "kernel/mem.h"
#include "vmm/boot/load.h"
#include "vmm/boot/multiboot.h"

#define MULTIBOOT_SEARCH   8192u
#define MULTIBOOT2_MAGIC   0xe85250d6u
#define HEADER_MIN         12u /* magic, flags, checksum */
#define HEADER_ADDRESS_END 32u
#define HEADER_VIDEO_END   48u

enum {
    HEADER_VIDEO_MODE = 1 << 2,
    HEADER_REQUIRED = 0xffff,
    HEADER_KNOWN = 0x7,
    HEADER_ADDRESSES = 1 << 16,
};
enum { MODE_GRAPHICS = 0, MODE_TEXT = 1 };

struct multiboot_header {
    u32 magic, flags, checksum;
    u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
    u32 mode_type, width, height, depth;
};
_Static_assert(sizeof(struct multiboot_header) == HEADER_VIDEO_END, "3.1.1");

static u32 read_u32(const u8 *p)
{
    u32 value;

    memcpy(&value, p, sizeof(value));
    return value;
}

/* The offset of a header whose checksum is right (3.1); false: there is none. */
static bool find_header(const u8 *image, u64 size, u64 *offset)
{
    u64 end = min_u64(size, MULTIBOOT_SEARCH);

    for (u64 at = 0; at + HEADER_MIN <= end; at += 4) {
        const u8 *p = image + at;
        if (read_u32(p) == MULTIBOOT_HEADER_MAGIC &&
            read_u32(p) + read_u32(p + 4) + read_u32(p + 8) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

bool multiboot_recognise(const void *image, u64 size)
{
    u64 offset;

    return find_header(image, size, &offset);
}

static int refuse_headerless(struct load *l)
{
    for (u64 at = 0; at + 4 <= min_u64(l->size, 32768); at += 4)
        if (read_u32(l->image + at) == MULTIBOOT2_MAGIC)
            return load_refuse(l, -ENOTSUP,
                               "the kernel speaks Multiboot 2 only, this VMM "
                               "Multiboot 1");
    return load_refuse(l, -EINVAL, "there is no Multiboot header in the first %u bytes",
                       MULTIBOOT_SEARCH);
}

/* The header, its missing optional fields 0. */
static int read_header(struct load *l, u64 offset, struct multiboot_header *h)
{
    u32 flags = read_u32(l->image + offset + 4);
    u64 need = flags & HEADER_VIDEO_MODE  ? HEADER_VIDEO_END
               : flags & HEADER_ADDRESSES ? HEADER_ADDRESS_END
                                          : HEADER_MIN;

    if (need > min_u64(l->size, MULTIBOOT_SEARCH) - offset)
        return load_refuse(l, -EINVAL,
                           "the kernel's Multiboot header does not lie whole in the "
                           "first %u bytes",
                           MULTIBOOT_SEARCH);
    memset(h, 0, sizeof(*h));
    memcpy(h, l->image + offset, need);
    return 0;
}

/* A kernel's mode is a wish, and a text mode may be given instead (3.1.4). But
 * one that names pixels will draw pixels, so that is refused. */
static int check_video(struct load *l, const struct multiboot_header *h)
{
    if (!(h->flags & HEADER_VIDEO_MODE))
        return 0;
    if (h->mode_type > MODE_TEXT)
        return load_refuse(l, -ENOTSUP,
                           "the kernel asks for a video mode of unknown type %u "
                           "(flag 2)",
                           h->mode_type);
    if (h->mode_type == MODE_GRAPHICS && (h->width || h->height || h->depth))
        return load_refuse(l, -ENOTSUP,
                           "the kernel asks for a graphics mode, %u x %u x %u "
                           "(flag 2), which this VMM does not have",
                           h->width, h->height, h->depth);
    if (!guestmem_has(l->mem, gpa(PC_TEXT)))
        return load_refuse(l, -EINVAL,
                           "the kernel asks for a text mode (flag 2), but the VM has "
                           "no memory at 0xb8000");
    return 0;
}

static int check_flags(struct load *l, const struct multiboot_header *h)
{
    u32 unknown = h->flags & HEADER_REQUIRED & ~HEADER_KNOWN;

    if (unknown)
        return load_refuse(l, -ENOTSUP,
                           "the kernel requires something that this VMM does not "
                           "have (Multiboot header flag %d)",
                           __builtin_ctz(unknown));
    return check_video(l, h);
}

/* Load as the address fields say (3.1.3). */
static int load_by_addresses(struct load *l, const struct multiboot_header *h, u64 offset,
                             u64 *entry)
{
    if (h->header_addr < h->load_addr || h->header_addr - h->load_addr > offset)
        return load_refuse(l, -EINVAL, "the kernel's load_addr 0x%x does not fit header_addr 0x%x",
                           h->load_addr, h->header_addr);
    u64 start = offset - (h->header_addr - h->load_addr);
    u64 load_end = h->load_end_addr ? h->load_end_addr : h->load_addr + (l->size - start);
    u64 bss_end = h->bss_end_addr ? h->bss_end_addr : load_end;
    if (load_end < h->load_addr || bss_end < load_end)
        return load_refuse(l, -EINVAL,
                           "the kernel's load_end_addr 0x%x or bss_end_addr 0x%x ends "
                           "before it begins",
                           h->load_end_addr, h->bss_end_addr);
    int err = load_part(l, start, load_end - h->load_addr, h->load_addr, bss_end - h->load_addr);
    if (err)
        return err;
    *entry = h->entry_addr;
    if (!load_contains(l, *entry))
        return load_refuse(l, -EINVAL, "the kernel's entry_addr 0x%x lies outside what was loaded",
                           h->entry_addr);
    return 0;
}

int multiboot_load(const struct guestmem *mem, const void *image, u64 size, const char *cmdline,
                   struct boot_state *state, char *why, size_t why_size)
{
    struct load l = {.mem = mem, .image = image, .size = size, .why = why, .why_size = why_size};
    struct multiboot_header h;
    u64 offset;

    memmap_make(&l.map, mem);
    if (!find_header(l.image, size, &offset))
        return refuse_headerless(&l);
    int err = read_header(&l, offset, &h);
    if (!err)
        err = check_flags(&l, &h);
    *state = (struct boot_state){.eax = MULTIBOOT_BOOT_MAGIC};
    if (!err)
        err = h.flags & HEADER_ADDRESSES ? load_by_addresses(&l, &h, offset, &state->entry)
                                         : elf32_load(&l, &state->entry);
    return err ? err : mbinfo_make(&l, cmdline, h.flags & HEADER_VIDEO_MODE, &state->ebx);
}
