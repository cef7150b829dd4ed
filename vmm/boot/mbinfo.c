/*
 * The information structure that a Multiboot kernel finds through EBX: memory,
 * command line, an empty list of modules, the loader's name, and the text
 * screen if it asked. All of it lies in one block that no part of the kernel
 * overlaps. Source: Multiboot Specification 0.6.96, 3.3.
 */
#include "kernel/mem.h"
#include "vmm/boot/load.h"

#define LOADER_NAME "Nestling"

enum {
    INFO_MEMORY = 1 << 0,
    INFO_CMDLINE = 1 << 2,
    INFO_MODULES = 1 << 3,
    INFO_MMAP = 1 << 6,
    INFO_LOADER_NAME = 1 << 9,
    INFO_FRAMEBUFFER = 1 << 12,
};
enum { MMAP_AVAILABLE = 1, MMAP_RESERVED = 2 };
enum { FRAMEBUFFER_EGA_TEXT = 2 };

struct mbinfo {
    u32 flags;
    u32 mem_lower, mem_upper; /* KiB */
    u32 boot_device;
    u32 cmdline;
    u32 mods_count, mods_addr;
    u32 syms[4];
    u32 mmap_length, mmap_addr;
    u32 drives_length, drives_addr;
    u32 config_table;
    u32 boot_loader_name;
    u32 apm_table;
    u32 vbe_control_info, vbe_mode_info;
    u16 vbe_mode, vbe_interface_seg, vbe_interface_off, vbe_interface_len;
    u64 framebuffer_addr;
    u32 framebuffer_pitch, framebuffer_width, framebuffer_height;
    u8 framebuffer_bpp, framebuffer_type;
    u8 color_info[6];
} __attribute__((packed));
_Static_assert(offsetof(struct mbinfo, mmap_length) == 44, "3.3");
_Static_assert(offsetof(struct mbinfo, boot_loader_name) == 64, "3.3");
_Static_assert(offsetof(struct mbinfo, framebuffer_addr) == 88, "3.3");

struct mmap_entry {
    u32 size; /* of what follows */
    u64 base, length;
    u32 type;
} __attribute__((packed));
_Static_assert(sizeof(struct mmap_entry) == 24, "3.3");

/* The block, but for the command line, which may be of any length. */
struct block {
    struct mbinfo info;
    struct mmap_entry mmap[MEMMAP_MAX];
    char loader[sizeof(LOADER_NAME)];
} __attribute__((packed));

static u32 kib(u64 bytes)
{
    return (u32)min_u64(bytes >> 10, 0xffffffff);
}

static void fill_memory(struct block *b, const struct memmap *map, u32 at)
{
    b->info.flags |= INFO_MEMORY | INFO_MMAP;
    b->info.mem_lower = kib(memmap_run(map, 0));
    b->info.mem_upper = kib(memmap_run(map, PC_HIGH));
    b->info.mmap_addr = at + (u32)offsetof(struct block, mmap);
    b->info.mmap_length = map->ranges * (u32)sizeof(struct mmap_entry);
    for (u32 i = 0; i < map->ranges; i++) {
        const struct memrange *r = &map->range[i];
        b->mmap[i] = (struct mmap_entry){
            .size = sizeof(struct mmap_entry) - sizeof(u32),
            .base = r->base,
            .length = r->size,
            .type = r->usable ? MMAP_AVAILABLE : MMAP_RESERVED,
        };
    }
}

static void fill_screen(struct mbinfo *info)
{
    info->flags |= INFO_FRAMEBUFFER;
    info->framebuffer_addr = PC_TEXT;
    info->framebuffer_pitch = 160;
    info->framebuffer_width = 80;
    info->framebuffer_height = 25;
    info->framebuffer_bpp = 16;
    info->framebuffer_type = FRAMEBUFFER_EGA_TEXT;
}

int mbinfo_make(struct load *l, const char *cmdline, bool text_mode, u32 *info)
{
    struct block b = {.loader = LOADER_NAME};
    u64 cmdline_size = strlen(cmdline) + 1;
    u64 at = load_find_room(l, sizeof(b) + cmdline_size);

    if (!at)
        return load_refuse(l, -EINVAL,
                           "the kernel leaves no room for the Multiboot information "
                           "in the VM's memory");
    fill_memory(&b, &l->map, (u32)at);
    b.info.flags |= INFO_CMDLINE | INFO_MODULES | INFO_LOADER_NAME;
    b.info.cmdline = (u32)(at + sizeof(b));
    b.info.boot_loader_name = (u32)(at + offsetof(struct block, loader));
    if (text_mode)
        fill_screen(&b.info);
    if (guestmem_write(l->mem, gpa(at), &b, sizeof(b)) ||
        guestmem_write(l->mem, gpa(at + sizeof(b)), cmdline, cmdline_size))
        return load_refuse(l, -EINVAL, "the VM's memory at 0x%llx cannot be written",
                           (unsigned long long)at);
    *info = (u32)at;
    return 0;
}
